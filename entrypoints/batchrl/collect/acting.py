"""Who acts: the policy that a command line names, and how it is softened."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from batchrl.collect.actions import ActingOn
from batchrl.contract import jsontext
from batchrl.contract.asking import PROBABILITIES, REFUSAL, STATES, Frame, receive, send
from batchrl.contract.errors import BatchRLError, InputError
from batchrl.contract.given import ALWAYS, MOST_FREQUENT, RULES_SUFFIX, UNIFORM, WRITTEN, is_given
from batchrl.policies import EpsilonGreedyPolicy, FixedPolicy, Floats32, Floats64, Policy, UniformPolicy

ASKED = re.compile(r"ask:(\d+)")


@dataclass(frozen=True)
class Softening:
    """How a policy's preferences become probabilities; without either number it acts as it is.

    Args:
        epsilon: it takes its best action, but a random one of those that it may take with this probability.
        temperature: softmax of its values at this temperature.

    Raises:
        InputError: both are given, or one is out of its bounds.
    """

    epsilon: float | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.epsilon is not None and self.temperature is not None:
            raise InputError("--epsilon and --temperature both say how the policy acts.", "Keep one of them.")
        if self.epsilon is not None and not 0 <= self.epsilon <= 1:
            raise InputError(f"--epsilon got {self.epsilon}.", "A probability is from 0 to 1.")
        if self.temperature is not None and not 0 < self.temperature < float("inf"):
            raise InputError(f"--temperature got {self.temperature}.", "Give a number above 0.")


class AskedPolicy:
    """A policy that answers through a connection (``batchrl.contract.asking``).

    Args:
        connection: to whoever knows the probabilities.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def action_probabilities(self, states: Floats32) -> Floats64:
        """Probabilities ``[B, A]`` of states ``[B, d]``.

        Raises:
            BatchRLError: the other side refused, or has gone.
        """
        rows, columns = states.shape
        try:
            send(self._connection, Frame(STATES, rows, columns, states.astype(np.float64).tobytes()))
            answer = receive(self._connection)
        except OSError as error:
            raise BatchRLError(f"whoever was asked for actions has gone: {error.strerror}.") from error
        if answer is None:
            raise BatchRLError("whoever was asked for actions has gone.")
        if answer.kind == REFUSAL:
            raise BatchRLError(answer.text)
        if answer.kind != PROBABILITIES:
            raise BatchRLError(f"whoever was asked for actions answered with a frame of kind {answer.kind!r}.")
        return np.frombuffer(answer.payload).reshape(answer.rows, answer.columns)


def make_policy(text: str, acting_on: int | ActingOn, softening: Softening) -> Policy:
    """The policy that ``--policy`` names, softened.

    A trained policy that acts under a mask draws its random actions from those that the mask allows; of any other
    policy nothing is known but its probabilities, and all actions are drawn from.

    Args:
        text: uniform; probabilities as ``[0.3, 0.7]``; ``always:1``, a constant action; ``most-frequent``, the constant
            action that a log took most often; the path of a CSV of rules (``batchrl.collect.rules``) or of a trained
            policy; ``module:name``; or ``ask:FD``, an open socket.
        acting_on: actions and features; a number is that of the actions.
        softening: how it acts.

    Raises:
        InputError: it is neither a name, nor probabilities of all actions, nor the path of a policy, nor module:name;
            or a temperature is given for one without values.
    """
    if _is_trained(text):
        from batchrl.agents.target_policy import TargetPolicy
        from batchrl.checkpoints.policy import load_policy

        trained = load_policy(Path(text)).of_plain_numbers()
        if softening.epsilon is not None:
            return trained.with_target(TargetPolicy("epsilon_greedy", epsilon=softening.epsilon))
        if softening.temperature is not None:
            return trained.with_target(TargetPolicy("softmax", temperature=softening.temperature))
        return trained
    if softening.temperature is not None:
        raise InputError(f"--temperature: --policy {text} has no values to soften.", "It is for trained policies.")
    policy = _untrained(text, acting_on if isinstance(acting_on, ActingOn) else ActingOn(acting_on))
    return policy if softening.epsilon is None else EpsilonGreedyPolicy(policy, softening.epsilon)


def _is_trained(text: str) -> bool:
    return not is_given(text) and not ASKED.fullmatch(text) and Path(text).exists()


def _untrained(text: str, acting_on: ActingOn) -> Policy:
    n_actions = acting_on.n_actions
    if text == UNIFORM:
        return UniformPolicy(n_actions)
    if text == MOST_FREQUENT:
        if acting_on.action_counts is None:
            raise InputError(f"--policy {text}: there is no log here to count in.", f"Name the action: {ALWAYS}1")
        return FixedPolicy.constant(int(acting_on.action_counts.argmax()), n_actions)
    if text.startswith(ALWAYS):
        return FixedPolicy.constant(acting_on.number_of(text.removeprefix(ALWAYS), f"--policy {text}"), n_actions)
    if text.lstrip().startswith("["):
        return _fixed(text, n_actions)
    if asked := ASKED.fullmatch(text):
        try:
            return AskedPolicy(socket.socket(fileno=int(asked[1])))
        except OSError as error:
            raise InputError(f"--policy {text}: that is no open socket: {error.strerror}.") from error
    from batchrl.collect.naming import named_policy
    from batchrl.naming import is_named

    if is_named(text):
        return named_policy(text)
    if text.lower().endswith(RULES_SUFFIX) and Path(text).exists():
        from batchrl.collect.rules import RulesPolicy

        return RulesPolicy.read(Path(text), acting_on)
    raise InputError(f"--policy {text}: there is no such path.", f"Or write {WRITTEN}.")


def _fixed(text: str, n_actions: int) -> FixedPolicy:
    try:
        probabilities = jsontext.parsed(text)
    except ValueError as error:
        raise InputError(f"--policy {text}: no JSON list: {error}.", "Write --policy '[0.3, 0.7]'.") from error
    policy = FixedPolicy(probabilities)
    if policy.rows.shape != (1, n_actions):
        raise InputError(f"--policy {text}: the environment has {n_actions} actions; give one number for each.")
    return policy
