"""Which episodes of a log a policy is scored on: those that it was not trained on, where that is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Integers
from batchrl.data.split import Split
from batchrl.ope.report.words import OF_EPISODES, Words
from batchrl.ope.study.sources import TrainedPolicy

Episodes = Literal["auto", "test", "evaluation", "all"]
OPTIMISTIC = "figures on them are optimistic."


@dataclass(frozen=True)
class Chosen:
    """The episodes to score on: their positions, and in words which they are and what that means."""

    positions: Integers
    which: str
    remarks: tuple[str, ...] = ()
    whole: bool = False


def choose_episodes(
    n_episodes: int,
    policies: Sequence[TrainedPolicy],
    splits: Sequence[Split | None],
    wanted: Episodes,
    words: Words = OF_EPISODES,
) -> Chosen:
    """Which episodes to score on.

    ``auto`` takes those that no policy was trained on, and of them the test episodes where every run kept some: the
    others chose the checkpoint. A run's split is known where the log is the very data of the run.

    Args:
        n_episodes: of the log.
        policies: the trained ones.
        splits: of the log in the run of each; None where the run had other data.
        wanted: what the user asked for.
        words: what the episodes are called.

    Raises:
        InputError: the split that was asked for is not known, or holds no episode.
    """
    everything = np.arange(n_episodes, dtype=np.int64)
    known = [(policy, split) for policy, split in zip(policies, splits, strict=True) if split is not None]
    if wanted == "all" or (wanted == "auto" and not known):
        seen = (f"{policy.name} was trained on {len(split.train)} of these {words.episodes}" for policy, split in known)
        return Chosen(
            everything, f"all {words.episodes} of the log", tuple(f"{text}: {OPTIMISTIC}" for text in seen), True
        )
    if wanted != "auto" and len(known) < max(1, len(policies)):
        unknown = [policy.name for policy, split in zip(policies, splits, strict=True) if split is None]
        reason = (
            f"the log is not the data that {unknown[0]} was trained on" if unknown else "no trained policy is given"
        )
        raise InputError(f"--episodes {wanted}: {reason}, so no split is known.", "Use --episodes all.")
    kind = wanted if wanted != "auto" else _best_kind([split for _, split in known])
    positions = _common([getattr(split, kind) for _, split in known])
    if len(positions):
        which = f"the {kind} {words.episodes} of {'the run' if len(known) == 1 else 'all runs'}"
        chose = (f"The evaluation {words.episodes} chose the checkpoint: {OPTIMISTIC}",)
        return Chosen(positions, which, chose if kind == "evaluation" else ())
    if wanted != "auto":
        raise InputError(f"--episodes {wanted}: there are no such episodes.", "Use --episodes all.")
    unseen = f"No {words.episode} is unseen by every policy: {OPTIMISTIC}"
    return Chosen(everything, f"all {words.episodes} of the log", (unseen,), True)


def _best_kind(splits: Iterable[Split]) -> str:
    return "test" if all(len(split.test) for split in splits) else "evaluation"


def _common(parts: Sequence[Integers]) -> Integers:
    """The positions that all parts hold, in the order of the first."""
    common = parts[0]
    for part in parts[1:]:
        common = common[np.isin(common, part)]
    return common
