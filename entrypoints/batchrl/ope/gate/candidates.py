"""One of several candidates, or none: ranked on the episodes that some have seen, judged on those that none has.

Which episodes a candidate has seen is known from its run's split of the log. The test episodes that all runs kept
take no part in the ranking either, so that the pick's figure there owes nothing to having been picked: the look at it
is one look, however many candidates there were.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from batchrl.contract.errors import InputError
from batchrl.contract.text import listed
from batchrl.data.dataset import Dataset, Integers
from batchrl.data.loader import LoadedData
from batchrl.ope.choice.asked import ranking_of
from batchrl.ope.estimators.betting import paired_lower_bound
from batchrl.ope.estimators.weights import CumulativeWeights
from batchrl.ope.gate.gate import GateDecision, judge_by_log
from batchrl.ope.gate.level import Level
from batchrl.ope.report.ranking import Ranking
from batchrl.ope.report.words import OF_DECISIONS, OF_EPISODES, Words
from batchrl.ope.study.logged import EpisodeLog, of_decisions, policies_of
from batchrl.ope.study.sources import TrainedPolicy
from batchrl.ope.study.study import DEFAULT_DISCOUNT, Question

# An interval needs two.
FEWEST_EPISODES = 2
# In a sentence.
MOST_NAMED = 3


@dataclass(frozen=True)
class Terms:
    """By which candidates are chosen.

    Args:
        source: the log, as its user named it.
        alpha: probability at which a pick may be promoted that is no better than the logging policy.
        seed: of everything random.
        discount: of one step; None for the largest that a candidate was trained with.
        reward_range: what a step can pay, known beforehand; None where it is not, which leaves the bets out.
    """

    source: str
    alpha: float
    seed: int = 0
    discount: float | None = None
    reward_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Held:
    """Episodes that no candidate has seen, and the others.

    Args:
        unseen, rest: positions; all are the rest where ``lack`` says why none is unseen.
        lack: None where there are enough unseen ones.
    """

    unseen: Integers
    rest: Integers
    lack: str | None = None


@dataclass(frozen=True)
class Choice:
    """What became of the candidates.

    Args:
        ranking: of them; None for a single one.
        pick: the name of the best ranked; None where no method could rank them.
        look: at the pick on the unseen episodes; None where there was none.
        least_gain: lower bound of the pick's gain by bets; None where no reward range was given.
        promoted: whether the pick is to replace the logging policy.
        reason: why, or why not, in a sentence.
        facts: all else that is told, in JSON's types.
    """

    ranking: Ranking | None
    pick: str | None
    look: GateDecision | None
    least_gain: float | None
    promoted: bool
    reason: str
    facts: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """In JSON's types; what is undefined is null."""
        finite = self.least_gain is not None and math.isfinite(self.least_gain)
        return {
            "ranking": None if self.ranking is None else self.ranking.to_json(),
            "pick": self.pick,
            "look": None if self.look is None else self.look.to_json(),
            "betting_bound": self.least_gain if finite else None,
            "promoted": self.pick if self.promoted else None,
            "reason": self.reason,
            **self.facts,
        }


def choose(
    policies: Sequence[TrainedPolicy],
    loaded: LoadedData,
    terms: Terms,
    shortened: Callable[[Dataset], Dataset] = lambda episodes: episodes,
) -> Choice:
    """Rank candidates, judge the best one against the logging policy, and promote it or none.

    Args:
        policies: the candidates, with names of their own; each acts as its own target policy does.
        loaded: the log.
        terms: of the choice.
        shortened: makes of the unseen episodes as many as memory holds.

    Raises:
        InputError: a policy does not fit the log, or its rewards leave the range that they are said to have.
    """
    dataset = loaded.dataset
    for policy in policies:
        policy.check_fit(dataset, terms.source)
    _check_rewards(dataset, terms)
    words = OF_DECISIONS if of_decisions(dataset) else OF_EPISODES
    discount = None if words is OF_DECISIONS else _discount(policies, terms)
    held = held_of(policies, dataset, words)
    ranking = None
    pick: TrainedPolicy | None = policies[0]
    if len(policies) > 1:
        ranking = _ranked(policies, loaded, terms, held, discount, words)
        first = {place.source for place in ranking.places if place.rank == 1}
        pick = next((policy for policy in policies if policy.name in first), None)
    returns = dataset.discounted_returns(1.0 if discount is None else discount)
    facts: dict[str, Any] = {
        "discount": discount,
        "alpha": terms.alpha,
        "reward_range": None if terms.reward_range is None else list(terms.reward_range),
        "episodes": {"all": dataset.n_episodes, "ranked_on": len(held.rest), "unseen": len(held.unseen)},
        "logged": {
            "mean": float(returns.mean()),
            "deviation": float(returns.std(ddof=1)) if len(returns) > 1 else None,
            "episodes": len(returns),
        },
        "sha256": dataset.sha256(),
    }
    if pick is None:
        return Choice(ranking, None, None, None, False, "No method could rank the candidates.", facts)
    if held.lack is not None:
        return Choice(ranking, pick.name, None, None, False, held.lack, facts)
    unseen = shortened(dataset.select(held.unseen))
    look, least = _looked_at(pick, EpisodeLog(unseen, 1.0 if discount is None else discount), terms)
    by_bets = least is not None and least > 0
    reason = look.reason
    if by_bets and look.outcome != "promoted":
        reason = (
            f"Promoted: bets on {unseen.n_episodes} unseen {words.episodes} show a gain above {least:.3g} with "
            f"{Level(terms.alpha / 2)} confidence, whatever the weights. {look.reason}"
        )
    return Choice(ranking, pick.name, look, least, by_bets or look.outcome == "promoted", reason, facts)


def held_of(policies: Sequence[TrainedPolicy], dataset: Dataset, words: Words = OF_EPISODES) -> Held:
    """The episodes that every run kept for its test, and the others.

    Args:
        policies: the candidates.
        dataset: the log.
        words: what the episodes are called.
    """
    everything = np.arange(dataset.n_episodes, dtype=np.int64)
    none = np.empty(0, dtype=np.int64)
    if dataset.estimated_on is not None:
        lack = "the log has no probabilities of its actions, and the level of a look holds for logged ones alone"
        return Held(none, everything, f"Undecided: {lack}.")
    digest = dataset.sha256()
    splits = [policy.split_of(dataset, digest) for policy in policies]
    if strangers := [policy.name for policy, split in zip(policies, splits, strict=True) if split is None]:
        lack = f"nothing says which {words.episodes} of this log {listed(strangers, MOST_NAMED)} learnt from"
        return Held(none, everything, f"Undecided: {lack}.")
    tests = [split.test for split in splits if split is not None]
    unseen = functools.reduce(np.intersect1d, tests)
    if len(unseen) < FEWEST_EPISODES:
        lack = f"{len(unseen) or 'no'} {words.episodes if len(unseen) != 1 else words.episode} of the log"
        lack += " were kept from every training: keep some by data.test_ratio, with one data.split_seed for all"
        return Held(none, everything, f"Undecided: {lack}.")
    return Held(unseen, np.setdiff1d(everything, unseen))


def _ranked(
    policies: Sequence[TrainedPolicy],
    loaded: LoadedData,
    terms: Terms,
    held: Held,
    discount: float | None,
    words: Words,
) -> Ranking:
    told = None
    if held.lack is None:
        told = f"the {len(held.rest)} {words.episodes} that are not kept for the look at the pick"
        loaded = replace(loaded, dataset=loaded.dataset.select(held.rest))
    question = Question(source=terms.source, policies=policies, targets=[None])
    question = replace(question, settings=replace(question.settings, seed=terms.seed))
    return ranking_of(question, loaded, discount, told)


def _looked_at(pick: TrainedPolicy, log: EpisodeLog, terms: Terms) -> tuple[GateDecision, float | None]:
    """The gate's look, and the lower bound by bets where the range of rewards is known: each has half of alpha then."""
    (acting,) = policies_of(pick.model, log, [pick.model.target])
    if terms.reward_range is None:
        return judge_by_log(log, acting, Level(terms.alpha, terms.seed)), None
    half = Level(terms.alpha / 2, terms.seed)
    weights = CumulativeWeights.of(log.log_ratios(acting.probabilities))
    least = paired_lower_bound(weights, log.rewards, terms.reward_range, log.discount, 1 - half.alpha)
    return judge_by_log(log, acting, half), least


def _discount(policies: Sequence[TrainedPolicy], terms: Terms) -> float:
    """One for all, so that one estimand ranks them, in whatever order they came."""
    if terms.discount is not None:
        return terms.discount
    return max((policy.discount for policy in policies if policy.discount is not None), default=DEFAULT_DISCOUNT)


def _check_rewards(dataset: Dataset, terms: Terms) -> None:
    if terms.reward_range is None:
        return
    (low, high), least, most = terms.reward_range, float(dataset.rewards.min()), float(dataset.rewards.max())
    if not low <= least <= most <= high:
        raise InputError(
            f"--reward-range {low:g}:{high:g}: {terms.source} has rewards from {least:g} to {most:g}.",
            "Give a range that holds them.",
        )
