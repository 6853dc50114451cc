"""Value types of the schema: what a YAML file, a command line or a hyperparameter may say for each.

Texts are read leniently, since every override arrives as text and YAML 1.1 reads ``1e-4`` as text: ``"0.98"`` is a
number, ``"true"`` a flag, ``"[256, 512]"`` a list, ``"null"`` nothing. A flag is never taken for a number.
"""

from __future__ import annotations

import json
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, StrictBool

Item = TypeVar("Item")

FLAGS = {"true": True, "1": True, "false": False, "0": False}
NOTHING = ("", "null", "none")


def _flag(value: object) -> object:
    if isinstance(value, str):
        return FLAGS.get(value.strip().lower(), value)
    return bool(value) if isinstance(value, int) and value in (0, 1) else value


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a flag is no number")
    return value


def _list(value: object) -> object:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    return tuple(value) if isinstance(value, list) else value


def _nothing(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in NOTHING else value


Flag = Annotated[StrictBool, BeforeValidator(_flag)]
Whole = Annotated[int, BeforeValidator(_number)]
Number = Annotated[float, BeforeValidator(_number)]
Sequence = Annotated[tuple[Item, ...], BeforeValidator(_list)]
Maybe = Annotated[Item | None, BeforeValidator(_nothing)]
