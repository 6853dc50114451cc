"""Policies by the name of a Python object: ``module:name``."""

from __future__ import annotations

from batchrl.contract.errors import InputError
from batchrl.naming import named_object
from batchrl.policies import Floats32, Floats64, Policy


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


def named_policy(text: str) -> Policy:
    """The policy that ``module:name`` means.

    Args:
        text: names a policy, or a class or function that makes one when it is called without arguments.

    Raises:
        InputError: there is no such module or name, making it fails, or what it makes is no policy.
    """
    hint = "Write module:name, with the name of a policy, or of a class or function that makes one without arguments."
    found = named_object(text, "policy", hint, "Run from the module's folder, or add it to PYTHONPATH.")
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
