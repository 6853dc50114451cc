"""Logged episodes and the policies that are scored on them, as the arrays that estimators take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from batchrl.agents.model import PolicyModel
from batchrl.agents.target_policy import TargetPolicy
from batchrl.contract.errors import InputError
from batchrl.data.dataset import Dataset, Flags, Floats32, Floats64, Integers
from batchrl.ope.estimators.doubly_robust import ActionValues
from batchrl.ope.estimators.grid import Grid
from batchrl.ope.estimators.quotients import Quotients
from batchrl.ope.estimators.sample import Sample
from batchrl.ope.estimators.trajectories import discounted_returns
from batchrl.ope.estimators.weights import clipped
from batchrl.ope.study.estimation import Estimation
from batchrl.ope.study.loggers import within_loggers


@dataclass(frozen=True)
class Values:
    """A value function of a policy on a log, whoever computed it.

    Args:
        q_values: ``[N, A]``, ``Q(s, a)`` in every logged state; single precision where that is what computed them.
        end_values: ``[n]``, ``V`` of the state after the last step of an episode that was cut short, else 0; None where
            those values are not known, so that nothing is counted after the logged steps.
    """

    q_values: Floats64 | Floats32
    end_values: Floats64 | None = None


@dataclass(frozen=True)
class ScoredPolicy:
    """One policy on a log: what it would do in every logged state, however that was found.

    Args:
        label: the policy in words.
        probabilities: ``[N, A]``; rows sum to 1.
        own_values: of the policy's own value function, if it has one.
        fitted_values: of its fitted Q evaluation, if there is one; it stands in for its own inside the doubly robust
            estimates.
    """

    label: str
    probabilities: Floats64
    own_values: Values | None = None
    fitted_values: Values | None = None

    @property
    def knows_end_values(self) -> bool:
        """Whether the estimates with values look beyond the end of an episode that was cut short."""
        used = self.fitted_values or self.own_values
        return used is not None and used.end_values is not None


class EpisodeLog:
    """Episodes, padded once for any number of policies.

    Args:
        dataset: the episodes.
        discount: of one step.
        clip: largest ratio of a step; None leaves the ratios as they are.

    Raises:
        InputError: (of ``sample``) a policy does not fit the log, or its numbers are none.
    """

    def __init__(self, dataset: Dataset, discount: float, clip: float | None = None) -> None:
        self.dataset = dataset
        self.clip = clip
        self.discount = discount
        self.grid = Grid.of(dataset.lengths)
        self.rewards = self.grid.pad(dataset.rewards)
        self._log_behavior = np.log(dataset.propensities)

    @cached_property
    def cut(self) -> Integers:
        """Positions of the episodes that were cut short with a known next state."""
        return np.flatnonzero(~self.dataset.terminal[self.dataset.offsets[1:] - 1]).astype(np.int64)

    @cached_property
    def estimation(self) -> Estimation | None:
        """How the logging policy was estimated; None where it was logged."""
        return Estimation.of(self.dataset)

    def with_estimation(self, estimators: Sequence[Quotients]) -> list[Quotients]:
        """Estimators that rest on the propensities, with what these do to their errors: that they were estimated, and
        that the shares of loggers, where those are balanced, are no chance."""
        if self.dataset.mixture is not None:
            estimators = [within_loggers(estimator, self.dataset) for estimator in estimators]
        if self.estimation is None:
            return list(estimators)
        return [self.estimation.moved_by(estimator) for estimator in estimators]

    @property
    def cut_states(self) -> Floats32:
        """``[len(cut), d]``, the states after the last steps of those episodes."""
        return self.dataset.next_states[self.dataset.offsets[1:][self.cut] - 1]

    @property
    def cut_eligible(self) -> Flags | None:
        """``[len(cut), A]``, the actions that can be taken there; None: all."""
        return self.dataset.eligible_after(self.dataset.offsets[1:][self.cut] - 1)

    @property
    def logged_return(self) -> Quotients:
        """The mean discounted return of the logging policy over the logged steps; of balanced loggers, of all of them
        in their shares."""
        mean = Quotients.mean(discounted_returns(self.rewards, self.discount))
        return mean if self.dataset.mixture is None else within_loggers(mean, self.dataset)

    def taken(self, values: Floats64 | Floats32) -> Floats64:
        """``[N]`` from ``[N, A]``: the entries of the logged actions."""
        return values[np.arange(self.dataset.n_transitions), self.dataset.actions].astype(np.float64)

    def log_ratios(self, probabilities: Floats64) -> Floats64:
        """``[n, T]``, logs of ``pi(a_it | s_it) / pi_b(a_it | s_it)``; 0 in the padding."""
        with np.errstate(divide="ignore"):
            ratios = np.log(self.taken(probabilities)) - self._log_behavior
        return self.grid.pad(ratios if self.clip is None else clipped(ratios, self.clip))

    def action_values(self, probabilities: Floats64, values: Values | None) -> ActionValues:
        """A value function and the policy's averages of it, padded; all 0 where there is none."""
        if values is None:
            none = np.zeros_like(self.rewards)
            return ActionValues(none, none, np.zeros(self.dataset.n_episodes))
        ends = np.zeros(self.dataset.n_episodes) if values.end_values is None else values.end_values
        return ActionValues(
            q_taken=self.grid.pad(self.taken(values.q_values)),
            values=self.grid.pad(averaged(probabilities, values.q_values)),
            end_values=ends,
        )

    def sample(self, policy: ScoredPolicy) -> Sample:
        """The arrays that every estimator of the return takes."""
        self._check(policy)
        own, fitted = policy.own_values, policy.fitted_values
        return Sample(
            grid=self.grid,
            log_ratios=self.log_ratios(policy.probabilities),
            rewards=self.rewards,
            discount=self.discount,
            agent_values=None if own is None else self.action_values(policy.probabilities, own),
            fitted_values=None if fitted is None else self.action_values(policy.probabilities, fitted),
        )

    def _check(self, policy: ScoredPolicy) -> None:
        shape = (self.dataset.n_transitions, self.dataset.n_actions)
        parts: dict[str, Floats64 | Floats32] = {"probabilities": policy.probabilities}
        for values in (policy.own_values, policy.fitted_values):
            parts |= {"values": values.q_values} if values is not None else {}
        for what, array in parts.items():
            if array.shape != shape:
                raise InputError(
                    f"{policy.label}: its {what} have the shape {array.shape}, but the log has {shape[0]} transitions "
                    f"with {shape[1]} actions.",
                    "Was it trained for another problem?",
                )
            # A sum of finite numbers can overflow, but then that row is looked at as well.
            doubtful = np.flatnonzero(~np.isfinite(array.sum(axis=1)))
            if len(wrong := doubtful[~np.isfinite(array[doubtful]).all(axis=1)]):
                raise InputError(
                    f"{policy.label}: its {what} in transition {wrong[0]} are {array[wrong[0]].tolist()}.",
                    "Did its training diverge?",
                )


def of_decisions(dataset: Dataset) -> bool:
    """Whether every episode is a single decision, and nothing comes after it: a contextual bandit's log."""
    return bool(dataset.lengths.max() == 1 and dataset.terminal.all())


def averaged(probabilities: Floats64, values: Floats64 | Floats32) -> Floats64:
    """``[N]``, ``sum_a pi(a | s) Q(s, a)`` of two arrays ``[N, A]``, without a third one of that size."""
    average: Floats64 = np.einsum("na,na->n", probabilities, values)
    return average


def policies_of(model: PolicyModel, log: EpisodeLog, targets: Sequence[TargetPolicy]) -> list[ScoredPolicy]:
    """What several target policies of one model would do on a log; its values are computed once.

    Args:
        model: networks, and the mask that the policy acts under.
        log: the episodes; the states have as many features as the model takes.
        targets: how its preferences become probabilities.
    """
    at_ends: list[Floats64] = []
    end_q = np.empty((0, model.n_actions))
    if len(log.cut):
        at_ends = [chances for _, chances in model.evaluate_targets(log.cut_states, targets, log.cut_eligible)]
        end_q = model.q_values(log.cut_states).astype(np.float64)
    q_values = None if model.values is None else model.q_values(log.dataset.states)
    policies = []
    in_log = model.evaluate_targets(log.dataset.states, targets, log.dataset.eligible)
    for number, (target, probabilities) in enumerate(in_log):
        values = None
        if q_values is not None:
            end_values = np.zeros(log.dataset.n_episodes)
            if len(log.cut):
                end_values[log.cut] = averaged(at_ends[number], end_q)
            values = Values(q_values, end_values)
        policies.append(ScoredPolicy(str(target), probabilities, values))
    return policies
