"""One mail campaign by hand: every week a batch transform tells, for all users at once, how likely each mail should be.

    python one_campaign.py JOB [--users 20000] [--epsilon 0.1] [--instance-type local] [--output campaign.parquet]

It is the article's procedure, with users where it has poles: the states of all users who are still there go to S3, the
transform job puts the policy's probabilities beside them, the mails are drawn from these and sent, the users react.
What comes out is a log with propensities, ready to train the next policy from.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from batchrl.collect import EnvId, make_simulator
from batchrl.contract.errors import BatchRLError
from batchrl.problems.mail_model import ACTIONS
from launcher import Job, Model, Transformer


def weekly_probabilities(transformer: Transformer, states: np.ndarray, scratch: Path) -> np.ndarray:
    """Probabilities ``[B, A]`` of the mails for users in states ``[B, d]``: one transform job."""
    file = scratch / "users.jsonl"
    file.write_text("".join(json.dumps(state) + "\n" for state in states.tolist()))
    job = transformer.transform(
        str(file), content_type="application/jsonlines", split_type="Line", join_source="Input", logs=False
    )
    job.pull(scratch / job.name)
    with (scratch / job.name / "users.jsonl.out").open() as lines:
        answers = [json.loads(line) for line in lines]
    return np.array([answer["SageMakerOutput"]["predictions"][0] for answer in answers])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", help="the training job whose policy writes the mails")
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--epsilon", type=float, default=0.1, help="share of mails that are drawn at random")
    parser.add_argument("--instance-type", default="local", help="local, local_process or ml.*")
    # Not the default of `batchrl collect`: a policy must not be judged by the very users that it learnt from.
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("campaign.parquet"))
    given = parser.parse_args()
    if not given.output.absolute().parent.is_dir():
        parser.error(f"--output {given.output}: there is no folder {given.output.absolute().parent}")

    # What acts always acts by chance: a mail that is never sent can never be judged.
    acting = {"BATCHRL_TARGET_POLICY": "epsilon_greedy", "BATCHRL_EPSILON": str(given.epsilon)}
    model = Model.of_job(Job.attach(given.job), instance_type=given.instance_type, env=acting)
    transformer = model.transformer(instance_type=given.instance_type, strategy="MultiRecord")

    # A stream of its own: users who react by the very numbers that chose their mails would make any policy look good.
    random = np.random.default_rng(np.random.SeedSequence(given.seed).spawn(1)[0])
    users = make_simulator(EnvId("batchrl/MailCampaign-v0"), given.users)
    states = users.flat(users.vector.reset(seed=given.seed)[0])
    there, weeks = np.ones(given.users, dtype=bool), []
    with tempfile.TemporaryDirectory() as scratch:
        while there.any():
            who = np.flatnonzero(there)
            probabilities = weekly_probabilities(transformer, states[who], Path(scratch))
            drawn = (probabilities.cumsum(axis=1) < random.random(len(who))[:, None]).sum(axis=1)
            mails = np.zeros(given.users, dtype=np.int64)
            mails[who] = drawn.clip(max=len(ACTIONS) - 1)
            observed, orders, left, _, _ = users.vector.step(mails)
            week = {
                "action": mails[who],
                "all_action_probabilities": [json.dumps(row) for row in probabilities.tolist()],
                "episode_id": [f"campaign-{given.seed}-{user}" for user in who],
                "reward": orders[who],
                **{f"state_feature_{number}": states[who, number] for number in range(users.n_features)},
            }
            weeks.append(pd.DataFrame(week))
            sent = ", ".join(f"{(mails[who] == kind).mean():.0%} {name}" for kind, name in enumerate(ACTIONS))
            print(f"week {len(weeks):2}: {len(who):6} users, {orders[who].mean():6.3f} a user; {sent}", flush=True)
            states, there = users.flat(observed), there & ~left
    log = pd.concat(weeks, ignore_index=True).sort_values("episode_id", kind="stable")
    log.to_parquet(given.output, index=False)
    print(f"{log.reward.sum() / given.users:.2f} a user; {len(log)} decisions in {given.output}")


if __name__ == "__main__":
    try:
        main()
    except BatchRLError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was written")
