"""What a figure is about: without it, a number says nothing."""

from __future__ import annotations

from dataclasses import dataclass

from batchrl.contract import estimators as names

LOGGING_POLICY = "the logging policy"
ONE_STEP = "one step"
# Where an episode is nothing but a decision and its reward.
DECISION = "a decision"
WHOLE = "to the end of the episode"


@dataclass(frozen=True)
class Estimand:
    """The quantity that a figure estimates.

    Args:
        policy: whose value it is.
        discount: of one step; None for the reward of a single step or decision.
        horizon: how far the value reaches.
    """

    policy: str
    discount: float | None
    horizon: str

    @classmethod
    def of(cls, name: str, policy: str, discount: float, n_cut: int, end_values: bool) -> Estimand:
        """The estimand of one estimator.

        Args:
            name: of the estimator (``batchrl.contract.estimators``).
            policy: in words.
            discount: of one step.
            n_cut: episodes that were cut short.
            end_values: whether the values of their last states are known.
        """
        if name in names.ONE_STEP:
            return cls(policy, None, ONE_STEP)
        return cls(policy, discount, horizon(n_cut, end_values and name in names.BOOTSTRAPPED))

    def __str__(self) -> str:
        if self.discount is None:
            return f"expected reward of {self.horizon} of '{self.policy}'"
        return f"expected return of '{self.policy}', discount {self.discount:g}, {self.horizon}"


def horizon(n_cut: int, end_values: bool) -> str:
    """How far a return reaches in a log of which ``n_cut`` episodes were cut short."""
    if n_cut == 0:
        return WHOLE
    cut = f"{n_cut} {'episode was' if n_cut == 1 else 'episodes were'} cut short"
    if end_values:
        return f"{WHOLE} ({cut}: the value of the state reached stands for the rest)"
    return f"over the logged steps ({cut})"
