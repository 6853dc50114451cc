"""Conversion from and to formats of other programs: d3rlpy's HDF5 files, and Minari's datasets.

Their episodes become a Parquet file in a scratch folder, of which everything else is as with any other file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data import d3rlpyfiles, minaridata
from batchrl.data.actions import RANGES
from batchrl.data.binning import Bins, notes_on, quantile_bins
from batchrl.data.convert import convert, format_of, whole_target, write_batches
from batchrl.data.convert_schema import convert_described, convert_schema, settings_of
from batchrl.data.dataset import default_names
from batchrl.data.formats import HDF5_MAGIC, TextOptions
from batchrl.data.loader import CheckedRows, read_checked
from batchrl.data.schemas import Schema
from batchrl.data.tables import AS_FOUND, open_tables
from batchrl.data.trajectories import Trajectory, batches_of, is_quantity, trajectories_of
from presets.dataschema import DataSettings

HDF5_SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True)
class Asked:
    """What a conversion is told.

    Args:
        schema: of the target; None leaves it.
        overwrite: whether the target may be replaced.
        text: how text files of the source are to be read.
        bins: the number of ranges of each column that holds quantities.
        description: of a source that names its columns itself; the target has batchrl's names then.
    """

    schema: Schema | None = None
    overwrite: bool = False
    text: TextOptions = AS_FOUND
    bins: Mapping[str, int] = field(default_factory=dict)
    description: DataSettings | None = None

    @property
    def settings(self) -> DataSettings:
        """How the source is read."""
        return settings_of(self.text) if self.description is None else self.description


@dataclass(frozen=True)
class Converted:
    """What a conversion did.

    Args:
        rows: that were written.
        bytes: of all files that were written.
        bins: the ranges of columns.
        notes: what was left out or assumed, in words.
    """

    rows: int
    bytes: int
    bins: tuple[Bins, ...]
    notes: tuple[str, ...]


def exchanged(source: str, target: str, asked: Asked) -> Converted:
    """Write a data set in another format.

    Args:
        source: a file or folder of data, a HDF5 file of d3rlpy, or ``minari:`` and the id of a dataset.
        target: a file, whose name says the format, or ``minari:`` and the id of a new dataset.
        asked: how.

    Raises:
        InputError: the source cannot be read, the target cannot be written, or a format cannot hold the data.
    """
    elsewhere = target.startswith(minaridata.SCHEME) or target.lower().endswith(HDF5_SUFFIXES)
    if not elsewhere:
        format_of(Path(target))
    with _as_files(source, target, asked.bins) as (path, notes):
        bins = quantile_bins(path, asked.bins, asked.text)
        if bins and asked.schema is not None:
            raise InputError("--bin and --to-schema are two conversions.", "Make ranges first, and convert the result.")
        if bins and asked.description is not None:
            raise InputError(
                "--bin and a description are two conversions.", "Make ranges first, and convert the result."
            )
        told = (*notes, *(notes_on(bins, list(open_tables(path, asked.text)[0].names)) if bins else ()))
        if elsewhere:
            return _written(path, target, asked, bins, told)
        file = Path(target)
        if asked.description is not None:
            rows, more = convert_described(path, file, asked.description, asked.schema or "B", asked.overwrite)
            told = (*told, *more)
        elif asked.schema is not None:
            rows = convert_schema(path, file, asked.schema, asked.overwrite, asked.text)
        else:
            rows = convert(path, file, asked.overwrite, asked.text, bins)
        return Converted(rows, file.stat().st_size, bins, told)


@contextmanager
def _as_files(source: str, target: str, bins: Mapping[str, int]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The data as files that batchrl reads, with notes; errors inside name the source.

    Raises:
        InputError: it cannot be read, or its actions are quantities that are not made ranges.
    """
    path = Path(source)
    of_minari = source.startswith(minaridata.SCHEME)
    if not of_minari and not _is_hdf5(path):
        yield path, ()
        return
    name = source.removeprefix(minaridata.SCHEME)
    episodes = minaridata.read_episodes(name) if of_minari else d3rlpyfiles.read_episodes(path)
    watched = _Watched(source, target, columns.ACTION in bins)
    with tempfile.TemporaryDirectory(prefix="batchrl-convert-") as folder:
        file = Path(folder) / "episodes.parquet"
        write_batches(batches_of(watched.each(episodes)), file, overwrite=False)
        try:
            yield file, watched.notes
        except InputError as error:
            raise InputError(error.message.replace(str(file), source), error.hint) from error


class _Watched:
    """Looks at episodes as they come by."""

    def __init__(self, source: str, target: str, may_be_quantities: bool) -> None:
        self._source = source
        self._target = target
        self._may_be_quantities = may_be_quantities
        self._cut = 0

    def each(self, episodes: Iterable[Trajectory]) -> Iterator[Trajectory]:
        """The episodes.

        Raises:
            InputError: an action is a quantity, and must not be one.
        """
        for number, one in enumerate(episodes):
            found = is_quantity(one.actions)
            if found.any() and not self._may_be_quantities:
                raise InputError(
                    f"{self._source}, episode {number}: action {one.actions[found][0]:g} is a quantity; batchrl learns "
                    "to choose among a number of actions, not how much.",
                    f"`batchrl data convert {self._source} {self._target} --bin {columns.ACTION}={RANGES}` makes "
                    f"{RANGES} ranges of them.",
                )
            self._cut += not one.terminated and len(one.states) == len(one.actions)
            yield one

    @property
    def notes(self) -> tuple[str, ...]:
        """What the format lacks, once all have come by."""
        lacks = "the format has no propensities: a logging policy will be estimated, or add a column of them"
        cut = (
            f"{self._cut} episodes were cut short, and the format does not hold the state after their last step: those "
            "ends will count as terminal"
        )
        return (lacks, cut) if self._cut else (lacks,)


def _is_hdf5(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(HDF5_MAGIC)) == HDF5_MAGIC


def _written(path: Path, target: str, asked: Asked, bins: tuple[Bins, ...], told: tuple[str, ...]) -> Converted:
    """Episodes in another program's format."""
    if asked.schema is not None:
        raise InputError(f"{target}: episodes of d3rlpy and Minari have no schema.", "Leave --to-schema out.")
    with tempfile.TemporaryDirectory(prefix="batchrl-convert-") as folder:
        if bins:
            ranges = Path(folder) / "ranges.parquet"
            convert(path, ranges, text=asked.text, bins=bins)
            path = ranges
        checked = read_checked(path, asked.settings)
        checked.rows.require_plain(target)
        if target.startswith(minaridata.SCHEME):
            _require_ends(checked, target)
            name = target.removeprefix(minaridata.SCHEME)
            rows, at = minaridata.write_episodes(name, trajectories_of(checked), checked.rows.n_actions)
            size = sum(file.stat().st_size for file in at.rglob("*") if file.is_file())
        else:
            file = Path(target)
            with whole_target(file, asked.overwrite) as temporary:
                rows = d3rlpyfiles.write_episodes(temporary, trajectories_of(checked))
            size = file.stat().st_size
    return Converted(rows, size, bins, (*told, *_lost(checked, target)))


def _require_ends(checked: CheckedRows, target: str) -> None:
    if unknown := int(checked.cut_unknown.sum()):
        raise InputError(
            f"{target}: {unknown} episodes were cut short without a known next state, which Minari's hold.",
            "Add it: columns next_state_feature_*, or a closing row of a state alone.",
        )


def _lost(checked: CheckedRows, target: str) -> Iterator[str]:
    """What the formats do not hold of a log, in words."""
    rows = checked.rows
    ends_and_ids = (columns.TERMINAL, columns.TRUNCATED, columns.EPISODE_ID)
    held = {columns.ACTION, columns.REWARD, *ends_and_ids, *rows.state_columns, *rows.next_state_columns}
    if lost := [name for name in rows.places.tables[0].names if name not in held]:
        yield f"the format has no place for {', '.join(lost)}; episodes are numbered"
    if rows.action_names != default_names(rows.n_actions):
        numbered = ", ".join(f"{number} {name}" for number, name in enumerate(rows.action_names))
        yield f"actions are numbered: {numbered}"
    ends = checked.end_is_terminal
    if target.startswith(minaridata.SCHEME):
        known = checked.layout.drop_last or rows.next_states is not None
        if ends.any() and not known:
            yield f"the state after the end of {int(ends.sum())} episodes is not known: their last state stands for it"
    elif cut := int((~ends).sum() + checked.cut_unknown.sum()):
        yield f"d3rlpy's files hold no state after the last step: that of {cut} episodes cut short teaches it nothing"
