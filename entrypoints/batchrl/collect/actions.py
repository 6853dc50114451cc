"""What a policy that is named in words acts on: actions and features, by number and by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Integers


@dataclass(frozen=True)
class ActingOn:
    """What a policy that is named in words acts on.

    Args:
        n_actions: A.
        features: names of the state's columns, in their order.
        action_names: of the actions, in their order; None: they have numbers alone.
        action_counts: ``[A]``, how often a log took each action; None where there is no log.
    """

    n_actions: int
    features: Sequence[str] = ()
    action_names: Sequence[str] | None = None
    action_counts: Integers | None = None

    def number_of(self, text: str, place: str) -> int:
        """The number of the action that a text means, by its name or its number.

        Args:
            text: what somebody wrote.
            place: where, for messages.

        Raises:
            InputError: there is no such action.
        """
        names = self.action_names or ()
        if text in names:
            return names.index(text)
        if text.isdecimal() and int(text) < self.n_actions:
            return int(text)
        right = ", ".join(names) if names else f"0 to {self.n_actions - 1}"
        raise InputError(f"{place}: there is no action '{text}'.", f"Actions are {right}.")
