"""The checkpoint folder of a job: one file an epoch, and pointers to the latest and the best."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchrl.checkpoints.files import Published, check_state, publish_json, publish_state, read_state
from batchrl.contract.errors import DamagedContent
from batchrl.contract.files import TEMPORARY_SUFFIX, State
from batchrl.contract.layout import BEST_NAME, CHECKPOINT_PATTERN, LATEST_NAME
from batchrl.contract.manifest import sha256_of
from batchrl.contract.pointers import CHECKPOINT

_NAME = re.compile(r"epoch_(\d+)\.pt")


@dataclass(frozen=True)
class PointerDetails:
    """What a pointer says beside the file's name.

    Args:
        epoch: the epoch that it points to.
        metric: what was compared.
        value: its value; None where it is undefined.
        reason: why this epoch, in words.
    """

    epoch: int
    metric: str
    value: float | None
    reason: str


class CheckpointFolder:
    """Publishes checkpoints, and finds the newest whole one.

    Args:
        path: of the folder; it need not exist.
        keep: how many of the newest to keep, beside the best.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self.path = path
        self._keep = keep
        self._damaged: set[int] = set()

    def file(self, epoch: int) -> Path:
        """The file of an epoch."""
        return self.path / CHECKPOINT_PATTERN.format(epoch=epoch)

    def epochs(self) -> list[int]:
        """Epochs that have a file which is not known to be damaged, in order."""
        return sorted({epoch for epoch, _ in self._files()} - self._damaged)

    def newest(self, warn: Callable[[str], None]) -> State | None:
        """The newest checkpoint that can be read; damaged ones are passed over, with a warning that names them."""
        for epoch in self.epochs():
            try:
                check_state(self.file(epoch))
            except DamagedContent as error:
                self._damaged.add(epoch)
                warn(f"{error.message} It is passed over.")
        whole = self.epochs()
        return read_state(self.file(whole[-1])) if whole else None

    def clean(self) -> None:
        """Remove what a killed writer left behind."""
        for leftover in self.path.glob(f"*{TEMPORARY_SUFFIX}"):
            leftover.unlink(missing_ok=True)

    def publish(self, epoch: int, state: State) -> Published:
        """Write the checkpoint of an epoch."""
        self._damaged.discard(epoch)
        return publish_state(self.file(epoch), state)

    def point(self, latest: PointerDetails, best: PointerDetails) -> None:
        """Write both pointers, then remove checkpoints that are neither among the newest nor the best."""
        self._write_pointer(LATEST_NAME, latest)
        self._write_pointer(BEST_NAME, best)
        # Files of later epochs are left from a run that was resumed from an earlier one: they are replaced in time.
        done = [epoch for epoch in self.epochs() if epoch <= latest.epoch]
        for epoch in done[: -self._keep]:
            if epoch != best.epoch:
                self.file(epoch).unlink(missing_ok=True)

    def _write_pointer(self, name: str, choice: PointerDetails) -> None:
        content = self.file(choice.epoch).read_bytes()
        pointer: dict[str, Any] = {
            CHECKPOINT: self.file(choice.epoch).name,
            "epoch": choice.epoch,
            "sha256": sha256_of(content),
            "size": len(content),
            "metric": choice.metric,
            "value": choice.value,
            "reason": choice.reason,
        }
        publish_json(self.path / name, pointer)

    def _files(self) -> Iterator[tuple[int, Path]]:
        if not self.path.is_dir():
            return
        for file in self.path.iterdir():
            if match := _NAME.fullmatch(file.name):
                yield int(match[1]), file
