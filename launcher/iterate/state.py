"""The folder of a loop: every file of it by name, written whole or not at all.

::

    loop.json            what the loop is; it never changes
    plan.json            how many rounds were asked for last
    place.json           where the folder itself lay when the loop ran last
    train.yaml evaluate.yaml   the presets that a user's own files held when the loop began
    rounds.png           the picture
    lock                 held by whoever runs the loop
    round_01/episodes.parquet held_out.parquet canary.parquet     every episode of the round
             model/ training/                                     the candidate, and what its job wrote
             collected.json trained.json level.json gate_log.json gate_canary.json canary.json decision.json
             evaluated.json
             round.json                                           the round is done

A step writes its results into a folder of its own, moves them to their names, and last writes its file of JSON: killed
anywhere, it is done again from its beginning, or not at all. Each is on disk before the next is written, so that a
power loss is no worse.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.files import TEMPORARY_SUFFIX, write_atomically
from launcher.base import lock
from launcher.iterate.step_files import LOOK_KEYS, Kind, Record, Round, parsed

LOOP, PLAN, PLACE, LOCK, PICTURE = "loop.json", "plan.json", "place.json", "lock", "rounds.png"
COLLECTED, TRAINED, DECISION = "collected.json", "trained.json", "decision.json"
LEVEL, GATE_LOG, GATE_CANARY, CANARY = "level.json", "gate_log.json", "gate_canary.json", "canary.json"
EVALUATED, ROUND = "evaluated.json", "round.json"
SCRATCH_PREFIX = ".work-"
# Names that ``publish_text`` gives to what it has not written to its end.
UNFINISHED = (f"*.json.*{TEMPORARY_SUFFIX}", f"*.yaml.*{TEMPORARY_SUFFIX}")
FORMAT = 2


@dataclass(frozen=True)
class RoundFolder:
    """The files of one round.

    Args:
        root: the folder; made when something is written.
        number: of the round.
    """

    root: Path
    number: int

    @property
    def raw(self) -> Path:
        """Episodes as they were played; removed once they are divided."""
        return self.root / "raw.parquet"

    @property
    def raw_canary(self) -> Path:
        """File of the canary's episodes as they were played."""
        return self.root / "raw_canary.parquet"

    @property
    def episodes(self) -> Path:
        """Episodes that this round's candidate learns from."""
        return self.root / "episodes.parquet"

    @property
    def held_out(self) -> Path:
        """Episodes that judge it."""
        return self.root / "held_out.parquet"

    @property
    def canary(self) -> Path:
        """Episodes that it played itself."""
        return self.root / "canary.parquet"

    @property
    def model(self) -> Path:
        """The candidate, exported."""
        return self.root / "model"

    @property
    def training(self) -> Path:
        """What its job wrote beside the model: the summary and the estimates of every epoch."""
        return self.root / "training"

    def read(self, name: str, kind: type[Kind]) -> Kind | None:
        """A step's record; None where the step is not done.

        Raises:
            DamagedContent: the file is none of ours.
        """
        values = self.read_json(name)
        return None if values is None else parsed(kind, values, self.root / name)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """What a file holds; None where there is none.

        Raises:
            DamagedContent: the file is none of ours.
        """
        return read_json(self.root / name, LOOK_KEYS if name in (GATE_LOG, GATE_CANARY) else ())

    def publish(self, name: str, record: Record | Mapping[str, Any]) -> None:
        """Write a step's file: the step is done."""
        publish_json(self.root / name, asdict(record) if isinstance(record, Record) else record)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for a step's unfinished results, of this process alone; removed afterwards."""
        _make_folder(self.root)
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=self.root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what runs that were killed left unfinished."""
        for left in self.root.glob(f"{SCRATCH_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        _sweep_files(self.root)


@dataclass(frozen=True)
class LoopFolder:
    """The folder of one loop.

    Args:
        root: the folder; it need not exist.
    """

    root: Path

    @property
    def picture(self) -> Path:
        """File of the loop's picture."""
        return self.root / PICTURE

    @property
    def exists(self) -> bool:
        """Whether a loop lies here."""
        return (self.root / LOOP).is_file()

    def round(self, number: int) -> RoundFolder:
        """The files of a round, from 1."""
        return RoundFolder(self.root / f"round_{number:02d}", number)

    def records(self) -> list[Round]:
        """The rounds that are done, in order."""
        found: list[Round] = []
        while (record := self.round(len(found) + 1).read(ROUND, Round)) is not None:
            found.append(record)
        return found

    def read_loop(self) -> dict[str, Any]:
        """What the loop is.

        Raises:
            InputError: there is no loop here, or one of another version.
        """
        values = read_json(self.root / LOOP)
        if values is None:
            raise InputError(f"there is no loop in {self.root}.", "Begin one: batchrl iterate --output FOLDER")
        if values.get("format") != FORMAT:
            raise InputError(f"the loop in {self.root} was made by another version of batchrl.", "Begin a new one.")
        return values

    def planned_rounds(self) -> int | None:
        """How many rounds were asked for last; None before the first time.

        Raises:
            DamagedContent: the file is none of ours.
        """
        plan = read_json(self.root / PLAN, ("rounds",))
        if plan is None:
            return None
        if not isinstance(plan["rounds"], int):
            raise DamagedContent(f"{self.root / PLAN} cannot be read: rounds is {plan['rounds']!r}, and no number.")
        return plan["rounds"]

    def plan(self, rounds: int) -> None:
        """Remember how many rounds are asked for."""
        publish_json(self.root / PLAN, {"rounds": rounds})

    def sweep(self) -> None:
        """Remove what runs that were killed left unfinished, in rounds that are done as well; the folder is locked."""
        for left in self.root.glob(f"*/{SCRATCH_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        _sweep_files(self.root)

    def settle(self, identity: str) -> None:
        """Remember where the loop lies; the folder is locked.

        Args:
            identity: of the loop.

        Raises:
            InputError: this is the copy of a loop that is still where it was: they would take each other's jobs.
        """
        here = self.root.resolve()
        known = (read_json(self.root / PLACE) or {}).get("folder")
        if known == str(here):
            return
        if isinstance(known, str) and LoopFolder(Path(known)).holds(identity) and not here.samefile(known):
            raise InputError(
                f"the loop in {self.root} is a copy of the one in {known}: both would take the same jobs.",
                f"Go on there: batchrl iterate --output {known}; or begin a new loop in another folder. A loop that "
                "was moved, so that nothing is left there, goes on.",
            )
        publish_json(self.root / PLACE, {"folder": str(here)})

    def holds(self, identity: str) -> bool:
        """Whether the loop of this identity lies here."""
        try:
            values = read_json(self.root / LOOP)
        except DamagedContent:
            return False
        return values is not None and values.get("identity") == identity

    def check_free(self) -> None:
        """Refuse a folder that holds something else.

        Raises:
            InputError: it does, or it cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            ours = (LOCK, PLAN)  # of a beginning that was killed
            others = [path.name for path in self.root.iterdir() if path.name not in ours and not _is_unfinished(path)]
        except OSError as error:
            raise InputError(f"{self.root} cannot be used: {error.strerror}.", "Give another one: --output") from error
        if others and not self.exists:
            raise InputError(
                f"{self.root} is not empty and holds no loop: {', '.join(sorted(others)[:3])}.",
                "Give another folder: --output",
            )
        if not os.access(self.root, os.W_OK):
            raise InputError(f"{self.root} cannot be written.", "Give another one: --output")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else runs the loop meanwhile; the lock ends with the process, however that ends.

        Raises:
            InputError: somebody does.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        held = lock.take(self.root / LOCK, mode=0o666)
        if held is None:
            owner = (self.root / LOCK).read_text().strip()
            raise InputError(
                f"the loop in {self.root} is running{f' (process {owner})' if owner else ''}.",
                f"Look at it with: batchrl iterate --show {self.root}",
            )
        with held:
            held.note(f"{os.getpid()}\n")
            yield


def _is_unfinished(path: Path) -> bool:
    return any(path.match(pattern) for pattern in UNFINISHED)


def _sweep_files(folder: Path) -> None:
    for pattern in UNFINISHED:
        for left in folder.glob(pattern):
            left.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Give a finished file or folder its name; an older one of that name is replaced.

    It was written in ``scratch``, mostly by another process: there is no writer to give a temporary name to.

    It is on disk under that name when this returns.
    """
    for path in (*source.rglob("*"), source):
        _sync(path)
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)
    _sync(target.parent)


def _make_folder(path: Path) -> None:
    """Have a folder, whose name is on disk when this returns."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        _sync(path.parent)


def _sync(path: Path) -> None:
    """Have the content of a file, or the names in a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path, keys: Sequence[str] = ()) -> dict[str, Any] | None:
    """The mapping in a file; None where there is none.

    Args:
        path: the file.
        keys: that it must have.

    Raises:
        DamagedContent: it cannot be read, or lacks a key.
    """
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DamagedContent(f"{path} cannot be read: {error}.") from error
    if not isinstance(values, dict):
        raise DamagedContent(f"{path} cannot be read: it holds no mapping.")
    missing = [key for key in keys if key not in values]
    if missing:
        raise DamagedContent(f"{path} cannot be read: it has no {', '.join(missing)}.")
    return values


def publish_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a file of JSON, whole or not at all; it is on disk when this returns."""
    publish_text(path, json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n")


def publish_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all; it is on disk when this returns."""
    _make_folder(path.parent)
    write_atomically(path, text, shared=True, synced=True)
    _sync(path.parent)
