"""From a name, a file and overrides to a checked preset.

Later wins: defaults of the schema, Coach's behaviour where ``legacy`` asks for it, the file, the overrides. (``legacy``
given as an override comes after the file.)
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import annotated_types
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

import presets
from presets.coach import COACH_KEYS, translate
from presets.errors import PresetError, UnknownKeyError, shown
from presets.kinds import FLAGS, Named, Said
from presets.loop import IteratePreset, OpenSection
from presets.reading import Document, read
from presets.schema import LEGACY_VALUES, EvaluatePreset, Preset, TrainPreset

KINDS: dict[str, type[Preset]] = {"train": TrainPreset, "evaluate": EvaluatePreset, "iterate": IteratePreset}
Kind = TypeVar("Kind", bound=Preset)
OVERRIDE = "override"
# How the files of Coach's presets begin.
COACH_PREFIX = "preset-"


@dataclass(frozen=True)
class Setting:
    """One setting of a preset, for people to read.

    Args:
        key: dotted key.
        value: its value, in JSON's types.
        type: what it may be, with bounds.
        description: what it means, with its unit.
    """

    key: str
    value: Any
    type: str
    description: str


def resolve(name_or_path: str | Path, overrides: Mapping[str, object], wanted: type[Preset] = Preset) -> Preset:
    """See ``presets.resolve``; a preset that is no ``wanted`` is refused before its settings are looked at."""
    document = _document(name_or_path)
    kind = document.values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        got = "is missing" if "kind" not in document.values else f"is {shown(kind)}"
        right = "a preset is of kind train, evaluate or iterate."
        raise PresetError(f"{document.where('kind')}: 'kind' {got}; {right}", key="kind")
    model = KINDS[kind]
    if not issubclass(model, wanted):
        raise _wrong_kind(name_or_path, wanted)
    fields, opened = dict(leaves(model)), tuple(open_sections(model))
    own = _flatten(document.values, fields, opened, document)
    given = _overrides(overrides, fields, opened)
    values = {"name": document.source if not is_own(document) else Path(document.source).stem, **own}
    if kind == "train":
        values = _with_legacy(values, given)
    values |= given
    try:
        preset = model.model_validate(_nest(values, opened))
    except ValidationError as error:
        raise _explained(error, fields, given, document) from error
    _check_named_presets(preset, given, document)
    return preset


def resolve_kind(name_or_path: str | Path, overrides: Mapping[str, object], model: type[Kind]) -> Kind:
    """``resolve``, and a check that the preset is of the kind that this job needs."""
    preset = resolve(name_or_path, overrides, model)
    assert isinstance(preset, model)
    return preset


def describe(preset: Preset) -> list[Setting]:
    """See ``presets.describe``."""
    values = preset.model_dump(mode="json")
    settings = [
        Setting(key, _lookup(values, key), expected(field), field.description or "")
        for key, field in leaves(type(preset))
    ]
    for section in open_sections(type(preset)):
        choice: OpenSection = getattr(preset, section)
        said = f"A setting of the preset that {section}.preset names"
        settings += [Setting(f"{section}.{key}", value, "see there", said) for key, value in choice.overrides.items()]
    return settings


def is_own(document: Document) -> bool:
    """Whether the document is a file of the user's own."""
    return presets.is_path(document.source)


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted keys of all settings with their fields, sections opened."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def open_sections(model: type[BaseModel]) -> Mapping[str, type[Preset]]:
    """Sections that name another preset, with its kind; their further keys are settings of that one."""
    return model.OPEN if issubclass(model, IteratePreset) else {}


def expected(field: FieldInfo) -> str:
    """What a setting may be: ``number, above 0, at most 1``."""
    said = next((item.text for item in field.metadata if isinstance(item, Said)), None)
    return said or _type_text(field.annotation, tuple(field.metadata))


def _type_text(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    if annotation == Named:
        return "module:name"
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *more = typing.get_args(annotation)
        return _type_text(annotation, (*metadata, *more))
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " | ".join(str(choice) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        if type(None) not in arguments:
            return " | ".join(_type_text(argument, metadata) for argument in arguments)
        inner = next(argument for argument in arguments if argument is not type(None))
        return f"{_type_text(inner, metadata)}, or null"
    if origin is tuple:
        return f"list of ({_type_text(arguments[0])})"
    words = {bool: "true | false", int: "whole number", float: "number", str: "text"}[annotation]
    bounds = []
    for item in _unpacked(metadata):
        match item:
            case annotated_types.Ge(ge=bound):
                bounds.append(f"at least {bound}")
            case annotated_types.Gt(gt=bound):
                bounds.append(f"above {bound}")
            case annotated_types.Le(le=bound):
                bounds.append(f"at most {bound}")
            case annotated_types.Lt(lt=bound):
                bounds.append(f"below {bound}")
    return ", ".join([words, *bounds])


def _unpacked(metadata: tuple[Any, ...]) -> Iterator[Any]:
    """Constraints, also those inside a ``Field(...)`` of an ``Annotated`` type."""
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from item.metadata
        else:
            yield item


def _wrong_kind(name_or_path: str | Path, model: type[Preset]) -> PresetError:
    wanted = next(kind for kind, known in KINDS.items() if known is model)
    fitting = [name for name in presets.names() if isinstance(presets.load(name), model)]
    return PresetError(
        f"preset '{name_or_path}' is not of kind '{wanted}', which this job needs.",
        f"Presets of that kind: {', '.join(fitting)}.",
    )


def _document(name_or_path: str | Path) -> Document:
    text = str(name_or_path).strip()
    if presets.is_path(name_or_path):
        return read(Path(name_or_path), text)
    name = presets.ALIASES.get(text, text)
    if name not in presets.names():
        hint = _suggestion(text, [*presets.names(), *presets.ALIASES]) or f"Presets: {', '.join(presets.names())}."
        if text.startswith(COACH_PREFIX):
            ours = [each for each in presets.ALIASES if each.startswith(COACH_PREFIX)]
            hint += f" A preset of Coach is a program and is not read; of its names these are known: {', '.join(ours)}."
        raise PresetError(f"there is no preset '{text}'.", hint)
    return read(presets.FOLDER / f"{name}{presets.SUFFIX}", name)


def _check_named_presets(preset: Preset, given: Mapping[str, object], document: Document) -> None:
    """Refuse a loop whose other presets, with their settings, would be refused."""
    for section, model in open_sections(type(preset)).items():
        choice: OpenSection = getattr(preset, section)
        name, first = getattr(choice, "preset", None), next(iter(choice.overrides), None)
        if name is None and first is not None:
            raise PresetError(
                f"{_where(f'{section}.{first}', given, document)}: '{section}.{first}' is a setting of no preset.",
                f"Name one: {section}.preset",
                f"{section}.{first}",
            )
        if name is None:
            continue
        try:
            resolve(name, choice.overrides, model)
        except PresetError as error:
            key = f"{section}.{error.key if error.key in choice.overrides else 'preset'}"
            fault = error.message.removeprefix(f"{OVERRIDE}: ")
            raise PresetError(f"{_where(key, given, document)}: '{key}': {fault}", error.hint, key) from error


def _where(key: str, given: Mapping[str, object], document: Document) -> str:
    """Where a key was given: as an override, or its place in the file."""
    return OVERRIDE if key in given or any(name.startswith(f"{key}.") for name in given) else document.where(key)


def _flatten(
    values: Mapping[Any, Any], fields: Mapping[str, FieldInfo], opened: Collection[str], document: Document
) -> dict[str, object]:
    """Dotted keys of a file's mapping; every key is one of the schema's."""
    flat: dict[str, object] = {}
    for key, value in _pairs(values, fields, opened):
        if key not in fields and not _is_open(key, opened):
            raise _unknown(key, fields, document.where(key))
        flat[key] = value
    return flat


def _overrides(
    overrides: Mapping[str, object], fields: Mapping[str, FieldInfo], opened: Collection[str]
) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in _pairs(overrides, fields, opened):
        own_key, own_value = translate(key, value)
        if own_key not in fields and not _is_open(own_key, opened):
            raise _unknown(key, fields, OVERRIDE)
        if own_key == "kind":
            raise PresetError("'kind' cannot be overridden; choose another preset.", key="kind")
        if own_key in flat and flat[own_key] != own_value:
            raise PresetError(
                f"'{own_key}' is overridden twice, with {shown(flat[own_key])} and {shown(own_value)}.", key=own_key
            )
        flat[own_key] = own_value
    return flat


def _is_open(key: str, opened: Collection[str]) -> bool:
    """Whether a key is a setting of the preset that its section names."""
    section, _, leaf = key.partition(".")
    return bool(leaf) and section in opened


def _pairs(
    values: Mapping[Any, Any], fields: Mapping[str, FieldInfo], opened: Collection[str]
) -> Iterator[tuple[str, object]]:
    """Dotted keys and values, with sections opened; a section that is no mapping stays as one pair."""
    for key, value in values.items():
        is_section = any(name.startswith(f"{key}.") for name in fields)
        if isinstance(value, Mapping) and (is_section or key in opened or _is_open(str(key), opened)):
            yield from _pairs({f"{key}.{leaf}": item for leaf, item in value.items()}, fields, opened)
        elif value is None and str(key) not in fields and is_section:
            continue  # a section that was left empty
        else:
            yield str(key), value


def _with_legacy(values: dict[str, object], given: Mapping[str, object]) -> dict[str, object]:
    if "legacy" in given:
        return values | LEGACY_VALUES if _is_true(given["legacy"]) else values
    return LEGACY_VALUES | values if _is_true(values.get("legacy")) else values


def _is_true(value: object) -> bool:
    return value == 1 if isinstance(value, int) else FLAGS.get(str(value).strip().lower(), False)


def _nest(values: Mapping[str, object], opened: Collection[str]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        # In an open section the keys are those of another preset, dots and all.
        parts = key.split(".", 1) if _is_open(key, opened) else key.split(".")
        place = nested
        for section in parts[:-1]:
            place = place.setdefault(section, {})
        place[parts[-1]] = value
    return nested


def _lookup(values: Mapping[str, Any], key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def _unknown(key: str, fields: Mapping[str, FieldInfo], where: str) -> PresetError:
    if leaves_below := [name for name in fields if name.startswith(f"{key}.")]:
        message = f"{where}: '{key}' is a section; give its settings, such as '{leaves_below[0]}'."
        return PresetError(message, key=key)
    hint = _suggestion(key, list(fields)) or _suggestion(key, list(COACH_KEYS)) or "Settings: batchrl presets show NAME"
    return UnknownKeyError(f"{where}: unknown key {shown(key)}.", hint, key)


def _suggestion(word: str, choices: list[str]) -> str | None:
    """The nearest choices, by the whole name or by its last part."""
    near = difflib.get_close_matches(word, choices, n=2, cutoff=0.8)
    last = {choice.rpartition(".")[2]: choice for choice in choices}
    near += [last[leaf] for leaf in difflib.get_close_matches(word.rpartition(".")[2], list(last), n=1, cutoff=0.8)]
    unique = list(dict.fromkeys(near))[:3]
    return f"Did you mean {' or '.join(repr(choice) for choice in unique)}?" if unique else None


def _explained(
    error: ValidationError, fields: Mapping[str, FieldInfo], given: Mapping[str, object], document: Document
) -> PresetError:
    """The first fault of a validation, with its key, where it was given, the value and what was expected."""
    fault = error.errors()[0]
    parts = [str(part) for part in fault["loc"]]
    key = next(
        (".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in fields), ".".join(parts)
    )
    where = _where(key, given, document)
    if key not in fields:
        return PresetError(f"{where}: {key}: {fault['msg'].removeprefix('Value error, ')}.", key=key)
    got = fault["input"]
    return PresetError(
        f"{where}: '{key}' got {shown(got)}, expected {expected(fields[key])}.", fields[key].description, key
    )
