"""Whether a logistic model of the logging policy misses that its preferences bend: a score test of squared features.

Were the model right, what it leaves of the actions, taken less probability, would have nothing to do with the square of
a feature. With ``z`` the square of a standardised feature, less its regression on that feature, and ``m_i`` the sum of
what is left times ``z`` over an episode's steps, ``sum m_i / sqrt(sum m_i^2)`` is then about normal (Rao 1948; its
variance is 1 or less, since the coefficients were fitted to the same actions). In a long log it finds what does not
matter: a square by which the log loss would fall by little is not told.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from batchrl.data.behaviour_fit import FEWEST_EPISODES, Bend
from batchrl.data.behaviour_models import Scale
from batchrl.data.dataset import Dataset, Flags, Floats64, Integers
from batchrl.data.scores import score_sums, taken_by
from batchrl.data.storage import chunks

# That anything is told of a model that is right.
ERROR = 1e-3
# Of what the features gain over the actions' shares, a square that gains less is not told.
LEAST_SHARE = 0.05
# Squares that vary less are those of a feature with two values.
LEAST_VARIANCE = 1e-6
# Numbers in the array of sums; of a longer log its first episodes are looked at.
MOST_NUMBERS = 20_000_000


def strongest_bend(dataset: Dataset, chances: Floats64, gained: float) -> Bend | None:
    """The square of a feature that a logistic model would profit from most; None where none matters.

    Args:
        dataset: the episodes of one logger.
        chances: ``[N, A]``, the model's probabilities; an episode's are of a model that did not see it.
        gained: by how much the model's log loss is lower than that of the actions' shares alone, in nats.
    """
    scale = Scale.of(dataset)
    squares = _Squares.of(dataset, scale)
    actions = _frequent(dataset)
    if not squares.columns.size or not actions.size:
        return None
    tested = squares.columns.size * actions.size
    n = min(dataset.n_episodes, max(1, MOST_NUMBERS // tested))
    sums = score_sums(dataset, chances, actions, squares.rows, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.nan_to_num(np.abs(sums.sum(axis=0)) / np.sqrt((sums**2).sum(axis=0)))
    action, column = np.unravel_index(scores.argmax(), scores.shape)
    score = float(scores[action, column])
    gain = score**2 / 2 / int(dataset.offsets[n])
    if score < NormalDist().inv_cdf(1 - ERROR / 2 / tested) or gain < LEAST_SHARE * max(gained, 0.0):
        return None
    feature = dataset.state_columns[squares.columns[column]]
    return Bend(feature, dataset.action_names[actions[action]], score)


class _Squares:
    """Squares of standardised features, less what is linear in the feature itself.

    Args:
        scale: of the features.
        columns: ``[q]``, those whose squares say more than they do.
        skewness: ``[q]``, the mean cubes of the standardised features.
    """

    def __init__(self, scale: Scale, columns: Integers, skewness: Floats64) -> None:
        self.columns = columns
        self._scale = scale
        self._skewness = skewness

    @classmethod
    def of(cls, dataset: Dataset, scale: Scale) -> _Squares:
        """Of all transitions."""
        moments = np.zeros((2, dataset.n_features))
        for start, stop in chunks(dataset.n_transitions):
            features = scale.features(dataset, start, stop)[:, 1:]
            moments += [(features**3).sum(axis=0), (features**4).sum(axis=0)]
        skewness, kurtosis = moments / dataset.n_transitions
        columns = np.flatnonzero(kurtosis - 1 - skewness**2 > LEAST_VARIANCE)
        return cls(scale, columns.astype(np.int64), skewness[columns])

    def rows(self, dataset: Dataset, start: int, stop: int) -> Floats64:
        """``[stop - start, q]`` of these transitions."""
        features = self._scale.features(dataset, start, stop)[:, 1:][:, self.columns]
        result: Floats64 = features**2 - 1 - self._skewness * features
        return result


def _frequent(dataset: Dataset) -> Integers:
    """Actions that enough episodes took and enough did not take."""
    _, actions = taken_by(dataset)
    enough: Flags = np.bincount(actions, minlength=dataset.n_actions) >= FEWEST_EPISODES
    return np.flatnonzero(enough).astype(np.int64)
