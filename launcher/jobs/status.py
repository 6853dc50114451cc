"""The state of what runs on a cloud, at one moment."""

from __future__ import annotations

from dataclasses import dataclass

TERMINAL = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True)
class JobStatus:
    """The state of a job at one moment.

    Args:
        status: InProgress, Stopping, Completed, Failed, Stopped, or one that this version does not know.
        secondary: the finer state of a training job (contract 99 to 103); ``status`` where there is none.
        message: what the platform says about it.
        failure_reason: why it failed.
    """

    status: str
    secondary: str
    message: str | None = None
    failure_reason: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.status in TERMINAL

    def __str__(self) -> str:
        return self.status if self.status == self.secondary else f"{self.status} ({self.secondary})"
