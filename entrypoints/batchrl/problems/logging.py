"""Narrow logging policies: they hardly ever try anything else than what they think right.

``batchrl collect --policy batchrl.problems.logging:NAME`` logs from them. With uniformly random logs every action is
supported everywhere and a constraint hardly matters; logs like these are what it is for.
"""

from __future__ import annotations

import numpy as np

from batchrl.policies import Floats32, Floats64
from batchrl.problems.mail_model import ACTIONS, DISCOUNT, FEATURES, NEWSLETTER, NO_MAIL, RECOMMENDATION, SEGMENTS

RULE_PROBABILITY = 0.97
ENGAGED = 0.5
SWINGS, BRAKES = 0.35, 0.15


class CartPoleController:
    """Pushes the cart to the side that the pole falls to: ``p(right) = sigmoid(sharpness * (angle + rate / 5))``.

    It holds the pole for as long as one likes, and near the upright pole it takes either action; anywhere else the
    other action is as good as never logged.

    Args:
        sharpness: per radian; the greater, the narrower the logs.
    """

    def __init__(self, sharpness: float = 100.0) -> None:
        self._sharpness = sharpness

    def action_probabilities(self, states: Floats32) -> Floats64:
        """Of states ``[B, 4]``: position, velocity, angle, angular rate."""
        lean = states[:, 2].astype(np.float64) + 0.2 * states[:, 3]
        right = 1 / (1 + np.exp(-self._sharpness * lean))
        return np.stack([1 - right, right], axis=1)


class MailRules:
    """A marketing department's rules, kept in 97 of 100 weeks; otherwise any of the other actions.

    Nothing to users who are tired or wait for an order; a discount to bargain hunters, a recommendation to engaged
    users, a newsletter to the rest.
    """

    def action_probabilities(self, states: Floats32) -> Floats64:
        """Of states ``[B, 9]``, ``mail_model.FEATURES``."""
        engagement, fatigue, weeks_until_booked = (
            states[:, FEATURES.index(name)] for name in ("engagement", "fatigue", "weeks until it is booked")
        )
        chosen = np.where(engagement > ENGAGED, RECOMMENDATION, NEWSLETTER)
        chosen = np.where(states[:, SEGMENTS.index("bargain hunter")] > 0, DISCOUNT, chosen)
        chosen = np.where((fatigue > 0) | (weeks_until_booked > 0), NO_MAIL, chosen)
        probabilities = np.full((len(states), len(ACTIONS)), (1 - RULE_PROBABILITY) / (len(ACTIONS) - 1))
        probabilities[np.arange(len(states)), chosen] = RULE_PROBABILITY
        return probabilities


class AcrobotIdler:
    """Mostly rests; else it more often swings (torque against the upper link's motion) than it brakes.

    Uniformly random Acrobot episodes hardly ever reach their goal: two of 200 did. Those of this policy do, slowly; who
    clones its most frequent action rests for ever.
    """

    def action_probabilities(self, states: Floats32) -> Floats64:
        """Of states ``[B, 6]``: cosine and sine of both angles, then both angular rates."""
        against = states[:, 4] < 0
        left, right = np.where(against, BRAKES, SWINGS), np.where(against, SWINGS, BRAKES)
        return np.stack([left, np.full(len(states), 1 - SWINGS - BRAKES), right], axis=1)
