"""The chosen policy, scored once more at the end, on episodes that neither training nor the choice saw where there are.

On the evaluation episodes the figures are optimistic: they chose the policy (quirk 20), and the words say so.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from batchrl.agents.model import PolicyModel
from batchrl.agents.target_policy import TargetPolicy
from batchrl.checkpoints.folder import PointerDetails
from batchrl.contract import columns
from batchrl.contract.interval import in_digits
from batchrl.data.dataset import Dataset
from batchrl.ope.estimators.bootstrap import Estimate
from batchrl.ope.report.report import PolicyReport, estimate_json
from batchrl.ope.report.verdict import speaking
from batchrl.ope.report.words import OF_DECISIONS, OF_EPISODES, Words
from batchrl.ope.study.fitted import Following
from batchrl.ope.study.logged import ScoredPolicy, of_decisions
from batchrl.seeds import Stream, stream_seed
from batchrl.training.baselines import best_constant_action, constant_policy
from batchrl.training.estimating import episodes_of_an_epoch, estimable, evaluator_of, scorer_of
from batchrl.training.scores import SelectionScores
from batchrl.training.selection import NO_EVIDENCE, doubt_of_score, finite, trusted_metric
from batchrl.training.state import RunState

WIDTH = 80
LEAST_DECIMALS = 3


@dataclass(frozen=True)
class FinalScore:
    """The chosen policy against the logging policy.

    Args:
        metric: which score, a column of the csv; None where nothing can be scored.
        estimate: the score with its interval.
        confidence: that the interval aims at.
        meaning: what the score estimates, in words.
        doubt: why it is not to be relied on, in words; None where nothing speaks against it.
        episodes: how many it comes from.
        episodes_of: ``test``, or ``evaluation`` where no episodes were kept for the test.
        words: what the episodes are called.
        propensities: whether those of the logging policy were logged or estimated.
    """

    metric: str | None
    estimate: Estimate
    confidence: float
    meaning: str
    doubt: str | None
    episodes: int
    episodes_of: str
    words: Words = OF_EPISODES
    propensities: Literal["logged", "estimated"] = "logged"

    @property
    def improves(self) -> bool:
        """Whether the interval lies above 0, and may be relied on."""
        return self.doubt is None and self.estimate.lower > 0

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "metric": self.metric,
            **estimate_json(self.estimate),
            "confidence": self.confidence,
            "meaning": self.meaning,
            "doubt": self.doubt,
            "propensities": self.propensities,
            "evidence": "improves on the logging policy" if self.improves else NO_EVIDENCE,
        }

    def lines(self) -> Iterator[str]:
        """For people, at most 80 characters a line."""
        if self.metric is None or not math.isfinite(self.estimate.value):
            yield from _wrapped(f"undefined: {self.doubt}; {NO_EVIDENCE}", "final score: ")
            return
        found = self.estimate
        seen = "" if self.episodes_of == "test" else ", which chose the epoch: optimistic"
        shown = in_digits(found.value, found.interval, LEAST_DECIMALS)
        yield f"final score: {shown} ({self.confidence:.0%} interval), {self.metric}"
        yield from _wrapped(f"from {self.episodes} {self.episodes_of} {self.words.episodes}{seen}", "  ")
        yield from _wrapped(self.meaning, "  ")
        if self.propensities == "estimated":
            yield from _wrapped("rests on estimated propensities: the log has none, or they were not to be used", "  ")
        if self.doubt is not None:
            yield from _wrapped(f"not to be relied on: {self.doubt}", "  ")
        if not self.improves:
            yield f"  {NO_EVIDENCE}"


@dataclass(frozen=True)
class FinalFigures:
    """All that is said about the chosen policy at the end.

    Args:
        score: against the logging policy.
        scores: all scores of that kind.
        reports: every estimator, for the target policy, Coach's softmax beside it, and the best constant action.
    """

    score: FinalScore
    scores: SelectionScores
    reports: Sequence[PolicyReport]

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "episodes_of": self.score.episodes_of,
            "seen_by_the_choice": self.score.episodes_of != "test",
            "episodes": self.score.episodes,
            "score": self.score.to_json(),
            "logged_return": estimate_json(self.scores.logged_return),
            "policies": [report.to_json() | {"speaking": speaking(report)} for report in self.reports],
        }

    def lines(self) -> Iterator[str]:
        """The score, then what it and its like earn, for people, at most 80 characters a line."""
        yield from self.score.lines()
        logged = self.scores.logged_return
        target, *others = self.reports
        yield "earned, each by the estimate that speaks for it, by"
        yield from _wrapped(f"{target.policy}, the target policy: {_earned(target)}", "  ")
        for report in others:
            yield from _wrapped(f"{report.policy}: {_earned(report)}", "  ")
        yield from _wrapped(f"the logging policy: {in_digits(logged.value, logged.interval, LEAST_DECIMALS)}", "  ")


def _earned(report: PolicyReport) -> str:
    name = speaking(report)
    if name is None:
        return f"undefined: {report.doubt or 'no estimate is defined'}"
    figure = report.figures[name]
    found = in_digits(figure.value, figure.bootstrap.interval, LEAST_DECIMALS)
    return f"{found} ({name})" + ("" if figure.doubt is None else f", not to be relied on: {figure.doubt}")


def choice_lines(choice: PointerDetails, epochs: int) -> Iterator[str]:
    """The choice for people, at most 80 characters a line; the last one is for metric patterns: ``score=1.5``."""
    yield f"best: epoch {choice.epoch} of {epochs}"
    yield from _wrapped(choice.reason, "  ")
    if choice.value is not None:
        yield f"  score={choice.value:.6g} ({choice.metric})"


def final_figures(run: RunState, model: PolicyModel, metric: str | None, may_fit: bool) -> FinalFigures:
    """Score the chosen policy.

    Args:
        run: the run.
        model: the chosen policy.
        metric: the column that chose it; another one is taken where that is no score against the logging policy.
        may_fit: whether there is time to fit values, where the preset wants them.
    """
    test = run.parts.test
    episodes = episodes_of_an_epoch(run) if test is None else estimable(test)
    evaluator, scorer = evaluator_of(run, episodes), scorer_of(run, episodes)
    targets = list(dict.fromkeys((model.target, TargetPolicy.beside(run.preset.ope))))
    policies = evaluator.policies_of(model, targets)
    scores = scorer.score_actions(policies[0])
    cells = finite(scores.cells())
    settings = run.preset.selection
    if metric != columns.PAIRED and (metric is None or columns.window_steps(metric) is None):
        # These scores do not rest on the agent's values, whatever is held against those.
        weighed = {name: value for name, value in cells.items() if name != columns.VALUES_POSSIBLE}
        metric = trusted_metric(weighed, settings) or (columns.PAIRED if columns.PAIRED in cells else None)
    estimate = Estimate(float("nan"))
    words = OF_DECISIONS if of_decisions(episodes) else OF_EPISODES
    few = "episodes and windows" if words is OF_EPISODES else words.episodes
    doubt: str | None = f"too few effective {few} to score the target policy"
    meaning = ""
    if metric is not None:
        named = (metric, columns.lower(metric), columns.upper(metric), columns.standard_error(metric))
        estimate = Estimate(*(cells.get(name, math.nan) for name in named))
        doubt, meaning = doubt_of_score(cells, metric, settings), scorer.meaning(metric)
        doubt = None if doubt is None else words.said(doubt)
    score = FinalScore(
        metric=metric,
        estimate=estimate,
        confidence=run.preset.ope.confidence,
        meaning=meaning,
        doubt=doubt,
        episodes=episodes.n_episodes,
        episodes_of="evaluation" if test is None else "test",
        words=words,
        propensities="logged" if episodes.estimated_on is None else "estimated",
    )
    if run.preset.ope.q_function == "fqe" and may_fit:
        policies = [
            _with_fitted_values(run, episodes, model, target, policy)
            for target, policy in zip(targets, policies, strict=True)
        ]
    action = best_constant_action(estimable(run.parts.train), run.preset.agent.discount)
    return FinalFigures(score, scores, evaluator.report([*policies, constant_policy(action, episodes)]))


def _with_fitted_values(
    run: RunState, episodes: Dataset, model: PolicyModel, target: TargetPolicy, policy: ScoredPolicy
) -> ScoredPolicy:
    """The policy with fitted Q evaluation, from the training episodes, in place of the agent's own values."""
    discount, seed = run.preset.agent.discount, stream_seed(run.preset.seed, Stream.MODELS)
    q_function = Following.of_model(run.parts.train, model, target).fit(discount, run.preset.ope.fqe_updates, seed)
    return replace(policy, fitted_values=Following.of_model(episodes, model, target).values(q_function))


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent="  ", break_on_hyphens=False)
