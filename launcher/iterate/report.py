"""A loop for people: its rounds as a table, why each was decided as it was, and what acts now."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from batchrl.contract.interval import Interval, with_interval
from launcher.api.instances import is_aws_type
from launcher.iterate import collectors, state
from launcher.iterate.gate import alpha_spent
from launcher.iterate.settings import LoopSettings
from launcher.iterate.state import LoopFolder
from launcher.iterate.step_files import Round

WIDTH = 80
# In place of a figure that is not to be relied on.
CANNOT_TELL = "cannot tell"
# Two numbers are one but for rounding.
SAME = 1e-9


@dataclass(frozen=True)
class LoopReport:
    """What a loop has come to.

    Args:
        folder: of the loop.
        settings: what it is.
        rounds: that are done.
        planned: how many were asked for.
    """

    folder: LoopFolder
    settings: LoopSettings
    rounds: Sequence[Round]
    planned: int

    @classmethod
    def of(cls, folder: LoopFolder) -> LoopReport:
        """A loop that lies in a folder.

        Raises:
            InputError: there is none.
        """
        settings, rounds = LoopSettings.of_folder(folder), folder.records()
        return cls(folder, settings, rounds, folder.planned_rounds() or len(rounds))

    @property
    def in_place(self) -> int:
        """The round whose policy acts now; 0 for the policy of the first round."""
        return self.rounds[-1].in_place_after if self.rounds else 0

    @property
    def acting(self) -> str:
        """Whose policy acts now, in words."""
        if self.in_place:
            return f"round {self.in_place}'s policy"
        return self.rounds[0].collected.policy if self.rounds else self.settings.preset.collect.behavior

    @property
    def step(self) -> str | None:
        """What the round that is not done is at; None where none has begun."""
        folder = self.folder.round(len(self.rounds) + 1)
        if not folder.root.is_dir():
            return None
        files = {
            state.COLLECTED: "collecting",
            state.TRAINED: "training",
            state.DECISION: "the gate",
            state.EVALUATED: "evaluating",
        }
        return next((words for name, words in files.items() if folder.read_json(name) is None), "ending")

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        model = None if not self.in_place else str(self.folder.round(self.in_place).model)
        with_canary = self.settings.preset.gate.undecided == "canary"
        return {
            "name": self.settings.name,
            "jobs_name": self.settings.jobs_name,
            "folder": str(self.folder.root),
            "rounds_planned": self.planned,
            "rounds": [asdict(record) for record in self.rounds],
            "in_place": self.in_place,
            "model": model,
            "alpha": self.settings.preset.gate.alpha,
            "alpha_spent": alpha_spent(self.rounds, with_canary),
            "picture": str(self.folder.picture) if self.rounds else None,
        }

    def rows(self) -> list[dict[str, str]]:
        """The table; at most 80 columns wide with figures of ordinary size."""
        return [_row(record) for record in self.rounds]

    def lines(self) -> Iterator[str]:
        """What stands below the table, at most 80 columns wide but for paths."""
        for record in self.rounds:
            yield from _wrapped(f"Round {record.number}. {record.decision.reason}")
        if self.rounds:
            yield ""
        yield from _wrapped(f"Incumbent policy: {self.acting}.")
        if len(self.rounds) < self.planned:
            step = "" if self.step is None else f", round {len(self.rounds) + 1} is at {self.step}"
            yield from _wrapped(f"{len(self.rounds)} of {self.planned} rounds are done{step}.")
        elif self.rounds:
            done = "1 round is done" if self.planned == 1 else f"All {self.planned} rounds are done"
            yield from _wrapped(f"{done}; --rounds {self.planned + 1} adds one.")
        yield from self._confidence()
        if self.in_place:
            yield f"job      {self.rounds[self.in_place - 1].trained.job}"
            yield f"model    {self.folder.round(self.in_place).model}"
            yield f"serve    {self._deployment()}"
        if self.rounds:
            yield f"picture  {self.folder.picture}"

    def _deployment(self) -> str:
        """The command that serves the incumbent policy, as it acts in the loop."""
        acting = collectors.environment(self.settings.preset.collect)
        options = "".join(f" --env {name}={value}" for name, value in acting.items())
        if is_aws_type(instance_type := self.settings.jobs.instance_type):
            options += f" --instance-type {instance_type}"
        return f"batchrl deploy {self.rounds[self.in_place - 1].trained.job}{options}"

    def _confidence(self) -> Iterator[str]:
        if not self.rounds:
            return
        gate = self.settings.preset.gate
        spent = alpha_spent(self.rounds, gate.undecided == "canary")
        yield from _wrapped(
            f"The chance that any round promoted a policy that is no better is held to {max(spent, gate.alpha):.3g}"
            + (
                f": above the {gate.alpha:g} that was asked for, since rounds were added to a loop that was corrected "
                "for fewer."
                if spent > gate.alpha + SAME
                else ", over all rounds."
            )
        )


def _row(record: Round) -> dict[str, str]:
    found, decision = record.collected.everything, record.decision
    last = decision.looks[-1]
    return {
        "round": str(record.number),
        "in_place": record.collected.policy.removesuffix("'s policy"),
        "returned": with_error(found.mean_return, found.standard_error),
        "difference": interval(last["difference"]) if last["doubt"] is None else CANNOT_TELL,
        "outcome": f"{decision.outcome}*" if last["look"] == "canary" else decision.outcome,
        "evaluated": with_error(record.evaluated.mean_return, record.evaluated.standard_error),
    }


def notes(rounds: Sequence[Round]) -> Iterator[str]:
    """What the table's readers have to know: what differences are of, and what the star means where there is one."""
    if rounds:
        yield "DIFFERENCE is of discounted returns, the other returns are not discounted"
    if any(record.decision.looks[-1]["look"] == "canary" for record in rounds):
        yield "* by a canary: episodes that the candidate played itself"


def with_error(mean: float | None, error: float | None) -> str:
    """``22.52 +- 0.55``; a dash where there is nothing."""
    if mean is None:
        return "-"
    return _short(mean) if error is None else f"{_short(mean)} +- {error:.2g}"


def interval(difference: Mapping[str, float | None]) -> str:
    """``+3.5 [2.97, 4.03]``; a dash for what is not defined."""
    return with_interval(difference["value"], Interval.one_sided(difference), "+.3g", ".3g")


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.3g}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
