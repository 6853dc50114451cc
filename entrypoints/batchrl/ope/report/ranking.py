"""Candidates in the order of their fitted values, as it is told: ranks and doubts, never the values themselves.

Values that are fitted to the log that a policy learnt from are too high, of any method: their order is what may be
believed, as far as the methods agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MemberOfRanking:
    """One method that valued the candidates.

    Args:
        name: short.
        words: what it is.
        discarded: why its ranks do not count, in words; None where they do.
    """

    name: str
    words: str
    discarded: str | None = None


@dataclass(frozen=True)
class Place:
    """Where one candidate stands.

    Args:
        source, policy: the candidate, as its report calls it.
        ranks: 1 is the best, by the name of each member that counts; equal values share the mean of their ranks.
        rank: by the mean of those ranks; candidates with the same mean have the same, the smallest that they share.
    """

    source: str
    policy: str
    ranks: Mapping[str, float]
    rank: int

    @property
    def mean_rank(self) -> float:
        """Over the members that count."""
        return sum(self.ranks.values()) / len(self.ranks)


@dataclass(frozen=True)
class Ranking:
    """Candidates by the mean rank of their fitted start values.

    Args:
        places: the best first; none where no member counts.
        members: all that were tried.
        agreement: mean Spearman correlation between the members' ranks; NaN where it is not defined.
        doubts: what speaks against the order, in sentences.
        episodes: on which values were fitted and start states are averaged, in words.
        remarks: what the order is, in sentences.
    """

    places: Sequence[Place]
    members: Sequence[MemberOfRanking]
    agreement: float
    doubts: Sequence[str]
    episodes: str
    remarks: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """In JSON's types; what is undefined is null."""
        return {
            "episodes": self.episodes,
            "agreement": self.agreement if math.isfinite(self.agreement) else None,
            "reliable": not self.doubts,
            "doubts": list(self.doubts),
            "members": [
                {"name": member.name, "words": member.words, "discarded": member.discarded} for member in self.members
            ],
            "policies": [
                {
                    "source": place.source,
                    "policy": place.policy,
                    "rank": place.rank,
                    "mean_rank": place.mean_rank,
                    "ranks": dict(place.ranks),
                }
                for place in self.places
            ],
            "remarks": list(self.remarks),
        }
