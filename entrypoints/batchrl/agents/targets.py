"""The target network: it follows the online network, and its values are looked up ahead of the updates."""

from __future__ import annotations

from torch import Tensor

from batchrl.agents.networks import Network
from presets.schema import AgentSettings

# Most values of the whole training set that are kept between two copies (64 MiB).
KEPT_NUMBERS = 16_777_216


class Target:
    """A copy of the online network that moves more slowly.

    Soft: it moves by ``soft_rate`` after each update. Hard: it stays until it becomes a copy, every
    ``target_update_every`` updates. A network that stays has the same values in every update before the next copy, so
    they are computed for many minibatches together; and where the updates before the next copy take more rows than
    there are, for every row once.

    Args:
        online: the network to follow.
        settings: the preset's section ``agent``.
    """

    def __init__(self, online: Network, settings: AgentSettings) -> None:
        self.network = online.copy()
        self._online = online
        self._settings = settings
        self._of_all: Tensor | None = None
        self._ahead: Tensor | None = None

    def steady_updates(self, updates: int) -> int | None:
        """Updates that will see the same network, after so many were done; None where each sees another."""
        if self._settings.target_update == "soft":
            return None
        return self._settings.target_update_every - updates % self._settings.target_update_every

    def look_ahead(self, states: Tensor, rows: Tensor) -> None:
        """Prepare for the next minibatches, which are over before the next copy.

        Args:
            states: ``[N, d]``, all states that are ever asked for.
            rows: ``[R]``, those of the next minibatches, in order.
        """
        settings, shape = self._settings, self.network.shape
        if settings.target_update == "soft":
            return
        often = len(states) <= settings.target_update_every * settings.batch_size
        if often and len(states) * shape.ensemble * shape.n_outputs <= KEPT_NUMBERS:
            if self._of_all is None:
                self._of_all = self.network.infer(states)
            self._ahead = self._of_all[:, rows]
        else:
            self._ahead = self.network.infer(states[rows])

    def values(self, part: slice, states: Tensor) -> Tensor:
        """Outputs ``[E, B, A]`` of a minibatch.

        Args:
            part: where it lies in the rows that ``look_ahead`` was given.
            states: its states ``[B, d]``.
        """
        return self.network.infer(states) if self._ahead is None else self._ahead[:, part]

    def follow(self, updates: int) -> bool:
        """Move after the update of that number, counted from 1; whether the online network was copied."""
        if self._settings.target_update == "soft":
            self.network.parameters.lerp_(self._online.parameters, self._settings.soft_rate)
            return True
        due = updates % self._settings.target_update_every == 0
        if due:
            self.network.parameters.copy_(self._online.parameters)
            self._of_all = None
        return due

    def state_dict(self) -> dict[str, Tensor]:
        """The network's."""
        return self.network.state_dict()

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave."""
        self.network.load_state_dict(tensors)
        self._of_all = self._ahead = None
