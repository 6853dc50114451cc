"""Policies that nobody trained, to be scored: constant actions, uniform ones, rules, Python objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchrl.collect.acting import Softening, make_policy
from batchrl.collect.actions import ActingOn
from batchrl.contract.errors import InputError
from batchrl.contract.given import ALWAYS, MOST_FREQUENT, RULES_SUFFIX, UNIFORM
from batchrl.contract.text import listed
from batchrl.data.dataset import Dataset, Flags, Floats32, Floats64, default_names
from batchrl.data.loader import LoadedData
from batchrl.ope.study.fitted import Following
from batchrl.policies import SUM_TOLERANCE, FixedPolicy, Policy, among_eligible

# Probabilities that are written out.
NAMED = 5
# What is said of a policy on a log whose rows list what could be taken.
KEPT = ", kept to the eligible ones (where it takes none of them, each is as likely)"


@dataclass(frozen=True)
class GivenPolicy:
    """A policy that is given by what it does, whoever wrote it down.

    Args:
        name: as the user named it.
        label: in words.
        policy: says what it does.
    """

    name: str
    label: str
    policy: Policy

    def probabilities(self, states: Floats32, n_actions: int, eligible: Flags | None = None) -> Floats64:
        """Probabilities ``[B, A]`` of states ``[B, d]``.

        Args:
            states: ``[B, d]``.
            n_actions: A.
            eligible: ``[B, A]``, the actions that can be taken; see ``policies.among_eligible``. None: all.

        Raises:
            InputError: the policy fails, or what it answers are none.
        """
        found = np.asarray(self.policy.action_probabilities(states), dtype=np.float64)
        if found.shape != (len(states), n_actions):
            raise InputError(
                f"the policy {self.name} answers {len(states)} states with an array of shape {found.shape}.",
                f"Right is a row of {n_actions} probabilities for each state.",
            )
        wrong = ~np.isfinite(found).all(axis=1) | (found < 0).any(axis=1)
        wrong |= np.abs(found.sum(axis=1) - 1) > SUM_TOLERANCE
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"the policy {self.name} answers the state {states[row].tolist()} with {found[row].tolist()}.",
                "Right are probabilities that sum to 1.",
            )
        scaled: Floats64 = found / found.sum(axis=1, keepdims=True)
        return among_eligible(scaled, eligible)

    def following(self, loaded: LoadedData) -> Following:
        """What it would do after every step of a log; where nothing follows, anything."""
        data = loaded.dataset
        chances = np.full((data.n_transitions, data.n_actions), 1 / data.n_actions)
        goes_on = ~np.asarray(data.terminal)
        if goes_on.any():
            eligible = data.eligible_after(np.flatnonzero(goes_on).astype(np.int64))
            chances[goes_on] = self.probabilities(data.next_states[goes_on], data.n_actions, eligible)
        return Following(data, chances)


def given_policies(texts: Sequence[str], dataset: Dataset) -> list[GivenPolicy]:
    """The policies that texts name; see ``make_policy`` for what may be written, and for the errors.

    Args:
        texts: what the user wrote.
        dataset: the log, whose most frequent action is meant, and whose columns rules may name.
    """
    counts = np.bincount(dataset.actions, minlength=dataset.n_actions).astype(np.int64)
    acting_on = ActingOn(dataset.n_actions, dataset.state_columns, _names(dataset), counts)
    kept = "" if dataset.eligible is None else KEPT
    return [
        GivenPolicy(text, _label(text, policy, acting_on) + kept, policy)
        for text, policy in ((text, make_policy(text, acting_on, Softening())) for text in texts)
    ]


def _names(dataset: Dataset) -> Sequence[str] | None:
    """The actions' names; None where they are but their numbers."""
    return None if dataset.action_names == default_names(dataset.n_actions) else dataset.action_names


def _label(text: str, policy: Policy, acting_on: ActingOn) -> str:
    """What a policy does, in words; actions are called by their names, however the text calls them."""
    names = acting_on.action_names
    if text == UNIFORM:
        return "every action as often as any other"
    if text == MOST_FREQUENT and acting_on.action_counts is not None:
        most = int(acting_on.action_counts.argmax())
        return f"always action {names[most] if names else most}, the log's most frequent one"
    if text.startswith(ALWAYS):
        given = text.removeprefix(ALWAYS)
        return f"always action {names[acting_on.number_of(given, text)] if names else given}"
    if text.lstrip().startswith("[") and isinstance(policy, FixedPolicy):
        if not names:
            return "these probabilities in every state"
        chances = [f"{name} {chance:.3g}" for name, chance in zip(names, policy.rows[0], strict=True)]
        return f"{listed(chances, NAMED)} in every state"
    return "its rules" if text.lower().endswith(RULES_SUFFIX) else "as it acts"
