"""The mail campaign as a finite decision process: what a user is, what a mail does, and what the best policy is worth.

A user is one episode, as in the article that started this product. For ``WEEKS`` weeks the sender chooses one action a
week: no mail, a newsletter, a recommendation (a product at its full price) or a discount. A mail costs money at once;
an order comes by chance and is booked ``DELIVERY_WEEKS`` weeks later; until then the user orders nothing else.
Newsletters make users engaged, engaged users buy, discounts sell at once but spoil the engagement, mails tire, and
tired users buy less and leave for good (an order that is not yet booked goes back with them).

Two ways to be short-sighted are built in. Nothing is booked in the week of a mail: the best immediate reward is never
to mail. Uniformly random logs mail three weeks in four and tire everybody: whoever acts greedily on *their* values
sells in a hurry, for there engagement does not last. The best policy rests its users, makes them engaged, then sells.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from batchrl.policies import Floats32, Floats64, Policy
from batchrl.problems.finite import FiniteProcess, Integers

WEEKS = 20
DELIVERY_WEEKS = 3
ACTIONS = ("no mail", "newsletter", "recommendation", "discount")
NO_MAIL, NEWSLETTER, RECOMMENDATION, DISCOUNT = range(4)
SEGMENTS = ("loyal", "bargain hunter", "occasional")
LEVELS = 4

# Of each segment.
SHARE = (0.3, 0.4, 0.3)
# Of each action: money, and its effects on engagement and fatigue.
COST = (0.0, 0.1, 0.15, 0.15)
MARGIN_FULL, MARGIN_DISCOUNTED = 10.0, 4.0
ENGAGES = ((0.0, 0.6, 0.1, 0.0), (0.0, 0.4, 0.1, 0.0), (0.0, 0.5, 0.1, 0.0))
DISENGAGES = (0.15, 0.05, 0.15, 0.5)
TIRES = (-2, 1, 1, 1)
# Probability of an order, by segment and action, at engagement 1; its factor at each level of engagement.
ORDERS = ((0.02, 0.06, 0.30, 0.40), (0.01, 0.03, 0.12, 0.50), (0.02, 0.05, 0.20, 0.25))
READINESS = (0.15, 0.4, 0.8, 1.2)
# Factors of a mail's effects, and the probability that it makes the user leave, at each level of fatigue.
ORDER_WHEN_TIRED = (1.0, 0.8, 0.4, 0.15)
ENGAGES_WHEN_TIRED = (1.0, 0.8, 0.3, 0.1)
LEAVES_WHEN_TIRED = (0.0, 0.02, 0.05, 0.15)
LEAVES_ANYHOW = 0.005

FEATURES = (
    *(f"segment: {name}" for name in SEGMENTS),
    "engagement",
    "fatigue",
    "order at full price",
    "order at a discount",
    "weeks until it is booked",
    "weeks left",
)


class User(NamedTuple):
    """What the sender knows of a user, apart from the week.

    Args:
        segment: index into ``SEGMENTS``.
        engagement: 0 to 3.
        fatigue: 0 to 3.
        order: 0 none; 1 to 3 weeks until an order at full price is booked; 4 to 6 the same at a discount.
    """

    segment: int
    engagement: int
    fatigue: int
    order: int


USERS = tuple(
    User(*state) for state in product(range(len(SEGMENTS)), range(LEVELS), range(LEVELS), range(1 + 2 * DELIVERY_WEEKS))
)
NUMBERS = {user: number for number, user in enumerate(USERS)}
FULL_BOOKED, DISCOUNTED_BOOKED = 1, 1 + DELIVERY_WEEKS


@cache
def mail_process() -> FiniteProcess:
    """The exact tables: states are numbered as in ``USERS``, actions as in ``ACTIONS``."""
    transition = np.zeros((len(USERS), len(ACTIONS), len(USERS) + 1))
    reward = np.zeros((len(USERS), len(ACTIONS)))
    for (number, user), action in product(enumerate(USERS), range(len(ACTIONS))):
        booked = {FULL_BOOKED: MARGIN_FULL, DISCOUNTED_BOOKED: MARGIN_DISCOUNTED}.get(user.order, 0.0)
        reward[number, action] = booked - COST[action]
        leaves = LEAVES_ANYHOW + (LEAVES_WHEN_TIRED[user.fatigue] if action else 0.0)
        transition[number, action, -1] = leaves
        fatigue = _clipped(user.fatigue + TIRES[action])
        for order, p_order in _orders(user, action):
            for engagement, p_engagement in _engagements(user, action):
                following = NUMBERS[User(user.segment, engagement, fatigue, order)]
                transition[number, action, following] += (1 - leaves) * p_order * p_engagement
    start = np.zeros(len(USERS))
    for segment, share in enumerate(SHARE):
        for engagement in (0, 1):
            start[NUMBERS[User(segment, engagement, 0, 0)]] = share / 2
    return FiniteProcess(transition, reward, start, WEEKS)


def _orders(user: User, action: int) -> list[tuple[int, float]]:
    """The order after a week, with its probability."""
    if user.order:
        return [(0 if user.order in (FULL_BOOKED, DISCOUNTED_BOOKED) else user.order - 1, 1.0)]
    tired = ORDER_WHEN_TIRED[user.fatigue] if action else 1.0
    probability = ORDERS[user.segment][action] * READINESS[user.engagement] * tired
    new = 2 * DELIVERY_WEEKS if action == DISCOUNT else DELIVERY_WEEKS
    return [(new, probability), (0, 1 - probability)]


def _engagements(user: User, action: int) -> list[tuple[int, float]]:
    """Engagement after a week, with its probability; equal levels may come twice."""
    up = ENGAGES[user.segment][action] * (ENGAGES_WHEN_TIRED[user.fatigue] if action else 1.0)
    down = DISENGAGES[action]
    higher, lower = up * (1 - down), down * (1 - up)
    level = user.engagement
    return [(_clipped(level + 1), higher), (_clipped(level - 1), lower), (level, 1 - higher - lower)]


def _clipped(level: int) -> int:
    return min(max(level, 0), LEVELS - 1)


@cache
def _user_features() -> Floats32:
    """The features ``[S, 9]`` of every user; weeks left are filled in by ``features``."""
    table = np.zeros((len(USERS), len(FEATURES)), dtype=np.float32)
    for row, user in zip(table, USERS, strict=True):
        row[user.segment] = 1
        row[3:5] = user.engagement / (LEVELS - 1), user.fatigue / (LEVELS - 1)
        if user.order:
            discounted = user.order > DELIVERY_WEEKS
            row[5 + discounted] = 1
            row[7] = (user.order - DELIVERY_WEEKS * discounted) / DELIVERY_WEEKS
    return table


def features(states: Integers, weeks_left: Integers) -> Floats32:
    """What is observed, ``[n, 9]`` in 0 to 1, of states ``[n]`` with ``weeks_left`` ``[n]``: ``FEATURES`` in order."""
    observed = _user_features()[states]
    observed[:, -1] = weeks_left / np.float32(WEEKS)
    return observed


def states_of(observed: Floats32) -> tuple[Integers, Integers]:
    """States ``[n]`` and weeks left ``[n]`` from features ``[n, 9]``: the features determine both."""
    segment = observed[:, :3].argmax(axis=1)
    levels = np.rint(observed[:, 3:5] * (LEVELS - 1)).astype(np.int64)
    weeks = np.rint(observed[:, 7] * DELIVERY_WEEKS).astype(np.int64)
    order = weeks + DELIVERY_WEEKS * (observed[:, 6] > 0.5)
    state = ((segment * LEVELS + levels[:, 0]) * LEVELS + levels[:, 1]) * (1 + 2 * DELIVERY_WEEKS) + order
    return state, np.rint(observed[:, 8] * WEEKS).astype(np.int64)


class TablePolicy:
    """A policy by table.

    Args:
        table: probabilities ``[H, S, A]``; row ``h`` is for ``h + 1`` weeks left.
    """

    def __init__(self, table: Floats64) -> None:
        self.table = table

    def action_probabilities(self, states: Floats32) -> Floats64:
        """The rows of the observed users, ``[B, A]``."""
        state, weeks_left = states_of(states)
        rows: Floats64 = self.table[np.maximum(weeks_left, 1) - 1, state]
        return rows


def table_of(policy: Policy) -> Floats64:
    """A policy's probabilities in every state and week, ``[H, S, A]``."""
    everybody = np.arange(len(USERS))
    layers = [
        policy.action_probabilities(features(everybody, np.full(len(USERS), week))) for week in range(1, WEEKS + 1)
    ]
    return np.stack(layers)


def value_of(policy: Policy, discount: float = 1.0) -> float:
    """Exact mean return of a policy over a whole campaign; discount 1 gives the plain return."""
    return mail_process().value(table_of(policy), discount)


def optimal_value(discount: float = 1.0) -> float:
    """Exact mean return of the best policy; no policy has a higher one."""
    return mail_process().optimal_value(discount)


def optimal_policy(discount: float = 1.0) -> TablePolicy:
    """The best policy for this discount."""
    return TablePolicy(_greedy(mail_process().optimal_action_values(discount)))


def one_step_policy(logging: Policy, discount: float = 1.0) -> TablePolicy:
    """Greedy on the exact values of a logging policy: what a one-step agent finds with endless data."""
    return TablePolicy(_greedy(mail_process().action_values(table_of(logging), discount)))


def _greedy(values: Floats64) -> Floats64:
    table: Floats64 = np.eye(len(ACTIONS))[values.argmax(axis=2)]
    return table
