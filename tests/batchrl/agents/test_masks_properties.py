from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from batchrl.agents.masks import Fallback, ImitationMask, LoggedActions, NearestNeighbourMask, nearest_neighbour_mask
from batchrl.agents.networks import Network, NetworkShape
from presets.schema import BcqSettings

Logits = st.integers(2, 6).flatmap(
    lambda n_actions: arrays.arrays(
        np.float32, st.tuples(st.integers(1, 8), st.just(n_actions)), elements=st.floats(-30, 30, width=32)
    )
)
Share = st.floats(0, 1)
FALLBACKS: tuple[Fallback, ...] = ("random", "unmasked_argmax", "most_likely")


def imitation(logits: np.ndarray, threshold: float, relative: bool, absent: tuple[int, ...] = ()) -> ImitationMask:
    """A mask whose classifier gives the logits of row i in state i."""
    n_states, n_actions = logits.shape
    network = Network(NetworkShape(n_states, n_actions, ()), torch.Generator())
    weights = torch.from_numpy(logits.T.copy())[None]
    network.load_state_dict({"layers.0.weight": weights, "layers.0.bias": torch.zeros(1, n_actions)})
    return ImitationMask(network, threshold, relative, absent)


@given(Logits, Share)
def test_the_relative_threshold_always_allows_the_most_likely_action(logits: np.ndarray, threshold: float) -> None:
    states = torch.eye(len(logits))
    support = imitation(logits, threshold, relative=True).support(states)
    assert support.allowed.gather(1, torch.from_numpy(logits.argmax(axis=1))[:, None]).all()
    assert support.none_allowed_rate() == 0
    for fallback in FALLBACKS:
        allowed, at_random = support.with_fallback(fallback)
        assert allowed.equal(support.allowed), "so its fallback can never decide"
        assert not at_random.any()


@given(Logits, Share, Share, st.booleans())
def test_a_higher_threshold_never_allows_more(logits: np.ndarray, one: float, other: float, relative: bool) -> None:
    states = torch.eye(len(logits))
    low = imitation(logits, min(one, other), relative).support(states).allowed
    high = imitation(logits, max(one, other), relative).support(states).allowed
    assert (low | ~high).all()


@given(Logits, Share, st.booleans(), st.data())
def test_an_absent_action_is_never_allowed(
    logits: np.ndarray, threshold: float, relative: bool, data: st.DataObject
) -> None:
    absent = data.draw(st.integers(0, logits.shape[1] - 1))
    support = imitation(logits, threshold, relative, (absent,)).support(torch.eye(len(logits)))
    assert not support.allowed[:, absent].any()
    assert (support.likeliest != absent).all()


@given(Logits, Share, st.booleans())
def test_every_fallback_leaves_an_action(logits: np.ndarray, threshold: float, relative: bool) -> None:
    support = imitation(logits, threshold, relative).support(torch.eye(len(logits)))
    for fallback in FALLBACKS:
        allowed, at_random = support.with_fallback(fallback)
        assert allowed.any(dim=1).all()
        assert (allowed | ~support.allowed).all(), "what is supported stays allowed"
        assert allowed[~support.none_allowed].equal(support.allowed[~support.none_allowed])
        assert at_random.equal(support.none_allowed) == (fallback == "random" or not support.none_allowed.any())


@st.composite
def logs(draw: st.DrawFn) -> LoggedActions:
    """Few distinct states, so that they are logged repeatedly, within episodes and across them."""
    n, n_actions = draw(st.integers(2, 40)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    return LoggedActions(
        states=torch.from_numpy(rng.integers(-3, 4, (n, 2)).astype(np.float32)),
        actions=torch.from_numpy(rng.integers(0, n_actions, n)),
        episodes=torch.from_numpy(np.sort(rng.integers(0, 5, n))),
        n_actions=n_actions,
    )


Settings = st.builds(
    BcqSettings,
    average_dist_coefficient=st.floats(0, 3),
    knn_threshold=st.sampled_from(["mean_distance", "quantile"]),
    knn_quantile=st.floats(0.01, 1),
    knn_leave_own_episode_out=st.booleans(),
)


def fitted(logged: LoggedActions, settings: BcqSettings) -> NearestNeighbourMask:
    return nearest_neighbour_mask(logged, settings, None, np.random.default_rng(0))


@given(logs(), Settings, st.integers(0, 100))
def test_the_order_of_logged_states_changes_no_mask(logged: LoggedActions, settings: BcqSettings, seed: int) -> None:
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(logged.actions)))
    shuffled = LoggedActions(logged.states[order], logged.actions[order], logged.episodes[order], logged.n_actions)
    one, other = fitted(logged, settings), fitted(shuffled, settings)
    np.testing.assert_allclose(one.thresholds, other.thresholds, rtol=1e-12)
    queries = torch.randn(10, 2, generator=torch.Generator().manual_seed(seed))
    assert one.distances(queries).equal(other.distances(queries))
    assert one.distances(logged.states, logged.episodes).equal(other.distances(logged.states, logged.episodes))


@given(logs(), Settings)
def test_without_its_own_episode_a_state_has_no_nearer_neighbour(logged: LoggedActions, settings: BcqSettings) -> None:
    plain = fitted(logged, settings.model_copy(update={"knn_leave_own_episode_out": False}))
    others = fitted(logged, settings.model_copy(update={"knn_leave_own_episode_out": True}))
    near, far = (mask.distances(logged.states, logged.episodes) for mask in (plain, others))
    assert (far >= near).all()
    assert (near.gather(1, logged.actions[:, None]) == 0).all(), "a logged action is at distance 0 of itself"


@given(logs(), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_higher_quantile_never_allows_less(logged: LoggedActions, one: float, other: float) -> None:
    low, high = (
        fitted(logged, BcqSettings(knn_threshold="quantile", knn_quantile=quantile)).support(logged.states).allowed
        for quantile in sorted((one, other))
    )
    assert (high | ~low).all()


@given(logs(), st.floats(0.05, 1))
def test_about_the_quantile_of_an_actions_own_uses_passes_between_episodes(
    logged: LoggedActions, quantile: float
) -> None:
    settings = BcqSettings(knn_threshold="quantile", knn_quantile=quantile, knn_leave_own_episode_out=True)
    mask = fitted(logged, settings)
    for action in range(logged.n_actions):
        rows = logged.actions == action
        distances = mask.distances(logged.states[rows], logged.episodes[rows])[:, action]
        known = distances[distances.isfinite()]
        passing = int((known <= mask.thresholds[action]).sum())
        if len(known):
            assert passing >= int(np.floor(quantile * (len(known) - 1))) + 1


@given(logs(), Settings)
def test_an_action_that_was_never_logged_is_never_near(logged: LoggedActions, settings: BcqSettings) -> None:
    never = LoggedActions(logged.states, logged.actions, logged.episodes, logged.n_actions + 1)
    support = fitted(never, settings).support(logged.states, logged.episodes)
    assert not support.allowed[:, -1].any()
    assert (support.likeliest < logged.n_actions).all()
