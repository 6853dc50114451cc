"""What a round leaves behind: one file of JSON for each of its steps, read back when the loop goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import TypeAdapter, ValidationError

from batchrl.contract.divided import Returns
from batchrl.contract.errors import DamagedContent

PROMOTED, KEPT_OUT, UNDECIDED = "promoted", "kept out", "undecided"
# What is read of a look of the gate.
LOOK_KEYS = ("look", "outcome", "reason", "difference", "doubt", "confidence")


@dataclass(frozen=True)
class Record:
    """A step's file: it has the fields as its keys, and no others."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True)
class Collected(Record):
    """Episodes of one policy, divided.

    Args:
        policy: who acted, in words.
        seed: of the episodes; None for those of a file.
        source: the file that they come from; None where they were played.
        everything: of all episodes.
        held_out: of those that were held out; None where none were.
        features, actions: sizes of the problem.
    """

    policy: str
    seed: int | None
    source: str | None
    everything: Returns
    held_out: Returns | None
    features: int
    actions: int


@dataclass(frozen=True)
class Trained(Record):
    """A candidate.

    Args:
        job: name of the training job.
        model_uri: its model archive.
        checkpoint_uri: its checkpoints.
        epoch: the one that was chosen, from the log alone.
        epochs: how many there were.
        reason: why that one.
    """

    job: str
    model_uri: str
    checkpoint_uri: str
    epoch: int
    epochs: int
    reason: str


@dataclass(frozen=True)
class RoundDecision(Record):
    """Whether the candidate takes the place of the incumbent policy.

    Args:
        outcome: ``promoted``, ``kept out`` or ``undecided``.
        reason: of the look that decided, as a sentence.
        policy_in_place, candidate: in words.
        alpha: probability at which the whole loop may promote a policy that is no better.
        alpha_of_a_look: the share of it that each look has.
        looks_planned: how many there may be in all rounds.
        looks: what each look said, as ``entrypoints/gate.py`` writes it.
        canary: the candidate's own episodes; None where there are none.
    """

    outcome: str
    reason: str
    policy_in_place: str
    candidate: str
    alpha: float
    alpha_of_a_look: float
    looks_planned: int
    looks: tuple[Mapping[str, Any], ...]
    canary: Collected | None = None

    @property
    def promoted(self) -> bool:
        """Whether the candidate became the incumbent policy."""
        return self.outcome == PROMOTED


@dataclass(frozen=True)
class Evaluated(Record):
    """Returns of the candidate in the simulator, greedy; they decide nothing.

    Args:
        job: name of the evaluation job; None where nothing was evaluated.
        note: what else there is to say: why nothing was evaluated, or that the candidate is not in place.
        episodes: how many.
        mean_return: undiscounted; None where nothing was evaluated.
        standard_error: of that mean.
        min_return, max_return: of an episode.
    """

    job: str | None
    note: str
    episodes: int = 0
    mean_return: float | None = None
    standard_error: float | None = None
    min_return: float | None = None
    max_return: float | None = None


@dataclass(frozen=True)
class Round(Record):
    """A whole round; its file is the last one, and says that the round is done.

    Args:
        number: from 1.
        collected: the episodes of the incumbent policy.
        trained: the candidate.
        decision: of the gate.
        evaluated: the candidate in the simulator.
        in_place_after: the round whose candidate acts from now on; 0 for the policy of the first round.
    """

    number: int
    collected: Collected
    trained: Trained
    decision: RoundDecision
    evaluated: Evaluated
    in_place_after: int


Kind = TypeVar("Kind", bound=Record)


def parsed(kind: type[Kind], values: Mapping[str, Any], place: Path) -> Kind:
    """A record, from what its file holds.

    Raises:
        DamagedContent: the file is none of such a record: it is named with the first key that is wrong, and why.
    """
    try:
        record: Kind = _adapter(kind).validate_python(values)  # type: ignore[arg-type]  # a class is hashable
    except ValidationError as error:
        raise DamagedContent(f"{place} is no file of this version of a loop: {first_fault(error)}.") from error
    return record


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def first_fault(error: ValidationError) -> str:
    """Which key is wrong, and why, in a line."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
