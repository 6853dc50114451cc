"""Candidates of one log ranked by the values that several checked methods fit to it.

Every candidate's value is the same estimand, the mean value of the start states under the policy that acts, on the same
episodes. Ranks of the methods are averaged (Paine et al. 2020 rank by one fitted Q evaluation; no single one is safe,
as Tang and Wiens 2021 found). Each method is checked before its ranks count.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset, Floats64
from batchrl.ope.choice.linear import MOST_GROWTH
from batchrl.ope.choice.members import AVERAGER, NETWORK, Member, members_for
from batchrl.ope.choice.steps import Conduct, Fit, logging_conduct
from batchrl.ope.report.ranking import MemberOfRanking, Place, Ranking
from batchrl.ope.study.possible import PossibleValues

# The logging policy's value may be missed by so many standard errors of the logged returns, ...
ERRORS = 3.0
# ... or by this share of what separates the candidates.
SHARE_OF_SPREAD = 0.5
# Mean correlation of the members' ranks below which they do not confirm each other.
LEAST_AGREEMENT = 0.5
# Share of a candidate's next actions that no step of the log took.
MOST_UNLOGGED = 0.01


@dataclass(frozen=True)
class Candidate:
    """A policy to be ranked.

    Args:
        source, policy: as its report calls it.
        conduct: what it does on the episodes.
    """

    source: str
    policy: str
    conduct: Conduct


@dataclass(frozen=True)
class Known:
    """The value of the logging policy, which every member should find.

    Args:
        value: mean discounted return of the logged steps.
        error: its standard error.
    """

    value: float
    error: float

    @classmethod
    def of(cls, dataset: Dataset, discount: float) -> Known:
        """From the logged returns."""
        returns = dataset.discounted_returns(discount)
        error = float(returns.std(ddof=1)) / len(returns) ** 0.5 if len(returns) > 1 else float("nan")
        return cls(float(returns.mean()), error)


def rank_candidates(
    dataset: Dataset,
    candidates: Sequence[Candidate],
    discount: float,
    seed: int,
    possible: PossibleValues,
    estimand: str,
    episodes: str,
    members: Sequence[Member] | None = None,
) -> Ranking:
    """Rank policies by the mean of the ranks that the members which pass their checks give them.

    Args:
        dataset: the episodes.
        candidates: at least two.
        discount: of one step.
        seed: of everything random.
        possible: what a policy can be worth on this log.
        estimand: what is valued, in words.
        episodes: which ones they are, in words.
        members: None for those that the log's size allows.
    """
    ends_final, logging = logging_conduct(dataset)
    same = bool(dataset.terminal[dataset.offsets[1:] - 1].all())
    known = Known.of(dataset, discount)
    conducts = [candidate.conduct for candidate in candidates]
    tried: list[MemberOfRanking] = []
    ranks: dict[str, Floats64] = {}
    for member in members_for(dataset) if members is None else members:
        try:
            if same:
                fit, of_logging = _split(member.fit(dataset, [*conducts, logging], discount, seed))
            else:
                fit = member.fit(dataset, conducts, discount, seed)
                of_logging = float(member.fit(ends_final, [logging], discount, seed).values[0])
            reason = why_discarded(fit, of_logging, known, possible)
        except InputError as error:
            fit, reason = Fit(np.full(len(candidates), np.nan)), error.message.rstrip(".")
        tried.append(MemberOfRanking(member.name, member.words, reason))
        if reason is None:
            ranks[member.name] = ranks_of(-fit.values)
    agreement = mean_correlation(list(ranks.values()))
    places = _places(candidates, ranks)
    doubts = [*_doubts(places, ranks, agreement), *_unlogged(dataset, candidates)]
    return Ranking(places, tried, agreement, doubts, episodes, _remarks(estimand, episodes))


def why_discarded(fit: Fit, of_logging: float, known: Known, possible: PossibleValues) -> str | None:
    """Why a member's ranks do not count, in words; None where its values pass all checks.

    Args:
        fit: of the candidates.
        of_logging: the value that it found for the logging policy.
        known: that policy's value.
        possible: what a policy can be worth.
    """
    if fit.growth is not None and not (fit.growth < MOST_GROWTH).all():
        return f"its iteration diverges: errors grow by a factor of {np.max(fit.growth):.3g} in each"
    if not np.isfinite([*fit.values, of_logging]).all():
        return "its values are not finite"
    for value in (*fit.values, of_logging):
        if value not in possible:
            return f"values leave what the log allows: {possible.doubt(float(value))}"
    spread = float(np.ptp([*fit.values, of_logging]))
    missed = abs(of_logging - known.value)
    allowed = np.fmax(ERRORS * known.error, SHARE_OF_SPREAD * spread)
    if missed > allowed:
        return (
            f"it misses the logging policy's known value by {missed:.3g}, more than {allowed:.3g}: {ERRORS:g} standard "
            f"errors, or {SHARE_OF_SPREAD:.0%} of what separates its values"
        )
    return None


def ranks_of(scores: Floats64) -> Floats64:
    """``[K]``, ranks of scores ``[K]`` from 1 for the smallest; equal scores share the mean of their ranks."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    means: Floats64 = (last - (counts - 1) / 2)[inverse.reshape(-1)]
    return means


def mean_correlation(ranks: Sequence[Floats64]) -> float:
    """Mean Spearman correlation over the pairs of rankings ``[K]``; NaN where a pair has none."""
    pairs = [_correlation(one, other) for one, other in itertools.combinations(ranks, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")


def _correlation(one: Floats64, other: Floats64) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale > 0 else float("nan")


def _split(fit: Fit) -> tuple[Fit, float]:
    """What was found of all but the last policy, and the value of that one."""
    return Fit(fit.values[:-1], None if fit.growth is None else fit.growth[:-1]), float(fit.values[-1])


def _places(candidates: Sequence[Candidate], ranks: Mapping[str, Floats64]) -> list[Place]:
    if not ranks:
        return []
    means = np.mean(list(ranks.values()), axis=0)
    final = [1 + int((means < mean - 1e-9).sum()) for mean in means]
    order = np.argsort(means, kind="stable")
    return [
        Place(
            candidates[number].source,
            candidates[number].policy,
            {name: float(of_member[number]) for name, of_member in ranks.items()},
            final[number],
        )
        for number in order
    ]


def _doubts(places: Sequence[Place], ranks: Mapping[str, Floats64], agreement: float) -> list[str]:
    """What the members' ranks themselves say against the order."""
    if not ranks:
        return ["No method passed its checks: the candidates are not ranked."]
    if len(ranks) == 1:
        return [f"Only one method passed its checks ({next(iter(ranks))}): nothing confirms its order."]
    doubts = []
    if not {NETWORK, AVERAGER} & ranks.keys():
        doubts.append(f"Neither {NETWORK} nor {AVERAGER} passed its checks: linear methods alone have been far off.")
    if not agreement >= LEAST_AGREEMENT:
        found = f"their mean rank correlation is {agreement:.2f}" if np.isfinite(agreement) else "ranks are all equal"
        doubts.append(f"The methods do not confirm each other: {found}, below {LEAST_AGREEMENT:g}.")
    first = [place for place in places if place.rank == 1]
    if len(first) > 1:
        doubts.append(f"{' and '.join(place.source for place in first)} share the first place.")
        return doubts
    rivals = [
        place.source
        for place in places
        if place.rank > 1 and 2 * sum(place.ranks[name] < first[0].ranks[name] for name in ranks) >= len(ranks)
    ]
    if rivals:
        doubts.append(f"Half of the methods or more put {' and '.join(rivals)} before {first[0].source}.")
    return doubts


def _unlogged(dataset: Dataset, candidates: Sequence[Candidate]) -> list[str]:
    """Candidates that take actions which no step took: the methods know nothing of what those are worth."""
    never = np.bincount(dataset.actions, minlength=dataset.n_actions) == 0
    if not never.any():
        return []
    goes_on = ~np.asarray(dataset.terminal)
    doubts = []
    for one in candidates:
        share = float(np.concatenate([one.conduct.starts, one.conduct.following[goes_on]])[:, never].sum(axis=1).mean())
        if share > MOST_UNLOGGED:
            doubts.append(f"{one.source} takes actions that no step of the log took in {share:.0%} of the states.")
    return doubts


def _remarks(estimand: str, episodes: str) -> list[str]:
    return [
        f"The order is that of the mean rank over the methods. What each fits: {estimand}, on {episodes}, whoever was "
        "trained on them.",
        "Such values are mostly too high, and more so for some policies than for others: they are no estimates of "
        "worth and are not shown. The order has no error bars: what a policy earns is for the figures above, a "
        "canary or the gate.",
    ]
