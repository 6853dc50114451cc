"""What a round leaves behind: one file of JSON for each of its steps, read back when the loop goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from batchrl.contract.divided import Returns

PROMOTED, KEPT_OUT, UNDECIDED = "promoted", "kept out", "undecided"
# What is read of a look of the gate.
LOOK_KEYS = ("look", "outcome", "reason", "difference", "doubt", "confidence")


@dataclass(frozen=True)
class Record:
    """A step's file."""

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave."""
        return cls(**values)


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

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote."""
        held_out = values["held_out"]
        nested = {
            "everything": Returns.from_json(values["everything"]),
            "held_out": None if held_out is None else Returns.from_json(held_out),
        }
        return cls(**{**values, **nested})


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

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote."""
        canary = values["canary"]
        nested = {
            "looks": tuple(values["looks"]),
            "canary": None if canary is None else Collected.from_json(canary),
        }
        return cls(**{**values, **nested})

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

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote."""
        nested = {
            "collected": Collected.from_json(values["collected"]),
            "trained": Trained.from_json(values["trained"]),
            "decision": RoundDecision.from_json(values["decision"]),
            "evaluated": Evaluated.from_json(values["evaluated"]),
        }
        return cls(**{**values, **nested})
