"""The inputs of an ONNX graph of raw records: their names, what they take in words, and records to try it with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchrl.data.dataset import Floats32, Floats64, Integers
from batchrl.data.encoding import DAY, CategoryFeature, DateFeature, Encoding, Kind, NumberFeature, RawColumn

INPUT_SUFFIX = "?input"
TAKES: Mapping[Kind, Mapping[str, str]] = {
    "number": {"type": "double", "missing": "nan"},
    "category": {"type": "string", "missing": ""},
    "date": {
        "type": "string",
        "missing": "",
        "form": "2026-11-30 or 2026-11-30T08:00:00.5+01:00 (UTC where it names no zone), or seconds since 1970",
    },
}
# Shares of the records that are tried.
MISSING, UNSEEN, BLANKS, COUNTED = 0.1, 0.05, 0.05, 0.2
# The seconds since 1970 that are tried: numbers of nine digits at least are dates from 1973 on.
MOMENTS = (1e8, 7e9)


def input_names(encoding: Encoding, taken: Collection[str]) -> dict[str, str]:
    """The name of each column's input: its own, or with ``INPUT_SUFFIX`` where an output has that name.

    Args:
        encoding: of the columns.
        taken: names of the outputs.
    """
    found: dict[str, str] = {}
    for column in encoding.columns:
        name = column
        while name in taken or (name != column and name in encoding.columns):
            name += INPUT_SUFFIX
        found[column] = name
    return found


def inputs_in_words(encoding: Encoding, names: Mapping[str, str]) -> list[dict[str, str]]:
    """What each input takes, for the file's metadata."""
    return [
        {"name": names[column], "column": column, "kind": kind, **TAKES[kind]}
        for column, kind in encoding.kinds.items()
    ]


def records_near(encoding: Encoding, states: Floats32) -> tuple[Floats32, dict[str, NDArray[Any]]]:
    """Raw records whose features are near to some states, but for what is missing or unseen in them.

    Args:
        encoding: of the records.
        states: ``[n, D]``.

    Returns:
        Their features ``[n, D]``, and each column's cells ``[n]`` as an input takes them.
    """
    rng = np.random.default_rng(1)
    columns, raw, inputs = [], [], {}
    place = 0
    for feature in encoding.features:
        own = states[:, place : place + len(feature.names)].astype(np.float64)
        place += len(feature.names)
        match feature:
            case NumberFeature():
                levels: tuple[str, ...] = ()
                values = np.where(rng.random(len(own)) < MISSING, np.nan, own[:, 0] + feature.offset)
                cells = values
            case CategoryFeature():
                levels, values, cells = _texts(feature, own, rng)
            case DateFeature():
                levels = ()
                values, cells = _moments(feature, own, rng)
        columns.append(RawColumn(feature.column, feature.kind, levels))
        raw.append(values)
        inputs[feature.column] = cells
    return encoding.encode(columns, np.stack(raw, axis=1)), inputs


def _texts(
    feature: CategoryFeature, own: Floats64, rng: np.random.Generator
) -> tuple[tuple[str, ...], Floats64, NDArray[Any]]:
    """Levels of a category and of texts that it does not know, the codes of some texts, and these texts."""
    levels = (*feature.levels, "".join(feature.levels) + "?")
    values = own[:, : len(feature.levels)].argmax(axis=1).astype(np.float64)
    chance = rng.random(len(own))
    values[chance < MISSING + UNSEEN] = len(feature.levels)
    values[chance < MISSING] = np.nan
    padded = chance > 1 - BLANKS
    texts = ["" if np.isnan(code) else levels[int(code)] for code in values]
    texts = [f" {text}\t" if blank else text for text, blank in zip(texts, padded, strict=True)]
    return levels, values, np.array(texts, object)


def _moments(feature: DateFeature, own: Floats64, rng: np.random.Generator) -> tuple[Floats64, NDArray[Any]]:
    """Moments in seconds since 1970, to the millisecond, and as texts: dates, or numbers."""
    seconds = np.clip(feature.start + own[:, 0] * DAY, *MOMENTS)
    milliseconds: Integers = np.round(seconds * 1000).astype(np.int64)
    chance = rng.random(len(own))
    texts = np.datetime_as_string(milliseconds.astype("datetime64[ms]")).astype(object)
    counted = chance > 1 - COUNTED
    texts[counted] = [f"{number / 1000:.3f}" for number in milliseconds[counted]]
    values = milliseconds / 1000
    nothing = chance < MISSING
    values[nothing], texts[nothing] = np.nan, ""
    return values, texts
