"""How a logging policy was estimated: by which model, how it was calibrated, and its calibration curve."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from batchrl.data.storage import chunks

Floats64 = NDArray[np.float64]
Integers = NDArray[np.int64]
Kind = Literal["logistic", "network"]

BINS = 10
# Fewer do not tell an error.
FEWEST_EPISODES = 20
# What is gained by chance passes two of them in one log of forty.
ERRORS = 2.0


@dataclass(frozen=True)
class CalibrationBin:
    """Estimated probabilities of a range, and how often those actions were taken.

    Args:
        lower, upper: the range.
        probabilities: how many there are in it, one for each action of each transition.
        mean_probability: their mean.
        taken: the share of them whose action was taken.
    """

    lower: float
    upper: float
    probabilities: int
    mean_probability: float
    taken: float


def in_ranges(chances: Floats64, actions: Integers) -> Floats64:
    """``[3, BINS]`` by ranges of the probability: how many there are, their sum, and how many of them were taken.

    Args:
        chances: ``[N, A]``, in memory or mapped.
        actions: ``[N]``, those that were taken.
    """
    result = np.zeros((3, BINS))
    for start, stop in chunks(len(actions)):
        part = chances[start:stop]
        places = _bin(part).ravel()
        result[0] += np.bincount(places, minlength=BINS)
        result[1] += np.bincount(places, part.ravel(), BINS)
        result[2] += np.bincount(_bin(part[np.arange(stop - start), actions[start:stop]]), minlength=BINS)
    return result


def calibration_curve(sums: Floats64) -> tuple[CalibrationBin, ...]:
    """From such sums; empty ranges are left out."""
    counts, total, taken = sums
    return tuple(
        CalibrationBin(
            number / BINS,
            (number + 1) / BINS,
            int(counts[number]),
            float(total[number] / counts[number]),
            float(taken[number] / counts[number]),
        )
        for number in np.flatnonzero(counts).tolist()
    )


def _bin(chances: Floats64) -> Integers:
    return np.minimum((chances * BINS).astype(np.int64), BINS - 1)


@dataclass(frozen=True)
class Gain:
    """How much lower a held-out log loss is than another, of the same transitions.

    Args:
        before: mean of ``-log p`` of the taken actions, in nats.
        after: the same of what is held against it.
        standard_error: of ``before - after``, over episodes; None where these are too few to tell.
    """

    before: float
    after: float
    standard_error: float | None

    @classmethod
    def of(cls, before: Floats64, after: Floats64, transitions: int) -> Gain:
        """From sums over episodes ``[n]``, of so many transitions together."""
        n = len(before)
        gained = before - after
        mean = transitions / n
        error = float(gained.std(ddof=1)) / math.sqrt(n) / mean if n >= FEWEST_EPISODES else None
        return cls(float(before.sum()) / transitions, float(after.sum()) / transitions, error)

    @property
    def beyond_chance(self) -> bool:
        """Whether it is more than two standard errors."""
        return self.standard_error is not None and self.before - self.after > ERRORS * self.standard_error


@dataclass(frozen=True)
class Bend:
    """A feature whose square a logistic model would profit from (``batchrl.data.curvature``).

    Args:
        feature: its name.
        action: the action whose probability it moves most.
        score: in standard deviations, of what chance gives.
    """

    feature: str
    action: str
    score: float

    def told(self) -> str:
        """What it means for figures that rest on the model."""
        return (
            f"the logistic model of the logging policy is not right: how often {self.action} is taken bends with "
            f"{self.feature} ({self.score:.1f} standard deviations); data.behavior_model=auto tries a network"
        )


@dataclass(frozen=True)
class LoggerFit:
    """How the policy of one logger was estimated.

    Args:
        logger: its name; None where one policy logged all.
        model: what was taken.
        network: the network's log loss held against the logistic model's; None where they were not compared.
        temperature: what logits are divided by; 1 where that did not help.
        calibrated: the log loss with the fitted temperature held against that without, whether it was applied or not.
        bend: what a logistic model leaves out beyond chance; None of a network, and where nothing that matters is seen.
    """

    logger: str | None
    model: Kind
    network: Gain | None
    temperature: float
    calibrated: Gain
    bend: Bend | None = None


@dataclass(frozen=True)
class BehaviourFit:
    """How the probabilities of a data set were estimated.

    Args:
        loggers: one for each logger.
        before: the calibration curve without temperatures; None where no temperature was applied.
    """

    loggers: tuple[LoggerFit, ...]
    before: tuple[CalibrationBin, ...] | None

    @property
    def has_networks(self) -> bool:
        """Whether any policy is a network."""
        return any(each.model == "network" for each in self.loggers)

    @property
    def doubt(self) -> str | None:
        """Why what rests on the models may be wrong; None where nothing speaks against them."""
        return next((f"{each.bend.told()}{_of(each)}" for each in self.loggers if each.bend is not None), None)

    def told(self) -> str:
        """What was done."""
        kinds: dict[Kind, list[str]] = {}
        for each in self.loggers:
            kinds.setdefault(each.model, []).append(each.logger or "")
        several = len(self.loggers) > 1
        if len(kinds) == 1:
            models = [WORDS[kind] + (", one for each logger" if several else "") for kind in kinds]
        else:
            models = [f"{WORDS[kind]} of {', '.join(names)}" for kind, names in kinds.items()]
        return "; ".join((*models, *self._compared(), *self._calibrated()))

    def _compared(self) -> Iterator[str]:
        """What a network gained over the logistic model, where they were compared."""
        for each in self.loggers:
            if (gain := each.network) is not None:
                doubt = "" if gain.standard_error is None else f" (difference +- {gain.standard_error:.2g})"
                yield (
                    f"held-out log loss{_of(each)} {gain.before:.4g} of the logistic model, {gain.after:.4g} of a "
                    f"network{doubt}"
                )

    def _calibrated(self) -> Iterator[str]:
        tempered = [each for each in self.loggers if each.temperature != 1]
        if not tempered:
            yield "no temperature lowers the held-out log loss beyond chance"
        for each in tempered:
            yield (
                f"calibrated{_of(each)} by temperature {each.temperature:.3g}, which lowers the held-out log loss from "
                f"{each.calibrated.before:.4g} to {each.calibrated.after:.4g}"
            )


def _of(fit: LoggerFit) -> str:
    return "" if fit.logger is None else f" of {fit.logger}"


WORDS: dict[Kind, str] = {
    "logistic": "multinomial logistic regression",
    "network": "a network of one hidden layer beside a logistic regression",
}
