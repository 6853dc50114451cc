"""d3rlpy as the benchmarks see it: a process that trains, measures and acts when asked."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from batchrl.collect import Rollouts
from batchrl.policies import Floats32, Floats64
from peers.environment import PeerMissing, peer_python

CHILD = Path(__file__).resolve().parent / "child.py"
UPDATES_AT_ONCE = 500
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class PeerSettings:
    """What d3rlpy is told; everything else is its default.

    Args:
        algorithm: d3rlpy's class, such as ``DiscreteBCQ``.
        hidden: units of each layer of its encoder.
        learning_rate: of its Adam.
        target_update_interval: updates between copies into its target network.
        batch_size: transitions in a minibatch.
        discount: gamma.
        seed: of everything random in it.
    """

    algorithm: str
    hidden: tuple[int, ...] = (256, 256)
    learning_rate: float = 1e-3
    target_update_interval: int = 500
    batch_size: int = 128
    discount: float = 0.99
    seed: int = 0


class Peer:
    """The process. Use it as a context manager.

    Raises:
        PeerMissing: its environment cannot be made, or the process ended.
    """

    def __init__(self) -> None:
        self._n_actions = 0
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed when the process ends)
        self._process = subprocess.Popen(
            [str(peer_python()), str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()
        self._complaints.close()

    def load(self, log: Rollouts) -> None:
        """Give it a log."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log.npz"
            np.savez(
                path,
                states=log.states,
                actions=log.actions,
                rewards=log.rewards.astype(np.float32),
                terminal=log.terminal,
                truncated=log.truncated,
                n_actions=log.probabilities.shape[1],
            )
            self._ask("load", path=str(path))
        self._n_actions = log.probabilities.shape[1]

    def make(self, settings: PeerSettings) -> dict[str, Any]:
        """Start an algorithm anew; the whole configuration that d3rlpy made of the settings."""
        config: dict[str, Any] = self._ask("make", **asdict(settings))["config"]
        return config

    def train(self, updates: int) -> tuple[float, float]:
        """Make so many updates; how long they took on the clock and on the CPU, in seconds."""
        seconds = cpu_seconds = 0.0
        # In parts, so that the process soon sees it when whoever asked is gone.
        for begun in range(0, updates, UPDATES_AT_ONCE):
            took = self._ask("train", updates=min(UPDATES_AT_ONCE, updates - begun))
            seconds, cpu_seconds = seconds + took["seconds"], cpu_seconds + took["cpu_seconds"]
        return seconds, cpu_seconds

    def action_probabilities(self, states: Floats32) -> Floats64:
        """Its greedy policy: probabilities ``[B, A]`` of 0 and 1 in states ``[B, d]``, as our evaluation asks."""
        actions = self._ask("act", states=states.tolist())["actions"]
        one_hot: Floats64 = np.eye(self._n_actions)[np.asarray(actions, dtype=np.int64)]
        return one_hot

    def _ask(self, what: str, **arguments: object) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._complaints.seek(0)
            raise PeerMissing(f"d3rlpy's process ended: {self._complaints.read().strip()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerMissing(f"d3rlpy failed at '{what}': {answer['error']}")
        return answer
