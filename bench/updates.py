"""Updates a second of our agents, beside d3rlpy's and beside the matrix products that an update cannot do without.

One thread, one log, one network (4-256-512-2), minibatches of 128 and the preset's settings on every side. The sides
take turns, forwards and backwards, and the median of the rounds' ratios counts; time is CPU time of the side's own
process. d3rlpy samples and updates without its logger. Ours runs the epochs that ``train.py`` runs. What BCQ does once
in a job of 50 epochs, fitting its classifier and making the mask, counts in every epoch by its share; the classifier
gets as many updates as the values unless told otherwise, which is what d3rlpy gives its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

# Before torch is imported; the peer's process gets the same.
os.environ.update({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})

import numpy as np
import torch
from figures import Figure, cannot, show
from methods import Log
from peers.client import Peer, PeerSettings
from peers.environment import PeerMissing
from products import PlainLoop, Products, by_onednn, by_torch

import presets
from batchrl.agents.agent import Problem
from batchrl.agents.masks import ImitationMask
from batchrl.agents.registry import make_agent
from batchrl.agents.supervised import fit, imitation_loss
from batchrl.agents.transitions import Transitions
from batchrl.collect import to_frame, write_table
from batchrl.data.dataset import Dataset
from batchrl.data.loader import load_dataset
from presets import TrainPreset

LOG = Log("CartPole-v0", 0)
PRESET = "cartpole-ddqn-bcq"
EPOCHS_A_ROUND = 2
ROUNDS = 11
BCQ, DOUBLE_DQN = "ours, BCQ with its classifier", "ours, double DQN"
PEER_BCQ, PEER_DOUBLE_DQN = "d3rlpy, DiscreteBCQ", "d3rlpy, DoubleDQN"
PLAIN = "a plain torch loop, double DQN"
PRODUCTS, PRODUCTS_ONEDNN = "matrix products alone", "matrix products alone, by oneDNN"


class Side(Protocol):
    """One of those who take turns."""

    def seconds(self, updates: int) -> float:
        """CPU time of so many updates."""
        ...


class PeerSide:
    """An algorithm of d3rlpy.

    Args:
        peer: a process of its own.
        algorithm: d3rlpy's class.
        preset: whose settings it gets.
    """

    def __init__(self, peer: Peer, algorithm: str, preset: TrainPreset) -> None:
        agent = preset.agent
        peer.load(LOG.rollouts)
        peer.make(
            PeerSettings(
                algorithm,
                hidden=(*agent.embedder, *agent.middleware),
                learning_rate=agent.learning_rate,
                target_update_interval=agent.target_update_every,
                batch_size=agent.batch_size,
                discount=agent.discount,
            )
        )
        self._peer = peer

    def seconds(self, updates: int) -> float:
        return self._peer.train(updates)[1]


class OwnSide:
    """An agent of ours.

    Args:
        dataset: all episodes of the log.
        preset: the settings; with ``bcq.mode`` other than ``none`` the classifier's training counts as well.
    """

    def __init__(self, dataset: Dataset, preset: TrainPreset) -> None:
        self._dataset, self._preset = dataset, preset
        self._rng, self._generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
        self._transitions = Transitions.of(dataset, preset.agent)
        self._problem = Problem.of(self._transitions, preset.agent, preset.epochs)
        self._agent = make_agent(self._problem, preset.agent, self._generator)
        self._restricted = preset.bcq.mode != "none"

    def seconds(self, updates: int) -> float:
        epochs = round(updates / updates_of_epoch(self._dataset, self._preset))
        began = time.process_time()
        if self._restricted:
            self._restrict()
        restricted = time.process_time()
        for _ in range(epochs):
            self._agent.train_epoch(self._transitions, self._rng)
        return time.process_time() - restricted + (restricted - began) * epochs / self._preset.epochs

    def _restrict(self) -> None:
        """What a job does once: fit a classifier, and restrict the bootstrap by it."""
        states, actions = torch.from_numpy(self._dataset.states), torch.from_numpy(self._dataset.actions)
        agent, bcq = self._preset.agent, self._preset.bcq
        classifier = self._problem.network(agent, self._generator)
        fit(classifier, states, imitation_loss(actions), bcq.imitation_epochs, agent, self._rng)
        mask = ImitationMask(classifier, bcq.relative_threshold, relative=True)
        allowed, _ = mask.support(torch.from_numpy(self._dataset.next_states)).with_fallback(bcq.fallback)
        self._transitions = Transitions.of(self._dataset, agent, allowed)


def updates_of_epoch(dataset: Dataset, preset: TrainPreset) -> int:
    """Minibatches of one pass over the log."""
    return -(-dataset.n_transitions // preset.agent.batch_size)


def widths_of(dataset: Dataset, preset: TrainPreset) -> tuple[int, ...]:
    """Of the network's input, every hidden layer and the output."""
    return (dataset.n_features, *preset.agent.embedder, *preset.agent.middleware, dataset.n_actions)


def plain_loop(dataset: Dataset, preset: TrainPreset) -> PlainLoop:
    """A plain torch loop with the preset's settings."""
    agent = preset.agent
    rest = (agent.batch_size, agent.learning_rate, agent.target_update_every, agent.discount)
    return PlainLoop(LOG.rollouts, widths_of(dataset, preset), *rest)


def data_of(log: Log, preset: TrainPreset) -> Dataset:
    """The log as training reads it."""
    with tempfile.TemporaryDirectory(prefix="batchrl-bench-") as folder:
        path = Path(folder) / "log.csv"
        write_table(to_frame(log.rollouts), path)
        return load_dataset(path, preset.data).dataset


def take_turns(sides: Mapping[str, Side], updates: int, rounds: int) -> dict[str, list[float]]:
    """Updates a second of each side in each round; the order turns around from round to round."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side.seconds(updates)
    for number in range(rounds):
        for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
            rates[name].append(updates / sides[name].seconds(updates))
    return rates


def ratio(rates: Mapping[str, Sequence[float]], of: str, to: str) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(one / other for one, other in zip(rates[of], rates[to], strict=True))


def report(rates: Mapping[str, Sequence[float]]) -> None:
    for name, measured in rates.items():
        print(f"  {name}: {statistics.median(measured):.0f} updates/s ({min(measured):.0f} to {max(measured):.0f})")
    for own, peer, wanted in ((BCQ, PEER_BCQ, 2.5), (DOUBLE_DQN, PEER_DOUBLE_DQN, 1.8)):
        if peer in rates:
            show(Figure(f"{own}, to {peer}", ratio(rates, own, peer), "x", wanted, at_least=True))
    for name, bound in ((PLAIN, PRODUCTS), (PLAIN, PRODUCTS_ONEDNN), (DOUBLE_DQN, PRODUCTS_ONEDNN)):
        if bound in rates:
            print(f"  {name}: {100 * ratio(rates, name, bound):.0f} % of the {bound}", flush=True)
    show(Figure(f"{DOUBLE_DQN}, of the {PRODUCTS}", 100 * ratio(rates, DOUBLE_DQN, PRODUCTS), "%", 85, at_least=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often every side runs ({ROUNDS})")
    preset = presets.resolve_train(PRESET, {})
    said = f"epochs of BCQ's classifier in a job of {preset.epochs} ({preset.epochs})"
    parser.add_argument("--classifier-epochs", type=int, default=preset.epochs, help=said)
    options = parser.parse_args()
    torch.set_num_threads(1)
    unrestricted = presets.resolve_train(PRESET, {"agent.algorithm": "ddqn", "bcq.mode": "none"})
    restricted = presets.resolve_train(
        PRESET, {"bcq.mode": "discrete_bcq", "bcq.imitation_epochs": options.classifier_epochs}
    )
    dataset = data_of(LOG, restricted)
    sizes = (widths_of(dataset, restricted), restricted.agent.batch_size)
    sides: dict[str, Side] = {
        PRODUCTS: Products(*sizes, by_torch),
        DOUBLE_DQN: OwnSide(dataset, unrestricted),
        PLAIN: plain_loop(dataset, unrestricted),
        BCQ: OwnSide(dataset, restricted),
    }
    if (onednn := by_onednn()) is not None:
        sides[PRODUCTS_ONEDNN] = Products(*sizes, onednn)
    with contextlib.ExitStack() as peers:
        try:
            for name, algorithm in ((PEER_DOUBLE_DQN, "DoubleDQN"), (PEER_BCQ, "DiscreteBCQ")):
                sides[name] = PeerSide(peers.enter_context(Peer()), algorithm, restricted)
        except PeerMissing as error:
            cannot("updates/s beside d3rlpy", str(error))
        report(take_turns(sides, EPOCHS_A_ROUND * updates_of_epoch(dataset, restricted), options.rounds))


if __name__ == "__main__":
    main()
