"""One question to a log: which policies, on which of its episodes, with which settings, against what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from batchrl.agents.model import PolicyModel
from batchrl.agents.target_policy import TargetPolicy
from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset, Floats64, Integers
from batchrl.data.loader import LoadedData
from batchrl.data.split import Split
from batchrl.ope.report.estimand import LOGGING_POLICY
from batchrl.ope.report.report import OpeReport, PolicyReport
from batchrl.ope.report.text import SHORT_NAMES
from batchrl.ope.report.verdict import decide, reference
from batchrl.ope.report.words import OF_DECISIONS, OF_EPISODES, Words
from batchrl.ope.study.decisions import DecisionScorer
from batchrl.ope.study.episodes import Chosen, Episodes, choose_episodes
from batchrl.ope.study.fitted import Following, cross_fitted
from batchrl.ope.study.given import GivenPolicy
from batchrl.ope.study.logged import EpisodeLog, ScoredPolicy, Values, of_decisions, policies_of
from batchrl.ope.study.loggers import remarks_on_loggers
from batchrl.ope.study.possible import PossibleValues
from batchrl.ope.study.scoring import Scored, Scorer, ScoreSettings
from batchrl.ope.study.sources import TrainedPolicy

DEFAULT_DISCOUNT = 0.99
COLUMNS = "the log's own columns"
Baseline = Literal["logged", "first"]
# What is told of a policy's making.
SHOWN_FACTS = ("job_name", "preset", "algorithm", "seed", "epoch", "selection", "data_sha256")


@dataclass(frozen=True)
class FqeSettings:
    """Fitted Q evaluation for the values inside the doubly robust estimates.

    Args:
        updates: gradient steps of each fit.
        other: episodes to fit on; None for those of the log that are not scored, or, where all are, each half of them
            on the other half.
        other_source: where they come from.
    """

    updates: int
    other: LoadedData | None = None
    other_source: str = ""


@dataclass(frozen=True)
class Question:
    """What is asked.

    Args:
        source: the log, as the user named it.
        policies: trained policies.
        given: policies that nobody trained; without any policy, the log's columns are it.
        targets: what is made of each trained policy's preferences; None stands for its own target policy.
        episodes: which episodes of the log to score on.
        discount: of one step; None for the first policy's own.
        baseline: what policies are compared with.
        first: which policy is the first one, counted over the trained ones and then the given ones.
        clip: largest ratio of a step; None leaves the ratios as they are.
        settings: of the intervals.
        fqe: None for no fitted Q evaluation.
    """

    source: str
    policies: Sequence[TrainedPolicy]
    targets: Sequence[TargetPolicy | None]
    given: Sequence[GivenPolicy] = ()
    episodes: Episodes = "auto"
    discount: float | None = None
    baseline: Baseline = "logged"
    first: int = 0
    clip: float | None = None
    settings: ScoreSettings = field(default_factory=ScoreSettings)
    fqe: FqeSettings | None = None


@dataclass(frozen=True)
class Contender:
    """One policy that is scored: where it comes from, what it would do, and what it would do next."""

    source: str
    facts: Mapping[str, Any]
    actions: ScoredPolicy
    following: Callable[[LoadedData], Following]


@dataclass(frozen=True)
class Fitting:
    """Where fitted values come from: episodes that are not scored, or the other half."""

    settings: FqeSettings
    loaded: LoadedData
    chosen: Chosen
    discount: float
    seed: int
    words: Words

    def values(self, following: Callable[[LoadedData], Following]) -> Values:
        """Fitted Q evaluation of a policy, on the scored episodes."""
        fit = (self.discount, self.settings.updates, self.seed)
        whole = following(self.loaded)
        scored = whole if self.chosen.whole else whole.select(self.chosen.positions)
        if self.settings.other is not None:
            return scored.values(following(self.settings.other).fit(*fit))
        if self.chosen.whole:
            return cross_fitted(whole, *fit)
        return scored.values(whole.select(self._others).fit(*fit))

    @property
    def told(self) -> str:
        """Which episodes the values were fitted on."""
        episodes = self.words.episodes
        if self.settings.other is not None:
            return f"Values were fitted on {self.settings.other_source}."
        if self.chosen.whole:
            return f"Values were fitted on each half of the {episodes} for the other half; all {episodes} are scored."
        return f"Values were fitted on the {len(self._others)} {episodes} of the log that are not scored."

    @property
    def _others(self) -> Integers:
        return np.setdiff1d(np.arange(self.loaded.dataset.n_episodes), self.chosen.positions)


def answer(question: Question, loaded: LoadedData, progress: Callable[[str], None] = lambda text: None) -> OpeReport:
    """Score every policy on the same episodes and resamples.

    Args:
        question: what is asked.
        loaded: the log, with the target columns where no policy is given.
        progress: told what is being done.

    Raises:
        InputError: a policy does not fit the log, the columns are missing, or there are no such episodes.
    """
    dataset = loaded.dataset
    _check(question, loaded)
    single = of_decisions(dataset)
    words = OF_DECISIONS if single else OF_EPISODES
    discount, remarks = _discount(question, words)
    digest = dataset.sha256()
    splits = [policy.split_of(dataset, digest) for policy in question.policies]
    chosen = choose_episodes(dataset.n_episodes, question.policies, splits, question.episodes, words)
    part = dataset if chosen.whole else dataset.select(chosen.positions)
    log = EpisodeLog(part, discount, question.clip)
    settings = replace(question.settings, possible=PossibleValues.of([dataset], discount))
    scorer: Scorer
    if single:
        scorer = DecisionScorer(log, settings)
    else:
        scorer = Scorer(log, settings, _modelled_rewards(question.policies, part))
    seed = question.settings.seed
    fitting = None if question.fqe is None else Fitting(question.fqe, loaded, chosen, discount, seed, words)

    scored: list[Scored] = []
    for contender in _contenders(question, loaded, log):
        actions = contender.actions
        if fitting is not None:
            progress(f"fitting values of {contender.source}: {actions.label}")
            actions = replace(actions, fitted_values=fitting.values(contender.following))
        result = scorer.score(actions)
        scored.append(replace(result, report=replace(result.report, source=contender.source, facts=contender.facts)))
    if fitting is not None:
        remarks += (fitting.told,)
    elif isinstance(scorer, DecisionScorer):
        of_columns = not (question.policies or question.given) and loaded.target_q is not None
        remarks += (
            f"The reward model is the column {columns.TARGET_Q_VALUES}." if of_columns else scorer.reward_model,
        )
    if question.clip is not None:
        remarks += (f"Ratios of a {words.step} are at most {question.clip:g}: figures with weights are biased.",)
    low, high = scorer.reward_range
    if question.settings.reward_range is None:
        remarks += (
            f"At least, at most: bounds that assume that a {words.step} pays from {low:.4g} to {high:.4g}, the logged "
            "range; what is known to be possible makes them certain (--reward-range).",
        )
    reports, baseline = _against_baseline(question, scorer, scored)
    remarks += tuple(_left_out(scorer.settings.estimators, reports))
    if loaded.unknown_ends:
        remarks += (f"{loaded.unknown_ends} episodes were cut short without a next state: their ends count as final.",)
    remarks += tuple(f"{doubt.message} {doubt.advice}" for doubt in loaded.doubts)
    remarks = (*remarks_on_loggers(part, words), *remarks)
    if log.estimation is not None:
        remarks = (*log.estimation.remarks(), *remarks)
    return OpeReport(
        data={
            "source": question.source,
            "sha256": digest,
            "episodes": dataset.n_episodes,
            "transitions": dataset.n_transitions,
            "actions": dataset.n_actions,
            "schema": loaded.schema,
        },
        scored={"episodes": part.n_episodes, "transitions": part.n_transitions, "which": chosen.which},
        settings={
            "discount": None if single else discount,
            "confidence": question.settings.confidence,
            "resamples": question.settings.resamples,
            "seed": question.settings.seed,
            "clip": question.clip,
            "reward_range": [low, high],
            "loggers": None if part.loggers is None else "separate" if part.mixture is None else "balanced",
        },
        mean_return=float(part.returns.mean()),
        logged=scorer.logged,
        logged_estimand=scorer.logged_estimand,
        baseline=baseline,
        policies=reports,
        words=words,
        remarks=(*remarks, *chosen.remarks, *_remarks_on(question, splits, digest, words)),
    )


def _discount(question: Question, words: Words) -> tuple[float, tuple[str, ...]]:
    """The discount, and what there is to say about it."""
    if words is OF_DECISIONS:
        if question.discount is None:
            return 1.0, ()
        return 1.0, (f"--discount {question.discount:g} changes nothing: nothing comes after a decision.",)
    if question.discount is not None:
        return question.discount, ()
    known = {policy.discount for policy in question.policies if policy.discount is not None}
    if not known:
        return DEFAULT_DISCOUNT, (f"No discount is known: {DEFAULT_DISCOUNT} is assumed (--discount).",)
    first = next(policy.discount for policy in question.policies if policy.discount is not None)
    if len(known) > 1:
        return first, (f"The policies were trained with different discounts; all are scored with {first:g}.",)
    return first, ()


def _modelled_rewards(policies: Sequence[TrainedPolicy], part: Dataset) -> Floats64 | None:
    """The reward model's output where there is one run; several have one each."""
    return policies[0].modelled_rewards(part) if len(policies) == 1 else None


def _check(question: Question, loaded: LoadedData) -> None:
    """Refuse what cannot be answered, before anything is computed."""
    dataset, settings, fqe = loaded.dataset, question.settings, question.fqe
    for policy in question.policies:
        policy.check_fit(dataset, question.source)
    if not (question.policies or question.given) and loaded.target_policy is None:
        raise InputError(
            f"{question.source} has no column {columns.TARGET_ACTION_PROBABILITIES}.",
            "Name a policy by --model or --policy, or log what a policy would do in that column.",
        )
    low, high = float(dataset.rewards.min()), float(dataset.rewards.max())
    if settings.reward_range is not None and not settings.reward_range[0] <= low <= high <= settings.reward_range[1]:
        given = ":".join(f"{end:g}" for end in settings.reward_range)
        raise InputError(
            f"--reward-range {given}: {question.source} has rewards from {low:g} to {high:g}.",
            "Give a range that holds them.",
        )
    if fqe is None:
        return
    if fqe.other is None and dataset.n_episodes < 2:
        raise InputError(
            "--fqe: one episode cannot be divided into one to fit on and one to score.", "Give --fqe-data."
        )
    if fqe.other is not None:
        other = fqe.other.dataset
        if (other.n_features, other.n_actions) != (dataset.n_features, dataset.n_actions):
            raise InputError(
                f"{fqe.other_source} has {other.n_features} features and {other.n_actions} actions, but "
                f"{question.source} has {dataset.n_features} and {dataset.n_actions}.",
                "Give data of the same problem.",
            )


def _contenders(question: Question, loaded: LoadedData, log: EpisodeLog) -> Iterator[Contender]:
    for policy in question.policies:
        facts = {name: policy.facts[name] for name in SHOWN_FACTS if policy.facts.get(name) is not None}
        facts |= {"acts_under_mask": policy.model.mask is not None}
        facts |= {"target_policy": str(policy.model.target)}
        targets = targets_of(policy, question)
        for target, scored in zip(targets, policies_of(policy.model, log, targets), strict=True):
            label = label_of(policy.model, target)
            following = partial(_following_model, policy.model, target)
            yield Contender(policy.name, facts, replace(scored, label=label), following)
    for given in question.given:
        probabilities = given.probabilities(log.dataset.states, log.dataset.n_actions, log.dataset.eligible)
        yield Contender(given.name, {}, ScoredPolicy(given.label, probabilities), given.following)
    if not (question.policies or question.given) and loaded.target_policy is not None:
        values = None if loaded.target_q is None else Values(loaded.target_q)
        label = f"that of {columns.TARGET_ACTION_PROBABILITIES}"
        scored = ScoredPolicy(label, loaded.target_policy, values)
        if of_decisions(log.dataset):
            # Where nothing follows, values are a reward model, and these are the one that its user wants.
            scored = ScoredPolicy(label, loaded.target_policy, fitted_values=values)
        yield Contender(COLUMNS, {}, scored, _following_columns)


def label_of(model: PolicyModel, target: TargetPolicy) -> str:
    """What a report calls a trained policy."""
    return f"{target}, under its mask" if model.mask is not None else str(target)


def targets_of(policy: TrainedPolicy, question: Question) -> list[TargetPolicy]:
    """What is made of a trained policy's preferences, each once."""
    return list(dict.fromkeys(target or policy.model.target for target in question.targets))


def _following_model(model: PolicyModel, target: TargetPolicy, loaded: LoadedData) -> Following:
    return Following.of_model(loaded.dataset, model, target)


def _following_columns(loaded: LoadedData) -> Following:
    if loaded.target_policy is None:
        raise InputError(
            f"--fqe-data has no column {columns.TARGET_ACTION_PROBABILITIES}.",
            "It says what the policy would do there.",
        )
    return Following.of_columns(loaded.dataset, loaded.target_policy)


def _against_baseline(question: Question, scorer: Scorer, scored: Sequence[Scored]) -> tuple[list[PolicyReport], str]:
    """Reports with their differences; the first model's policies stand against those of the same kind of the others."""
    if question.baseline == "logged":
        return [_judged(each.report, LOGGING_POLICY) for each in scored], LOGGING_POLICY
    groups = _groups(question, len(scored))
    name = scored[groups[0][0]].report.source
    reports: dict[int, PolicyReport] = {}
    for positions in groups:
        first, *rest = (scorer.against(scored[position], scored[positions[0]]) for position in positions)
        judged = [replace(first, verdict=reference(first)), *(_judged(each, name, first.doubt) for each in rest)]
        reports |= dict(zip(positions, judged, strict=True))
    return [reports[position] for position in range(len(scored))], name


def _groups(question: Question, n_scored: int) -> list[list[int]]:
    """Positions of what is scored that are compared with each other, each group's first one being what the others are
    compared with: of a trained policy there is one for each target, and they are compared with those of their kind."""
    trained = [len(targets_of(policy, question)) for policy in question.policies]
    sizes = trained + [1] * len(question.given) or [n_scored]
    ends = np.cumsum(sizes)
    sources = [list(range(end - size, end)) for end, size in zip(ends.tolist(), sizes, strict=True)]
    groups = [[position] for position in sources.pop(question.first)]
    for positions in sources:
        for kind, position in enumerate(positions):
            groups[min(kind, len(groups) - 1)].append(position)
    return groups


def _left_out(wanted: Collection[str] | None, reports: Sequence[PolicyReport]) -> Iterator[str]:
    """What was asked for and cannot be made, and of which policies."""
    for report in reports:
        missing = [name for name in wanted or () if name not in report.figures]
        for of_models, why in ((False, "it has no values; --fqe fits some"), (True, "there is no model of rewards")):
            lacking = [SHORT_NAMES.get(name, name) for name in missing if (name in names.ONE_STEP) == of_models]
            if lacking:
                yield f"{report.source} has no {' and no '.join(lacking)}: {why}."


def _judged(report: PolicyReport, baseline: str, doubt_of_baseline: str | None = None) -> PolicyReport:
    return replace(report, verdict=decide(report, baseline, doubt_of_baseline))


def _remarks_on(question: Question, splits: Sequence[Split | None], digest: str, words: Words) -> Iterable[str]:
    policies = question.policies
    if not (policies or question.given):
        these = f"these {words.episodes}"
        yield f"The probabilities are {COLUMNS}: a policy that was trained on {these} is scored optimistically."
    for policy, split in zip(policies, splits, strict=True):
        if policy.model.target not in targets_of(policy, question):
            yield f"{policy.name} is served as its target policy, {policy.model.target}, which is not scored here."
        if policy.data_sha256 != digest:
            yield (
                f"{policy.name} was trained on other data; {words.episodes} that it shares with this log are scored "
                "optimistically."
            )
        elif split is None:
            yield (
                f"{policy.name} was trained on {words.episodes} of this log, and nothing says on which: those are "
                "scored optimistically."
            )
