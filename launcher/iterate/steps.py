"""What a round needs done by others. ``work`` does it with processes and jobs, tests with less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from batchrl.contract.divided import Divided
from launcher.iterate.step_files import Evaluated, Trained


@dataclass(frozen=True)
class Actor:
    """A policy that acts.

    Args:
        label: in words.
        policy: as ``collect.py --policy`` takes it.
        softened: whether it is trained, and acts by chance only because it is made to.
        model_uri: its model archive; None for one that no job of the loop trained.
    """

    label: str
    policy: str
    softened: bool
    model_uri: str | None = None


@dataclass(frozen=True)
class Play:
    """Episodes that are wanted.

    Args:
        name: what endpoints and jobs for them are called.
        actor: who acts.
        episodes: at least so many.
        seed: of environments and actions.
    """

    name: str
    actor: Actor
    episodes: int
    seed: int


@dataclass(frozen=True)
class Cut:
    """How episodes are divided.

    Args:
        share: of those that are held out; 0 holds out none.
        seed: of the draw.
        prefix: of their ids, so that those of all rounds differ.
        logged_by: the policy that is said to have logged them; None for episodes that were just played by it.
    """

    share: float
    seed: int
    prefix: str
    logged_by: Actor | None = None


@dataclass(frozen=True)
class Look:
    """One question to the gate.

    Args:
        held_out: unseen episodes of the incumbent policy.
        model: the candidate, exported.
        canary: its own episodes; None asks the log.
        learnt_from: files with the episodes that it learnt from, for fitted values.
        alpha: of this look.
        seed: of resamples and fits.
    """

    held_out: Path
    model: Path
    canary: Path | None
    learnt_from: Mapping[str, Path]
    alpha: float
    seed: int


class Steps(Protocol):
    """A round's steps. Each may be asked again for what it has done before: a run may have been killed meanwhile."""

    def collect(self, play: Play, target: Path) -> None:
        """Play episodes and write them, with their propensities and ends."""
        ...

    def tidy(self, play: Play) -> None:
        """Remove what was deployed to play them, if anything is left of it."""
        ...

    def divide(self, source: Path, kept: Path, held_out: Path | None, cut: Cut) -> Divided:
        """Write the episodes of a file into two."""
        ...

    def train(self, name: str, data: Mapping[str, Path], model: Path, training: Path) -> Trained:
        """Train a candidate on the files of these names, and bring it and what its job wrote into two folders."""
        ...

    def judge(self, look: Look) -> Mapping[str, Any]:
        """What ``entrypoints/gate.py`` says."""
        ...

    def evaluate(self, name: str, trained: Trained) -> Evaluated:
        """Play with the candidate in the simulator; its note is empty."""
        ...
