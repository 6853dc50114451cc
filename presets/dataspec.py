"""A description of logged data: the section ``data`` of a preset as a file of its own, and as words of a command line.

::

    columns: {episode: user_id, time: sent_at, action: treatment, reward: margin, propensity: p}
    state_columns: [age, visits]

Whatever takes a preset takes its keys as overrides, so that the description travels with a job as its hyperparameters
and with the model as its resolved preset.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from presets.dataschema import ColumnSettings, DataSettings
from presets.errors import PresetError, UnknownKeyError, shown
from presets.reading import read
from presets.resolving import leaves

SECTION = "data"


def overrides_of(
    description: str | Path | None, mapping: str | None, state_columns: str | None, pairs: Sequence[str] = ()
) -> dict[str, str]:
    """What the options ``--data-spec``, ``--map``, ``--state-columns`` and ``--set`` say, as overrides of a preset.

    Args:
        description: path of a file; None for none.
        mapping: ``episode=user_id,reward=margin``; it goes before the file.
        state_columns: ``age,visits``; the same.
        pairs: ``data.decimal=comma``, of this section alone; they go before all else.

    Returns:
        Texts by dotted key.

    Raises:
        PresetError: the file cannot be read, a key is unknown, or a text is none of these.
    """
    result = {} if description is None else _of_file(Path(description))
    result |= {} if mapping is None else _of_mapping(mapping)
    if state_columns is not None:
        names = [name.strip() for name in state_columns.split(",")]
        if not all(names) or len(set(names)) < len(names):
            raise PresetError(f"--state-columns {state_columns}: a name is empty or stands twice.")
        result[f"{SECTION}.state_columns"] = json.dumps(names)
    return result | dict(_pair(text) for text in pairs)


def changed(settings: DataSettings, overrides: Mapping[str, str]) -> DataSettings:
    """Settings with overrides of ``overrides_of`` in them.

    Raises:
        PresetError: a value is none of its key's.
    """
    values = settings.model_dump()
    for key, value in overrides.items():
        *sections, leaf = key.split(".")[1:]
        place = values
        for section in sections:
            place = place[section]
        place[leaf] = value
    try:
        return DataSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([SECTION, *(str(part) for part in first["loc"])])
        got = f"{shown(overrides[key])}: " if key in overrides else ""
        raise PresetError(f"{key}: {got}{first['msg'].removeprefix('Value error, ')}.", key=key) from error


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    known = dict(leaves(DataSettings, f"{SECTION}."))
    if not equals:
        raise PresetError(f"--set {text}: no key and value.", f"Write --set {SECTION}.decimal=comma.")
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Of a preset, only keys of the section {SECTION} count here."
        raise UnknownKeyError(f"--set {text}: unknown key {shown(key)}.", hint, key)
    return key, value


def _of_file(path: Path) -> dict[str, str]:
    document = read(path, str(path))
    known = dict(leaves(DataSettings, f"{SECTION}."))
    result = {}
    for key, value in _leaves(document.values, f"{SECTION}."):
        if key not in known:
            own = key.removeprefix(f"{SECTION}.")
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean '{near[0].removeprefix(f'{SECTION}.')}'?" if near else "See: batchrl data init DATA"
            raise UnknownKeyError(f"{document.where(own)}: unknown key {shown(own)}.", hint, key)
        result[key] = value if isinstance(value, str) else json.dumps(value, default=str)
    return result


def _leaves(values: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _of_mapping(text: str) -> dict[str, str]:
    known = tuple(ColumnSettings.model_fields)
    result: dict[str, str] = {}
    for pair in text.split(","):
        name, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not name or not column:
            raise PresetError(
                f"--map '{pair}': no name and column.", "Write --map episode=user_id,action=treatment,reward=margin."
            )
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            features = (
                "The state's columns are --state-columns A,B. " if name in ("features", "state", "states") else ""
            )
            meant = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
            raise UnknownKeyError(f"--map: '{name}' is unknown.", features + meant, name)
        key = f"{SECTION}.columns.{name}"
        if key in result:
            raise PresetError(f"--map: {name} is given twice.", "Keep one of them.", key)
        result[key] = column
    return result
