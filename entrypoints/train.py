"""Train a policy from logged episodes, by the algorithm that the preset names, and choose its best epoch.

    python train.py --preset cartpole-ddqn-bcq --training cartpole.csv --output DIR [--agent.discount 0.98 ...]

Inside a job the data is the channel `training` and everything is written below /opt/ml; outside, `--training` is a
file or folder of csv or Parquet data and `--output` the folder that plays /opt/ml. `--save_model 0` exports no model.
Every setting of the preset can be given by its dotted key. Run again with the same output, it resumes to the bit.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from batchrl.commandline.arguments import ScriptArguments, run_script
from batchrl.commandline.oldnames import say_meanings
from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.contract.hyperparameters import SAVE_MODEL
from batchrl.contract.paths import JOB_NAME_VARIABLE, TRAINING_CHANNEL, JobPaths

if TYPE_CHECKING:
    from batchrl.data.loader import LoadedData


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def job_paths(arguments: ScriptArguments) -> JobPaths:
    """Where the files of this run lie; says where checkpoints go that have no place in S3."""
    if "output" in arguments.options:
        return JobPaths(Path(arguments.options["output"]))
    paths = JobPaths.from_environment().keeping_checkpoints()
    if paths.checkpoints.is_relative_to(paths.output_data):
        say(f"checkpoints go into output.tar.gz ({paths.checkpoints.name}/): the job has no place in S3 for them")
    return paths


def say_what_was_read(loaded: LoadedData, source: Path) -> None:
    """Print the sizes of the data and the mean return of its episodes."""
    from batchrl.ope.estimators.quotients import Quotients
    from batchrl.ope.estimators.student import student_interval
    from batchrl.ope.report.words import OF_DECISIONS, OF_EPISODES
    from batchrl.ope.study.logged import of_decisions
    from batchrl.ope.study.loggers import remarks_on_loggers

    data = loaded.dataset
    mean = student_interval(Quotients.mean(data.returns), 0.95)
    shown = f"{mean.value:.{mean.interval.decimals(2)}f}"
    sizes = f"{data.n_episodes} episodes, {data.n_transitions} transitions, {data.n_actions} actions, mean return"
    words = OF_DECISIONS if of_decisions(data) else OF_EPISODES
    if words is OF_DECISIONS:
        sizes = f"{data.n_episodes} decisions, {data.n_actions} actions, mean reward"
    say(f"data: {sizes} {shown}, schema {loaded.schema} ({source})")
    for note in (*loaded.notes, *remarks_on_loggers(data, words)):
        say(f"note: {note}")
    if loaded.unknown_ends:
        cut = f"{loaded.unknown_ends} episodes were cut short without a next state"
        say(f"warning: {cut}; their ends count as terminal")
    if loaded.left_out:
        say(f"warning: {loaded.left_out} episodes were left out, as the preset asks")
    for doubt in loaded.doubts:
        say(f"warning: {doubt.message} {doubt.advice}")


def train(arguments: ScriptArguments) -> None:
    """Train an agent from logged episodes; the story of the whole job."""
    # 1. Settings, before anything heavy is imported: a mistake in them is reported at once.
    preset = arguments.train_preset()
    save_model = arguments.flag(SAVE_MODEL, default=True)
    say_meanings(arguments)
    paths = job_paths(arguments)
    source = Path(arguments.options.get("training", paths.channel(TRAINING_CHANNEL)))
    job_name = os.environ.get(JOB_NAME_VARIABLE)

    from batchrl.agents.prefit import costly_mask
    from batchrl.agents.registry import agent_class
    from batchrl.agents.target_policy import TargetPolicy
    from batchrl.checkpoints.folder import CheckpointFolder
    from batchrl.naming import import_from_here
    from batchrl.ope.study.logged import of_decisions
    from batchrl.training.estimating import episodes_of_an_epoch, evaluator_of, scorer_of
    from batchrl.training.events import EventFile
    from batchrl.training.final import choice_lines
    from batchrl.training.randomness import make_deterministic
    from batchrl.training.results import publish_epoch, publish_inputs, publish_progress, publish_results
    from batchrl.training.selection import finite, shown_score
    from batchrl.training.state import new_split, read_log, resumed, started
    from batchrl.training.stopping import EXIT_TERMINATED, StopRequests, TrainingStopped
    from batchrl.training.table import EpochReport

    make_deterministic()
    began = time.monotonic()
    # An agent of the user's own: a mistake in its name is reported before the data is read.
    import_from_here()
    agent_class(preset.agent.algorithm)

    # 2. The logged episodes, checked row by row; what are no numbers becomes numbers, fitted on the training part.
    folder = CheckpointFolder(paths.checkpoints, preset.keep_checkpoints)
    saved = folder.newest(warn=lambda text: say(f"warning: {text}"))
    loaded = read_log(source, preset, saved)
    dataset = loaded.dataset
    say_what_was_read(loaded, source)

    # 3. The run: what a checkpoint holds, or a new split, reward model and action mask.
    if saved is None:
        say("fitting the reward model and the action mask")
        if (notice := costly_mask(dataset, preset)) is not None:
            say(f"warning: {notice}")
        run = started(preset, dataset, new_split(preset, dataset), job_name)
        run.seconds = time.monotonic() - began
    else:
        run = resumed(saved, preset, dataset, job_name)
        preset = run.preset
        say(f"resumed after epoch {run.epoch} of {preset.epochs}")
    episodes = "decisions" if of_decisions(dataset) else "episodes"
    say(
        f"split: {len(run.split.train)} {episodes} train, {len(run.split.evaluation)} estimate, "
        f"{len(run.split.test)} test; "
        f"{run.models.described(preset.bcq.mode)}; "
        f"the target policy is {run.policy().target}"
    )

    # 4. What stands on disk says the same as the run.
    folder.clean()
    publish_inputs(paths, preset, loaded, Path(__file__).name)
    if run.epoch:
        publish_progress(paths, folder, run)
    events = EventFile(paths, run.rows) if preset.tensorboard else None

    # 5. Epochs: one pass over the training episodes, estimates on the others, a checkpoint, a row of the csv.
    estimating = episodes_of_an_epoch(run)
    if estimating.n_episodes < (there := len(run.split.evaluation)):
        used = f"{estimating.n_episodes} of {there} evaluation {episodes}"
        say(f"the estimates of an epoch use {used}: as ope.max_episodes says, or as memory allows")
    evaluator, scorer = evaluator_of(run, estimating), scorer_of(run, estimating)
    beside = TargetPolicy.beside(preset.ope)
    exit_code = 0
    with StopRequests() as stop:
        try:
            while run.epoch < preset.epochs:
                start = time.monotonic()
                training = run.agent.train_epoch(run.transitions, run.rng, on_update=stop.check)
                trained = time.monotonic()
                if training.diverged:
                    raise InputError(
                        f"training diverged: the loss of epoch {run.epoch + 1} is not a finite number.",
                        "Lower agent.learning_rate, or set agent.standardise_inputs, agent.value_scale or "
                        "agent.value_bounds.",
                    )
                policy = run.policy()
                target, softmax = evaluator.policies_of(policy, [policy.target, beside])
                scores, estimates = scorer.score_actions(target), evaluator.score_actions(softmax)
                same = policy.target == beside
                returns = estimates if same else evaluator.score_actions(target, (columns.WIS, columns.SDR))
                metric, doubt = shown_score(finite(scores.cells()), preset.selection)
                scored = time.monotonic()
                run.seconds += scored - start
                report = EpochReport(
                    epoch=run.epoch + 1,
                    training=training,
                    target=policy.target,
                    scores=scores,
                    metric=metric,
                    doubt=doubt,
                    returns=returns,
                    beside=beside,
                    estimates=estimates,
                    total_updates=run.agent.updates,
                    n_transitions=dataset.n_transitions,
                    n_episodes=dataset.n_episodes,
                    masked_fraction=run.models.masked_fraction,
                    none_allowed_rate=run.models.none_allowed_rate,
                    checkpoint=folder.file(run.epoch + 1).name,
                    wall_clock_s=run.seconds,
                    training_s=trained - start,
                    ope_s=scored - trained,
                )
                publish_epoch(paths, folder, run, report.row())
                if events is not None:
                    events.append(run.rows[-1])
                say(report.line(preset.epochs))
        except TrainingStopped:
            say(f"stopped on request after epoch {run.epoch} of {preset.epochs}")
            exit_code = EXIT_TERMINATED

        # 6. The best policy and a summary. A run that was stopped publishes the epochs it has.
        if run.epoch:
            best, final = publish_results(paths, folder, run, loaded, save_model, hurry=exit_code != 0)
            for line in (*choice_lines(best, run.epoch), *final.lines()):
                say(line)
    if exit_code:
        sys.exit(exit_code)


if __name__ == "__main__":
    sys.exit(run_script(train, sys.argv[1:], __doc__))
