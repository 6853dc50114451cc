"""How sure a look has to be, and what several looks come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.iterate.step_files import UNDECIDED, Collected, Record, Round, RoundDecision

LOOKS_WITH_CANARY = 2


@dataclass(frozen=True)
class Level(Record):
    """The share of the loop's alpha that a look has (Bonferroni): rounds, times two where a canary may follow.

    Whatever the looks depend on, the probability that any of them promotes a policy that is no better is then at most
    alpha, over all rounds together. A round keeps the level that it had before its first look.

    Args:
        alpha: of the whole loop.
        rounds: that are asked for.
        with_canary: whether a round may take a second look.
    """

    alpha: float
    rounds: int
    with_canary: bool

    @property
    def looks(self) -> int:
        """How many there may be."""
        return self.rounds * (LOOKS_WITH_CANARY if self.with_canary else 1)

    @property
    def alpha_of_a_look(self) -> float:
        """The probability of a false promotion that one look may spend."""
        return self.alpha / self.looks


def concluded(
    looks: Sequence[Mapping[str, Any]], level: Level, policy_in_place: str, candidate: str, canary: Collected | None
) -> RoundDecision:
    """The last look decides; undecided, the incumbent policy stays."""
    last = looks[-1]
    reason = str(last["reason"])
    if last["outcome"] == UNDECIDED:
        reason += f" The incumbent policy stays: {policy_in_place}."
    return RoundDecision(
        outcome=str(last["outcome"]),
        reason=reason,
        policy_in_place=policy_in_place,
        candidate=candidate,
        alpha=level.alpha,
        alpha_of_a_look=level.alpha_of_a_look,
        looks_planned=level.looks,
        looks=tuple(looks),
        canary=canary,
    )


def goes_on(look: Mapping[str, Any]) -> bool:
    """Whether a look at the log leaves a canary something to decide: not where the candidate is the incumbent."""
    return look["outcome"] == UNDECIDED and not look.get("acts_alike", False)


def alpha_spent(rounds: Sequence[Round], with_canary: bool) -> float:
    """Probability, at most, that any of these rounds promoted a policy that is no better.

    Looks count as they were taken; a canary that was not needed counts as well, for it might have been. It is more
    than the loop's alpha where rounds were added to those that earlier ones were corrected for.

    Args:
        rounds: that are done.
        with_canary: whether each of them might take a second look.
    """
    planned = LOOKS_WITH_CANARY if with_canary else 1
    return sum(
        sum(float(look["alpha"]) for look in decision.looks)
        + (planned - len(decision.looks)) * decision.alpha_of_a_look
        for decision in (record.decision for record in rounds)
    )
