"""Python objects of the user's own by their names, ``module:name``: environments, policies and agents."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path

from batchrl.contract.errors import InputError
from batchrl.contract.given import NAMED


def import_from_here() -> None:
    """Have modules that lie where the command is run be found: those of environments, policies and agents may."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def is_named(text: str) -> bool:
    """Whether a text has the form ``module:name``."""
    return NAMED.fullmatch(text) is not None


def named_object(text: str, what: str, hint: str, missing: str) -> object:
    """The object that ``module:name`` means.

    Args:
        text: the name.
        what: what it should be, such as ``policy``, for messages.
        hint: what to do where the module has no such name.
        missing: what to do where there is no such module.

    Raises:
        InputError: there is no such module or name, or importing it fails.
    """
    module_name, _, name = text.partition(":")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what is told on stdout is ours
            return getattr(importlib.import_module(module_name), name)
    except ModuleNotFoundError as error:
        raise InputError(f"{what} {text}: {error}.", missing) from error
    except AttributeError as error:
        raise InputError(f"{what} {text}: {error}.", hint) from error
    except Exception as error:
        raise InputError(f"{what} {text}: importing {module_name} fails: {type(error).__name__}: {error}.") from error
