"""Value types of the schema: what a YAML file, a command line or a hyperparameter may say for each.

Texts are read leniently, since every override arrives as text and YAML 1.1 reads ``1e-4`` as text: ``"0.98"`` is a
number, ``"true"`` a flag, ``"[256, 512]"`` a list, ``"null"`` nothing. A flag is never taken for a number. A list may
be JSON, Python (SageMaker's toolkit passes a list as ``str`` writes it: ``['x', 'y']``) or YAML (``[x, y]``: no quotes
within those of a shell).
"""

from __future__ import annotations

import ast
import codecs
import contextlib
import json
from dataclasses import dataclass
from typing import Annotated, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

Item = TypeVar("Item")

FLAGS = {"true": True, "1": True, "false": False, "0": False}
NOTHING = ("", "null", "none")
SEPARATORS = ("auto", "comma", "semicolon", "tab", "pipe")
# How the readers of lists say that a text is none; YAML's knows many ways.
UNREADABLE = (
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
    *(SyntaxError, RecursionError, MemoryError, yaml.YAMLError),
)


def _flag(value: object) -> object:
    if isinstance(value, str):
        return FLAGS.get(value.strip().lower(), value)
    return bool(value) if isinstance(value, int) and value in (0, 1) else value


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a flag is no number")
    return value


def _list(value: object) -> object:
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _read_list(value)
    return tuple(value) if isinstance(value, list) else value


def _read_list(text: str) -> object:
    for read in (json.loads, ast.literal_eval, yaml.safe_load):
        with contextlib.suppress(*UNREADABLE):
            value: object = read(text)
            return value
    return text


def _nothing(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in NOTHING else value


@dataclass(frozen=True)
class Said:
    """How a type is called in messages and in the reference, where Python's name for it says too little."""

    text: str


def _separator(value: str) -> str:
    if value not in SEPARATORS and (len(value) != 1 or value in '"\r\n' or value.isalnum()):
        raise ValueError("no separator")
    return value


def _encoding(value: str) -> str:
    if value == "auto":
        return value
    try:
        "".encode(value)
    except (LookupError, UnicodeError, ValueError):
        raise ValueError("no encoding of text that Python knows") from None
    return codecs.lookup(value).name


Flag = Annotated[StrictBool, BeforeValidator(_flag)]
Whole = Annotated[int, BeforeValidator(_number)]
Number = Annotated[float, BeforeValidator(_number)]
Sequence = Annotated[tuple[Item, ...], BeforeValidator(_list)]
# One column, or several.
Columns = Annotated[str | tuple[str, ...], BeforeValidator(_list)]
# A Python object of the user's own, as ``module:name``; it is not imported here.
Named = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Maybe = Annotated[Item | None, BeforeValidator(_nothing)]


class Section(BaseModel):
    """Settings that belong together; frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


# Between the cells of a CSV.
Separator = Annotated[str, AfterValidator(_separator), Said(f"{' | '.join(SEPARATORS)}, or one character")]
# Of a text, by one of Python's names for it.
Encoding = Annotated[str, AfterValidator(_encoding), Said("auto, or an encoding that Python knows")]
