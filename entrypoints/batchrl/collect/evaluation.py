"""Evaluation of a policy in a simulator: whole episodes, the same number from every environment, greedy."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from batchrl.collect.environments import (
    AnyEnv,
    EnvId,
    Simulator,
    eligible_in,
    flat_state,
    make_simulator,
    make_single,
    quiet,
)
from batchrl.collect.rollouts import collect
from batchrl.contract.errors import InputError
from batchrl.policies import Floats64, GreedyPolicy, Policy, kept_to

if TYPE_CHECKING:
    from PIL import Image

GIF_WIDTH = 600
# Of the line above each frame, and of its text (pixels).
CAPTION_HEIGHT, CAPTION_POINTS = 32, 20
GIF_COLOURS = 32
GIF_FRAMES = 120
GIF_FRAME_MS = 40
MAX_RECORDED_STEPS = 1000


class TrainedPolicy(Policy, Protocol):
    """A policy that knows what it was trained for."""

    @property
    def n_actions(self) -> int:
        """Number of actions."""

    @property
    def n_features(self) -> int:
        """Number of features of a state."""


@dataclass(frozen=True)
class Evaluation:
    """Returns of a greedy policy: plain, and discounted as the policy was trained to maximise them.

    Args:
        env: Gymnasium id.
        max_episode_steps: cap that was asked for; None was the environment's own.
        seed: of environments and of ties between actions.
        episodes: number of episodes.
        steps: environment steps of all of them.
        mean_return: mean of the returns.
        standard_error: of that mean; None with one episode.
        min_return: the lowest.
        max_return: the highest.
        returns: of each episode, ``[n]``.
        discount: of one step; None where it is not known.
        discounted_return: mean of the discounted returns, which off-policy estimates are about.
        discounted_standard_error: of that mean.
        num_envs: environments that were played, which the episodes depend on.
        copies: of the environment in memory at a time, which they do not depend on.
    """

    env: str
    max_episode_steps: int | None
    seed: int
    episodes: int
    steps: int
    mean_return: float
    standard_error: float | None
    min_return: float
    max_return: float
    returns: tuple[float, ...]
    discount: float | None = None
    discounted_return: float | None = None
    discounted_standard_error: float | None = None
    num_envs: int | None = None
    copies: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it in JSON's types."""
        return asdict(self) | {"returns": list(self.returns)}

    def __str__(self) -> str:
        error = "n/a" if self.standard_error is None else f"{self.standard_error:.2f}"
        discounted = ""
        if self.discounted_return is not None:
            discounted = f" discounted_return={self.discounted_return:.2f} discount={self.discount:g}"
        return (
            f"evaluation episodes={self.episodes} steps={self.steps} mean_return={self.mean_return:.2f} "
            f"standard_error={error} min_return={self.min_return:g} max_return={self.max_return:g}{discounted}"
        )


def check_fit(policy: TrainedPolicy, simulator: Simulator, env: EnvId, source: Path) -> None:
    """Whether a policy was trained for environments of this shape.

    Raises:
        InputError: its states or actions have another size.
    """
    if (policy.n_features, policy.n_actions) != (simulator.n_features, simulator.n_actions):
        raise InputError(
            f"the policy in {source} takes states of {policy.n_features} features and has {policy.n_actions} actions; "
            f"{env.name} has {simulator.n_features} features and {simulator.n_actions} actions.",
            "Name the environment that the data came from, by the preset's key env.id.",
        )


def evaluate(
    policy: Policy,
    env: EnvId,
    *,
    evaluate_steps: int,
    min_episodes: int,
    num_envs: int,
    seed: int,
    discount: float | None = None,
    simulator: Simulator | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Play greedily until at least so many steps and episodes are done.

    Every environment plays the same number of whole episodes. Where the first ``min_episodes`` were too short for
    ``evaluate_steps``, all environments play as many more as their mean length says, and again.

    Args:
        policy: the policy; its most probable action is taken, ties are broken at random.
        env: the environment.
        evaluate_steps: least number of environment steps.
        min_episodes: least number of episodes.
        num_envs: environments to play.
        seed: of environments and ties.
        discount: of one step, for discounted returns as well.
        simulator: environments that exist already, instead of ``num_envs`` new ones.
        progress: told how many of the steps are done.

    Raises:
        InputError: the environment does not exist or does not fit the policy.
    """
    simulator = simulator or make_simulator(env, num_envs)
    greedy = GreedyPolicy(policy)
    returns: list[Floats64] = []
    discounted: list[Floats64] = []
    steps, episodes = 0, math.ceil(min_episodes / simulator.n_envs)
    while episodes:
        played = collect(simulator, greedy, episodes=episodes, seed=_seed_of_round(seed, len(returns)))
        returns.append(played.returns)
        discounted.append(played.discounted_returns(1.0 if discount is None else discount))
        steps += played.steps
        if progress is not None:
            progress(min(steps, evaluate_steps), evaluate_steps)
        missing = max(evaluate_steps - steps, 0)
        episodes = math.ceil(missing / steps * sum(map(len, returns)) / simulator.n_envs)
    values = np.concatenate(returns)
    n = len(values)
    found = None if discount is None else np.concatenate(discounted)
    return Evaluation(
        env=env.name,
        max_episode_steps=env.max_episode_steps,
        seed=seed,
        episodes=n,
        steps=steps,
        mean_return=float(values.mean()),
        standard_error=_standard_error(values),
        min_return=float(values.min()),
        max_return=float(values.max()),
        returns=tuple(values.tolist()),
        discount=discount,
        discounted_return=None if found is None else float(found.mean()),
        discounted_standard_error=None if found is None else _standard_error(found),
        num_envs=simulator.n_envs,
        copies=simulator.copies,
    )


def _standard_error(values: Floats64) -> float | None:
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None


def record_gif(policy: Policy, env: EnvId, seed: int) -> bytes:
    """One greedy episode as an animated GIF of at most ``GIF_FRAMES`` frames, off-screen; each tells step and return.

    Raises:
        InputError: the environment cannot be rendered.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    single = make_single(env, render_mode="rgb_array")
    try:
        (first, *rest), stride = _frames(single, GreedyPolicy(policy), seed)
    finally:
        single.close()
    content = io.BytesIO()
    duration = GIF_FRAME_MS * min(stride, 2)
    first.save(content, "GIF", save_all=True, append_images=rest, duration=duration, loop=0, optimize=True)
    return content.getvalue()


def _frames(env: AnyEnv, policy: Policy, seed: int) -> tuple[list[Image.Image], int]:
    """Frames from an episode's first to its last, and how many steps are between two of them."""
    random = np.random.default_rng(seed)
    start = int(env.action_space.start)  # type: ignore[attr-defined]
    observation, info = env.reset(seed=seed)
    frames, stride, step, gained, is_over = [_frame(env, 0, 0.0)], 1, 0, 0.0, False
    while not is_over and step < MAX_RECORDED_STEPS:
        eligible = eligible_in(info, int(env.action_space.n))  # type: ignore[attr-defined]
        probabilities = kept_to(policy, flat_state(env, observation)[None], eligible)[0]
        action = int(random.choice(len(probabilities), p=probabilities)) + start
        observation, reward, terminal, truncated, info = env.step(action)
        step, gained, is_over = step + 1, gained + float(reward), bool(terminal or truncated)
        if is_over or step % stride == 0:
            frames.append(_frame(env, step, gained))
        if len(frames) > GIF_FRAMES and not is_over:
            frames, stride = frames[::2], 2 * stride
    return frames, stride


def _frame(env: AnyEnv, step: int, gained: float) -> Image.Image:
    """The environment as it is, with a caption above it, ``GIF_WIDTH`` wide and in few colours."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(_rendered(env)).convert("RGB")
    height = max(1, round(image.height * GIF_WIDTH / image.width))
    frame = Image.new("RGB", (GIF_WIDTH, CAPTION_HEIGHT + height), "white")
    frame.paste(image.resize((GIF_WIDTH, height)), (0, CAPTION_HEIGHT))
    font = ImageFont.load_default(CAPTION_POINTS)
    caption = f"step {step}   return {gained:.5g}"
    ImageDraw.Draw(frame).text(
        (CAPTION_HEIGHT // 4, CAPTION_HEIGHT // 2), caption, fill="black", font=font, anchor="lm"
    )
    return frame.quantize(GIF_COLOURS)


def _rendered(env: AnyEnv) -> Any:
    try:
        with quiet():
            picture = env.render()
    except Exception as error:
        raise InputError(f"the environment cannot be rendered: {type(error).__name__}: {error}") from error
    if not isinstance(picture, np.ndarray) or picture.ndim != 3:
        raise InputError("the environment renders no pictures.")
    return picture


def _seed_of_round(seed: int, number: int) -> int:
    """The seed itself for the first round, so that a first round is repeated by ``collect`` with that seed."""
    return seed if number == 0 else int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
