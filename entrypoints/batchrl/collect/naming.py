"""Policies by the name of a Python object: ``module:name``."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from pathlib import Path

from batchrl.contract.errors import InputError
from batchrl.policies import Floats32, Floats64, Policy

NAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class NamedPolicy:
    """Somebody's policy: what it raises names it.

    Args:
        name: ``module:name``.
        policy: the policy.
    """

    def __init__(self, name: str, policy: Policy) -> None:
        self._name = name
        self._policy = policy

    def action_probabilities(self, states: Floats32) -> Floats64:
        """Probabilities ``[B, A]`` of states ``[B, d]``.

        Raises:
            InputError: the policy raised something.
        """
        try:
            return self._policy.action_probabilities(states)
        except Exception as error:
            raise InputError(
                f"policy {self._name} fails on states of shape {states.shape}: {type(error).__name__}: {error}.",
                "Was it written for another environment?",
            ) from error


def import_from_here() -> None:
    """Have modules that lie where the command is run be found: those of environments and policies may."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def is_named(text: str) -> bool:
    """Whether a text has the form ``module:name``."""
    return NAMED.fullmatch(text) is not None


def named_policy(text: str) -> Policy:
    """The policy that ``module:name`` means.

    Args:
        text: names a policy, or a class or function that makes one when it is called without arguments.

    Raises:
        InputError: there is no such module or name, making it fails, or what it makes is no policy.
    """
    module_name, _, name = text.partition(":")
    hint = "Write module:name, with the name of a policy, or of a class or function that makes one without arguments."
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what is told on stdout is ours
            found = getattr(importlib.import_module(module_name), name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"policy {text}: {error}.", "Run from the module's folder, or add it to PYTHONPATH."
        ) from error
    except AttributeError as error:
        raise InputError(f"policy {text}: {error}.", hint) from error
    except Exception as error:
        raise InputError(f"policy {text}: importing {module_name} fails: {type(error).__name__}: {error}.") from error
    if isinstance(found, type) or not hasattr(found, "action_probabilities"):
        if not callable(found):
            raise InputError(f"policy {text}: it is {found!r}, which has no action_probabilities.", hint)
        try:
            found = found()
        except Exception as error:
            raise InputError(f"policy {text}: calling it fails: {type(error).__name__}: {error}.", hint) from error
    if not callable(getattr(found, "action_probabilities", None)):
        raise InputError(f"policy {text}: what it makes is {found!r}, which has no action_probabilities.", hint)
    return NamedPolicy(text, found)
