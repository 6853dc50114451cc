"""Who acts: softened trained policies, policies that answer from another process, and whom they are asked for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from batchrl.agents.masks import ImitationMask
from batchrl.agents.model import PolicyModel, Scorer
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.target_policy import TargetPolicy
from batchrl.checkpoints.policy import LoadedPolicy
from batchrl.collect.acting import AskedPolicy, Softening, make_policy
from batchrl.collect.actions import ActingOn
from batchrl.collect.environments import EnvId, make_simulator
from batchrl.collect.rollouts import collect
from batchrl.contract.asking import PROBABILITIES, Frame, receive, send
from batchrl.contract.errors import BatchRLError, InputError
from batchrl.policies import Floats32, Floats64


def network(n_features: int, n_outputs: int, seed: int) -> Network:
    shape = NetworkShape(n_features=n_features, n_outputs=n_outputs, hidden=(8,), ensemble=1)
    return Network(shape, torch.Generator().manual_seed(seed))


def masked_policy(n_features: int = 4, n_actions: int = 3) -> LoadedPolicy:
    """A policy under a mask that forbids some actions in most states."""
    scorer = Scorer(network(n_features, n_actions, seed=1), scale=5.0)
    mask = ImitationMask(network(n_features, n_actions, seed=2), 0.34, False, (False,) * n_actions)
    return LoadedPolicy(PolicyModel(scorer, scorer, TargetPolicy("softmax"), mask, "most_likely"), {})


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> tuple[str, LoadedPolicy]:
    """The path of a trained policy, and the policy."""
    policy = masked_policy()
    monkeypatch.setattr("batchrl.checkpoints.policy.load_policy", lambda path: policy)
    return str(tmp_path), policy


def states(n: int = 200) -> Floats32:
    return np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)


def test_random_actions_of_a_trained_policy_are_those_that_its_mask_allows(trained: tuple[str, LoadedPolicy]) -> None:
    path, policy = trained
    mask = policy.model.mask
    assert mask is not None
    allowed = mask.support(torch.from_numpy(states())).allowed.numpy()
    some = allowed.any(axis=1)
    assert (~allowed[some]).any()

    found = make_policy(path, 3, Softening(epsilon=0.3)).action_probabilities(states())

    assert (found[some][~allowed[some]] == 0).all()
    share = 0.3 / allowed.sum(axis=1, keepdims=True)[some]
    greedy = found[some] == found[some].max(axis=1, keepdims=True)
    np.testing.assert_allclose(found[some], np.where(greedy, 0.7 + share, np.where(allowed[some], share, 0)))
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_temperature_makes_a_trained_policy_the_softmax_of_its_values(trained: tuple[str, LoadedPolicy]) -> None:
    path, policy = trained
    found = make_policy(path, 3, Softening(temperature=0.5)).action_probabilities(states())
    expected = policy.with_target(TargetPolicy("softmax", temperature=0.5)).action_probabilities(states())
    np.testing.assert_array_equal(found, expected)
    assert make_policy(path, 3, Softening()) is policy


@pytest.mark.parametrize(
    ("softening", "says"),
    [
        ({"epsilon": 2.0}, "--epsilon got 2.0"),
        ({"temperature": 0.0}, "--temperature got 0.0"),
        ({"epsilon": 0.1, "temperature": 1.0}, "both say how"),
    ],
)
def test_numbers_that_soften_nothing_are_refused(softening: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Softening(**softening)


@pytest.mark.parametrize("text", ["uniform", "[0.5, 0.5]", "batchrl.problems.logging:CartPoleController"])
def test_a_policy_without_values_has_no_temperature(text: str) -> None:
    with pytest.raises(InputError, match="has no values to soften"):
        make_policy(text, 2, Softening(temperature=1.0))


def test_a_policy_that_is_asked_for_over_no_socket_is_refused() -> None:
    with pytest.raises(InputError, match="no open socket"):
        make_policy("ask:987", 2, Softening())


class Recorder:
    """Takes either action, and remembers how many states it was asked about."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def action_probabilities(self, states: Floats32) -> Floats64:
        self.asked.append(len(states))
        return np.full((len(states), 2), 0.5)


def test_a_policy_is_asked_for_those_who_act_and_for_nobody_else() -> None:
    policy = Recorder()
    rollouts = collect(make_simulator(EnvId("CartPole-v0"), 20), policy, episodes=2, seed=1)
    # One row a step: not for environments that have played their share, nor for the step that resets one.
    assert sum(policy.asked) == rollouts.steps
    assert policy.asked[0] == 20 and policy.asked[-1] < 20


def test_whom_a_policy_is_asked_for_changes_nothing_that_is_played() -> None:
    class Leaning:
        def __init__(self, everybody: bool) -> None:
            self.everybody = everybody

        def action_probabilities(self, states: Floats32) -> Floats64:
            right = np.where(states[:, 2] > 0, 0.9, 0.1)
            return np.stack([1 - right, right], axis=1)

    simulator = make_simulator(EnvId("CartPole-v0"), 10)
    whole = collect(simulator, Leaning(True), episodes=3, seed=4)
    shorter = collect(simulator, Leaning(True), episodes=1, seed=4)
    of_first = whole.episode_ids < 10
    np.testing.assert_array_equal(whole.actions[of_first], shorter.actions)
    np.testing.assert_array_equal(whole.states[of_first], shorter.states)


def test_steps_mode_asks_for_one_row_a_step() -> None:
    policy = Recorder()
    rollouts = collect(make_simulator(EnvId("CartPole-v0"), 5), policy, steps=30, seed=2)
    assert sum(policy.asked) == rollouts.steps == 150


def answering(connection: socket.socket, answer: Callable[[Sequence[Sequence[float]]], Frame]) -> threading.Thread:
    def serve() -> None:
        while (question := receive(connection)) is not None:
            send(connection, answer(question.to_rows()))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_episodes_with_a_policy_of_another_process_are_those_of_the_policy_itself() -> None:
    def lean(rows: Sequence[Sequence[float]]) -> Frame:
        return Frame.of_rows(PROBABILITIES, [[0.1, 0.9] if row[2] > 0 else [0.9, 0.1] for row in rows])

    class Leaning:
        def action_probabilities(self, states: Floats32) -> Floats64:
            right = np.where(states[:, 2] > 0, 0.9, 0.1)
            return np.stack([np.where(states[:, 2] > 0, 0.1, 0.9), right], axis=1)

    ours, theirs = socket.socketpair()
    with ours:
        thread = answering(theirs, lean)
        simulator = make_simulator(EnvId("CartPole-v0"), 8)
        asked = collect(simulator, AskedPolicy(ours), episodes=2, seed=3)
        own = collect(simulator, Leaning(), episodes=2, seed=3)
    thread.join()
    np.testing.assert_array_equal(asked.actions, own.actions)
    np.testing.assert_array_equal(asked.probabilities, own.probabilities)
    np.testing.assert_array_equal(asked.states, own.states)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Frame.of_refusal("the endpoint has gone"), "the endpoint has gone"),
        (Frame.of_rows(PROBABILITIES, [[0.5, 0.5]]), "shape"),
        (Frame.of_rows(b"s", [[0.5, 0.5]]), "a frame of kind"),
        (None, "has gone"),
    ],
)
def test_an_answer_that_is_none_ends_the_episodes(answer: Frame | None, says: str) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        if answer is None:
            theirs.close()
        else:
            given = answer
            answering(theirs, lambda rows: given)
        with pytest.raises(BatchRLError, match=says):
            collect(make_simulator(EnvId("CartPole-v0"), 3), AskedPolicy(ours), episodes=1)


def test_a_constant_action_and_rules_are_named_in_words(tmp_path: Any) -> None:
    rules = tmp_path / "rules.csv"
    rules.write_text("speed,action\n>0,2\n,1\n")
    acting_on = ActingOn(3, ("place", "speed", "angle", "rate"), action_counts=np.array([1, 5, 2]))
    for text, expected in (("always:2", np.full(200, 2)), ("most-frequent", np.ones(200))):
        found = make_policy(text, acting_on, Softening()).action_probabilities(states())
        np.testing.assert_array_equal(np.broadcast_to(found, (200, 3)).argmax(axis=1), expected)
    found = make_policy(str(rules), acting_on, Softening(epsilon=0.3)).action_probabilities(states())
    np.testing.assert_allclose(found[:, 2], np.where(states()[:, 1] > 0, 0.8, 0.1))
    with pytest.raises(InputError, match="there is no log here to count in"):
        make_policy("most-frequent", 3, Softening())
