"""The policies of a question to a log, ranked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from batchrl.data.dataset import Dataset
from batchrl.data.loader import LoadedData
from batchrl.ope.choice.ranking import Candidate, rank_candidates
from batchrl.ope.choice.steps import Conduct, drawn_episodes
from batchrl.ope.report.ranking import Ranking
from batchrl.ope.report.words import OF_DECISIONS, OF_EPISODES
from batchrl.ope.study.fitted import Following
from batchrl.ope.study.logged import of_decisions
from batchrl.ope.study.possible import PossibleValues
from batchrl.ope.study.study import Question, label_of, targets_of


def ranking_of(question: Question, loaded: LoadedData, discount: float | None, told: str | None = None) -> Ranking:
    """Rank the named policies, each as the first of its target policies, on all episodes of a log.

    All episodes count, also those that some were trained on: the order needs the data more than it suffers from that.

    Args:
        question: names two policies or more.
        loaded: the log.
        discount: of one step; None for single decisions.
        told: which episodes the log has, in words; None for all.

    Raises:
        InputError: a policy fails on the states of the log.
    """
    whole = loaded.dataset
    positions = drawn_episodes(whole, question.settings.seed)
    drawn = len(positions) < whole.n_episodes
    data = whole.select(positions) if drawn else whole
    words = OF_DECISIONS if of_decisions(whole) else OF_EPISODES
    which = f"{len(positions)} {words.episodes} drawn of {whole.n_episodes}" if drawn else f"all {words.episodes}"
    which = which if told is None else f"{which.removeprefix('all ')} {told}" if drawn else told
    single = discount is None
    discount = 1.0 if discount is None else discount
    estimand = (
        "the reward of the policy that acts"
        if single
        else f"the value of the start states under the policy that acts, discount {discount:g}"
    )
    candidates = list(candidates_of(question, replace(loaded, dataset=data), data))
    possible = PossibleValues.of([whole], discount)
    return rank_candidates(data, candidates, discount, question.settings.seed, possible, estimand, which)


def candidates_of(question: Question, loaded: LoadedData, data: Dataset) -> Iterator[Candidate]:
    """The policies of a question, each as the first of its target policies, kept to what could be taken.

    Args:
        question: names them.
        loaded: of which the data set is ``data``.
        data: the episodes.

    Raises:
        InputError: a policy fails on the states of the log.
    """
    first = data.offsets[:-1]
    eligible = None if data.eligible is None else data.eligible[first]
    for policy in question.policies:
        target = targets_of(policy, question)[0]
        ((_, starts),) = policy.model.evaluate_targets(data.states[first], [target], eligible)
        following = Following.of_model(data, policy.model, target).next_probabilities
        yield Candidate(policy.name, label_of(policy.model, target), Conduct(starts, following))
    for given in question.given:
        starts = given.probabilities(data.states[first], data.n_actions, eligible)
        yield Candidate(given.name, given.label, Conduct(starts, given.following(loaded).next_probabilities))
