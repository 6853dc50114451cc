"""Ways to a policy from one log, each evaluated by the same simulator and episodes, and kept once it was measured."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from peers.client import ONE_THREAD, Peer, PeerSettings
from peers.environment import CACHE, ROOT, peer_version

import presets
from batchrl.checkpoints.files import publish_json
from batchrl.collect import EnvId, Rollouts, collect, make_simulator, to_frame, write_table
from batchrl.collect.evaluation import evaluate
from batchrl.contract.layout import BEST_NAME
from batchrl.contract.paths import JobPaths
from batchrl.policies import Policy, UniformPolicy

COPIES = 100
EPISODES = 500
EVALUATION_SEED = 9_000_000
EVALUATION_EPISODES = 100
PEER_UPDATES = 5_000
# Returns at these updates are recorded beside the final one; nothing is chosen by them.
PEER_MARKS = (1_000, 3_000, 5_000)
ENTRYPOINTS = ROOT / "entrypoints"
TRAIN = ENTRYPOINTS / "train.py"
TRAINING_CODE = (
    "train.py",
    "batchrl/seeds.py",
    *(f"batchrl/{part}/*.py" for part in ("agents", "data", "ope", "training")),
)


@dataclass(frozen=True)
class Log:
    """Uniformly random episodes.

    Args:
        env: Gymnasium id.
        seed: of environments and actions.
    """

    env: str
    seed: int

    @cached_property
    def rollouts(self) -> Rollouts:
        simulator = make_simulator(EnvId(self.env), COPIES)
        return collect(simulator, UniformPolicy(simulator.n_actions), episodes=EPISODES // COPIES, seed=self.seed)

    @cached_property
    def digest(self) -> str:
        """Hash of everything in it: a log that another version draws differently is another log."""
        steps, content = self.rollouts, hashlib.sha256()
        for array in (steps.states, steps.actions, steps.rewards, steps.terminal, steps.truncated, steps.episode_ids):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What a method made of a log.

    Args:
        mean_return: over the evaluation's episodes, undiscounted.
        standard_error: of that mean over the episodes.
        seconds: wall time of the training.
        marks: mean return by number of updates, where it was looked at on the way.
        facts: what else the method says, such as the epoch that it chose.
        code: hash of what measured it; see ``Method.code``.
    """

    mean_return: float
    standard_error: float
    seconds: float
    marks: dict[str, float]
    facts: dict[str, Any]
    code: str = ""


class Method(Protocol):
    """One way to a policy."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides its outcome but for the code, in JSON's types."""
        ...

    @property
    def code(self) -> str:
        """Hash of the code of ours that decides its outcome."""
        ...

    def run(self, log: Log) -> Outcome: ...


def evaluated(policy: Policy, env: str) -> tuple[float, float]:
    """Mean return and its standard error: greedy, from start states that are the same for every policy."""
    result = evaluate(
        policy,
        EnvId(env),
        evaluate_steps=1,
        min_episodes=EVALUATION_EPISODES,
        num_envs=EVALUATION_EPISODES,
        seed=EVALUATION_SEED,
    )
    return result.mean_return, result.standard_error or 0.0


@dataclass(frozen=True)
class PeerMethod:
    """An algorithm of d3rlpy, trained on all episodes of the log.

    Args:
        name: under which it is shown.
        peer: what it is told.
        updates: of the training.
    """

    name: str
    peer: PeerSettings
    updates: int = PEER_UPDATES

    @property
    def settings(self) -> dict[str, Any]:
        return {"d3rlpy": peer_version(), "updates": self.updates, **asdict(self.peer)}

    @property
    def code(self) -> str:
        return ""

    def run(self, log: Log) -> Outcome:
        marks, done, seconds = {}, 0, 0.0
        with Peer() as peer:
            peer.load(log.rollouts)
            config = peer.make(self.peer)
            for mark in (*(mark for mark in PEER_MARKS if mark < self.updates), self.updates):
                seconds += peer.train(mark - done)[0]
                done = mark
                mean, error = evaluated(peer, log.env)
                marks[str(mark)] = mean
        return Outcome(mean, error, seconds, marks, {"config": config})


@dataclass(frozen=True)
class PresetMethod:
    """A preset of ours as it is, through ``train.py``; the policy is the one that its own estimates chose.

    Args:
        name: of the preset.
    """

    name: str

    @property
    def settings(self) -> dict[str, Any]:
        return {"preset": json.loads(presets.resolve_train(self.name, {}).to_json())}

    @property
    def code(self) -> str:
        content = hashlib.sha256()
        for path in sorted(path for pattern in TRAINING_CODE for path in ENTRYPOINTS.glob(pattern)):
            content.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
        return content.hexdigest()

    def run(self, log: Log) -> Outcome:
        code = self.code
        with tempfile.TemporaryDirectory(prefix="batchrl-bench-") as folder:
            data, output = Path(folder) / "log.csv", Path(folder) / "output"
            write_table(to_frame(log.rollouts, with_ends=bool(log.rollouts.truncated.any())), data)
            arguments = ["--preset", self.name, "--training", str(data), "--output", str(output), "--save_model", "0"]
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, str(TRAIN), *arguments],
                env={**os.environ, **ONE_THREAD},
                capture_output=True,
                text=True,
            )
            seconds = time.perf_counter() - began
            if done.returncode != 0:
                raise SystemExit(f"train.py ended with exit code {done.returncode}:\n{done.stdout}\n{done.stderr}")
            return replace(self._outcome(JobPaths(output).checkpoints, log.env, seconds), code=code)

    def _outcome(self, checkpoints: Path, env: str, seconds: float) -> Outcome:
        from batchrl.checkpoints.policy import load_policy

        mean, error = evaluated(load_policy(checkpoints, "best"), env)
        return Outcome(mean, error, seconds, {}, {"best": json.loads((checkpoints / BEST_NAME).read_bytes())})


PEERS = {
    "d3rlpy-bcq": PeerMethod("d3rlpy-bcq", PeerSettings("DiscreteBCQ")),
    "d3rlpy-cql": PeerMethod("d3rlpy-cql", PeerSettings("DiscreteCQL")),
}


def method_of(name: str, peer_updates: int = PEER_UPDATES) -> Method:
    """A method by its name: one of d3rlpy's, or a preset.

    Args:
        name: of either.
        peer_updates: of d3rlpy's training.

    Raises:
        PresetError: there is no preset of that name.
    """
    if name in PEERS:
        return replace(PEERS[name], updates=peer_updates)
    presets.resolve_train(name, {})
    return PresetMethod(name)


def kept(method: Method, log: Log, run: bool) -> Outcome | None:
    """The outcome that was measured before with the same log, settings and evaluation; else measured now, and kept.

    Args:
        method: whose outcome.
        log: on what.
        run: whether to measure what was not measured, or by other code; without it that code's outcome is returned.
    """
    evaluation = {"seed": EVALUATION_SEED, "episodes": EVALUATION_EPISODES, "env": log.env}
    key = {"method": method.name, "settings": method.settings, "log": log.digest, "evaluation": evaluation}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    path = CACHE / "logs" / f"{method.name}-{log.seed}-{digest[:12]}.json"
    if path.is_file():
        before = Outcome(**json.loads(path.read_bytes())["outcome"])
        if not run or before.code == method.code:
            return before
    if not run:
        return None
    outcome = method.run(log)
    publish_json(path, {**key, "seed": log.seed, "outcome": asdict(outcome)})
    return outcome
