"""What a report calls the units of its log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """The words for one kind of log.

    Args:
        episode: what is resampled, in the singular.
        step: what is rewarded.
        outcome: what an episode pays.
    """

    episode: str
    step: str
    outcome: str

    @property
    def episodes(self) -> str:
        """The plural."""
        return f"{self.episode}s"

    def said(self, text: str) -> str:
        """A sentence about episodes, in these words."""
        return text.replace("episode", self.episode)


OF_EPISODES = Words("episode", "step", "return")
# Every episode is one decision: a contextual bandit's log.
OF_DECISIONS = Words("decision", "decision", "reward")
