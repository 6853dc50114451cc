"""The peer's side of the pipe: trains d3rlpy's algorithms and asks them for actions, as it is told.

Runs in d3rlpy's environment and imports nothing of ours. Requests and answers are JSON, one a line. Its greedy actions
are d3rlpy's own (``predict``); its updates are d3rlpy's ``update`` on ``sample_transition_batch``, which is what its
``fit`` does without the logger and the progress bar.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
import warnings
from typing import Any

# Standard output is the pipe; what libraries print goes to standard error.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
warnings.simplefilter("ignore")

import d3rlpy  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from d3rlpy.models.encoders import VectorEncoderFactory  # noqa: E402


class Peer:
    """A data set and the algorithm that learns from it."""

    def __init__(self) -> None:
        self.dataset: Any = None
        self.algorithm: Any = None
        self.batch_size = 0

    def load(self, path: str) -> dict[str, Any]:
        """Take a log: arrays ``states [N, d]``, ``actions``, ``rewards``, ``terminal`` and ``truncated`` ``[N]``."""
        arrays = np.load(path)
        self.dataset = d3rlpy.dataset.MDPDataset(
            observations=arrays["states"],
            actions=arrays["actions"],
            rewards=arrays["rewards"],
            terminals=arrays["terminal"].astype(np.float32),
            timeouts=arrays["truncated"].astype(np.float32),
            action_space=d3rlpy.ActionSpace.DISCRETE,
            action_size=int(arrays["n_actions"]),
        )
        return {"transitions": self.dataset.transition_count}

    def make(
        self,
        algorithm: str,
        hidden: list[int],
        learning_rate: float,
        target_update_interval: int,
        batch_size: int,
        discount: float,
        seed: int,
    ) -> dict[str, Any]:
        """Start an algorithm anew; everything that is not given is d3rlpy's default, and the answer says all of it."""
        d3rlpy.seed(seed)
        config = getattr(d3rlpy.algos, f"{algorithm}Config")(
            learning_rate=learning_rate,
            target_update_interval=target_update_interval,
            batch_size=batch_size,
            gamma=discount,
            encoder_factory=VectorEncoderFactory(hidden_units=hidden),
        )
        self.algorithm = config.create(device="cpu:0")
        self.algorithm.build_with_dataset(self.dataset)
        self.batch_size = batch_size
        return {"config": json.loads(config.serialize())}

    def train(self, updates: int) -> dict[str, Any]:
        """Make so many updates; the answer is how long they took, in seconds of this process's clock and CPU."""
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(updates):
            self.algorithm.update(self.dataset.sample_transition_batch(self.batch_size))
        return {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}

    def act(self, states: list[list[float]]) -> dict[str, Any]:
        """Greedy actions ``[B]`` in states ``[B, d]``."""
        return {"actions": self.algorithm.predict(np.asarray(states, dtype=np.float32)).tolist()}


def main() -> None:
    torch.set_num_threads(1)
    peer = Peer()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(peer, request.pop("do"))(**request)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=ANSWERS)


if __name__ == "__main__":
    main()
