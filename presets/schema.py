"""The schema of a preset: every setting with its meaning, unit and bounds.

``TrainPreset`` describes a training job, ``EvaluatePreset`` an evaluation in a simulator. Unknown keys are refused and
presets cannot be changed once they are made: ``presets.resolve`` makes a new one. Section numbers refer to the
specification of batch RL that these numbers come from (Intel Coach's, corrected).
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field

from presets.dataschema import DataSettings
from presets.kinds import Flag, Maybe, Named, Number, Section, Sequence, Whole

Width = Annotated[Whole, Field(ge=1, le=65536)]


class AgentSettings(Section):
    """The algorithm, its networks and how they learn; a key is for every algorithm, unless it says otherwise.

    Behaviour cloning has no values: targets, their loss, bounds and scale, and ``n_step`` do nothing there.
    """

    algorithm: (
        Literal["bc", "dqn", "ddqn", "ddqn-bcq", "cql", "iql", "one-step", "ips-policy", "dr-policy", "cost-sensitive"]
        | Named
    ) = Field(
        default="ddqn-bcq",
        description="bc: clone the logging policy; dqn; ddqn: double DQN; ddqn-bcq: double DQN whose bootstrap avoids "
        "unsupported actions (section bcq); cql: conservative Q-learning; iql: implicit Q-learning; "
        "one-step: values of the logging policy, then greedy once; for logs of single decisions alone: "
        "ips-policy: gradient of the inverse propensity score; dr-policy: of the doubly robust estimate; "
        "cost-sensitive: regression on doubly robust rewards; module:name: an agent of your own (docs/agents.md)",
    )
    discount: Number = Field(default=0.99, ge=0, le=1, description="Discount of one step, gamma")
    n_step: Whole = Field(default=1, ge=1, le=10_000, description="Logged rewards summed before the bootstrap")
    learning_rate: Number = Field(default=1e-4, gt=0, le=1, description="Step size of Adam (at first, with a schedule)")
    lr_schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="cosine: down to lr_final_fraction in the last update of the last epoch"
    )
    lr_final_fraction: Number = Field(
        default=0.02, ge=0, le=1, description="cosine: the last step size, as a share of learning_rate"
    )
    batch_size: Whole = Field(default=128, ge=1, le=1_000_000, description="Transitions in a minibatch")
    updates_per_epoch: Maybe[Annotated[Whole, Field(ge=1)]] = Field(
        default=None, description="Minibatches in an epoch; null: one pass over the training transitions"
    )
    adam_beta2: Number = Field(default=0.99, ge=0, lt=1, description="Adam's decay of squared gradients")
    adam_epsilon: Number = Field(default=1e-4, gt=0, le=1, description="Adam's term against division by zero")
    l2: Number = Field(default=0.0, ge=0, description="Weight of half the squared norm of all parameters in the loss")
    loss: Literal["mse", "huber"] = Field(default="mse", description="Loss of the Bellman residual; huber has delta 1")
    target_update: Literal["hard", "soft"] = Field(
        default="hard", description="hard: copy every target_update_every steps; soft: move by soft_rate in every step"
    )
    target_update_every: Whole = Field(
        default=50, ge=1, description="hard: gradient steps between copies into the target network"
    )
    soft_rate: Number = Field(default=0.01, gt=0, le=1, description="soft: share of the online network in each step")
    ensemble: Whole = Field(
        default=1, ge=1, le=64, description="Networks that learn side by side; their values are averaged"
    )
    standardise_inputs: Flag = Field(
        default=False, description="Shift and scale features to mean 0 and deviation 1 over the training transitions"
    )
    value_scale: Number = Field(
        default=1.0,
        gt=0,
        description="Values are learnt as if rewards were divided by this; estimates are in the rewards' own units",
    )
    value_bounds: Literal["none", "rewards"] = Field(
        default="none",
        description="rewards: clip bootstrapped targets to what logged rewards allow, [min, max, 0] / (1 - discount)",
    )
    embedder: Sequence[Width] = Field(
        default=(256,), max_length=16, description="Units of each embedder layer, ReLU after each"
    )
    middleware: Sequence[Width] = Field(
        default=(512,), max_length=16, description="Units of each layer above the embedder"
    )
    init: Literal["glorot"] = Field(default="glorot", description="Initial weights: Glorot uniform, biases zero")
    cql_alpha: Number = Field(default=1.0, ge=0, description="cql: weight of the conservative term")
    iql_expectile: Number = Field(default=0.7, gt=0, lt=1, description="iql: expectile of the state value")
    iql_inverse_temperature: Number = Field(
        default=3.0, ge=0, description="iql: factor of the advantage in the policy's weights"
    )
    iql_max_weight: Number = Field(default=100.0, gt=0, description="iql: largest weight of a transition in the policy")
    policy_max_weight: Number = Field(
        default=100.0, gt=0, description="ips-policy, dr-policy, cost-sensitive: largest weight of a decision"
    )


class BcqSettings(Section):
    """Which actions the data supports in a state.

    Fitted for ``ddqn-bcq``, whose bootstrap keeps to them, for agents of your own that are ``constrained``, and for any
    algorithm with ``mask_at_action_time``.
    """

    mode: Literal["coach_knn", "coach_nn", "discrete_bcq", "none"] = Field(
        default="coach_knn",
        description="coach_knn: near enough to a logged use of the action; coach_nn: likely enough under a classifier; "
        "discrete_bcq: likely enough beside the most likely action; none: every action is supported",
    )
    average_dist_coefficient: Number = Field(default=1.0, ge=0, description="coach_knn: threshold in mean distances")
    knn_threshold: Literal["mean_distance", "quantile"] = Field(
        default="mean_distance",
        description="coach_knn: mean_distance: one threshold, Coach's; quantile: for each action the quantile of the "
        "distances between states in which it was logged, each to the nearest of another episode",
    )
    knn_quantile: Number = Field(default=0.9, gt=0, le=1, description="coach_knn: quantile of knn_threshold")
    knn_leave_own_episode_out: Flag = Field(
        default=False, description="coach_knn: a state's neighbours come from other episodes than its own"
    )
    knn_source: Literal["train", "all"] = Field(default="train", description="coach_knn: episodes that fill the index")
    knn_capacity: Whole = Field(default=50_000, ge=1, description="coach_knn: transitions kept for each action")
    embedding: Literal["reward_model", "behavior_model", "state", "standardised_state"] = Field(
        default="reward_model",
        description="coach_knn: what is compared: last hidden layer of the reward model or of a classifier of the "
        "logged actions, or the state, raw or standardised",
    )
    fallback: Literal["random", "unmasked_argmax", "most_likely"] = Field(
        default="most_likely", description="Action of the bootstrap where no action is supported"
    )
    mask_at_action_time: Flag = Field(
        default=False, description="Whether acting, export and estimates avoid those actions too"
    )
    imitation_epochs: Whole = Field(
        default=100, ge=1, description="Epochs of the behaviour classifier, no longer than the agent's"
    )
    mask_out_threshold: Number = Field(
        default=0.35, ge=0, le=1, description="coach_nn: least probability of an allowed action"
    )
    relative_threshold: Number = Field(
        default=0.3, ge=0, le=1, description="discrete_bcq: least probability, as a share of the most likely action's"
    )


class RewardModelSettings(Section):
    """The model of the immediate reward, for the direct method and for the embedding of coach_knn."""

    epochs: Whole = Field(default=30, ge=1, le=1_000_000, description="Epochs, no longer than the agent's")


class OpeSettings(Section):
    """Off-policy estimates after each epoch."""

    target_policy: Literal["softmax", "epsilon_greedy", "greedy"] = Field(
        default="greedy",
        description="The policy: the choice of the checkpoint, epoch lines and final score are about it, and model, "
        "endpoint and transform act by it. The csv's five estimates with Coach's names score the softmax, beside it",
    )
    softmax_temperature: Number = Field(default=1.0, gt=0, description="softmax: temperature of the values")
    epsilon: Number = Field(default=0.1, ge=0, le=1, description="epsilon_greedy: probability of a random action")
    bootstrap_resamples: Whole = Field(
        default=1000, ge=0, le=1_000_000, description="Resamples of episodes; 0: no interval"
    )
    confidence: Number = Field(default=0.95, gt=0, lt=1, description="Probability that an interval aims to cover")
    ess_floor: Number = Field(
        default=10.0, ge=0, description="Effective episodes below which the rule lower_bound chooses no epoch"
    )
    wis_discount: Literal["agent", "legacy099"] = Field(
        default="agent", description="Discount of weighted importance sampling: the agent's, or Coach's fixed 0.99"
    )
    q_function: Literal["agent", "fqe"] = Field(
        default="agent",
        description="Values inside the doubly robust estimates of the final figures: the agent's own, or fitted Q "
        "evaluation of the chosen policy on the training episodes",
    )
    fqe_updates: Whole = Field(default=20_000, ge=1, description="fqe: gradient steps")
    max_episodes: Maybe[Annotated[Whole, Field(ge=1)]] = Field(
        default=None,
        description="Most evaluation episodes that an epoch's estimates use; null: as many as fit into 2 GB",
    )


class SelectionSettings(Section):
    """Which epoch's checkpoint is called best; simulators have no part in it."""

    rule: Literal["one_standard_error", "lower_bound", "last"] = Field(
        default="one_standard_error",
        description="one_standard_error: the latest epoch within a standard error of the best score against the "
        "logging policy; lower_bound: highest lower end of the interval of `estimate`; last: the last epoch",
    )
    estimate: Literal["sdr", "wis"] = Field(default="sdr", description="lower_bound: the estimate that decides")
    max_window: Whole = Field(
        default=4, ge=1, le=64, description="one_standard_error: most steps that a window score follows the policy"
    )
    window_ess_floor: Number = Field(
        default=200.0, ge=0, description="one_standard_error: effective windows that a window score needs"
    )


class EnvSettings(Section):
    """The simulator of an evaluation."""

    id: str = Field(
        default="CartPole-v0", min_length=1, description="Gymnasium id; 'module:id' imports the module first"
    )
    max_episode_steps: Maybe[Annotated[Whole, Field(ge=1)]] = Field(
        default=None, description="Steps after which an episode is cut; null keeps the environment's own cap"
    )


class Preset(Section):
    """What every preset has."""

    name: str = Field(min_length=1, description="Name of the preset; a file's own name where the file gives none")
    seed: Whole = Field(default=0, ge=0, le=2**32 - 1, description="Seed of everything random")

    def to_json(self) -> str:
        """All settings, resolved, with sorted keys; the same preset always gives the same text."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


class TrainPreset(Preset):
    """A training job: data, agent, mask, estimates, and what is kept."""

    kind: Literal["train"] = Field(default="train", description="What the job does")
    legacy: Flag = Field(
        default=False,
        description="Behave as Coach did where it differs from what is right, unless a setting says otherwise",
    )
    epochs: Whole = Field(default=50, ge=1, le=1_000_000, description="Passes over the training episodes")
    keep_checkpoints: Whole = Field(default=3, ge=1, description="Latest checkpoints to keep, beside the best one")
    agent: AgentSettings = Field(default=AgentSettings(), description="The value network and how it learns")
    bcq: BcqSettings = Field(default=BcqSettings(), description="Which actions the data supports")
    reward_model: RewardModelSettings = Field(default=RewardModelSettings(), description="Model of the reward")
    data: DataSettings = Field(default=DataSettings(), description="How the logged data is read and split")
    ope: OpeSettings = Field(default=OpeSettings(), description="Off-policy estimates after each epoch")
    selection: SelectionSettings = Field(default=SelectionSettings(), description="Which checkpoint is best")
    tensorboard: Flag = Field(default=True, description="Whether TensorBoard event files lie beside the csv")


class EvaluatePreset(Preset):
    """An evaluation in a simulator: greedy, in whole episodes, the same number from every copy of the environment."""

    kind: Literal["evaluate"] = Field(default="evaluate", description="What the job does")
    env: EnvSettings = Field(default=EnvSettings(), description="The simulator")
    evaluate_steps: Whole = Field(default=1000, ge=1, description="Least environment steps to play")
    min_episodes: Whole = Field(default=100, ge=1, description="Least episodes to play")
    num_envs: Whole = Field(default=100, ge=1, le=100_000, description="Environments that are stepped together")
    env_memory_gib: Number = Field(
        default=1.0,
        gt=0,
        description="What copies of the environment may take together. One is measured first; of one with a big table "
        "fewer than num_envs are built, which play in turns, with the same result",
    )
    checkpoint: Literal["best", "latest"] = Field(
        default="best", description="Which checkpoint of the channel to evaluate"
    )
    gif: Flag = Field(default=True, description="Whether to record one episode as an animated GIF")


# What `legacy: true` means: Coach's behaviour; docs/coach.md says what that is.
LEGACY_VALUES: dict[str, object] = {
    "data.legacy_drop_last": True,
    "data.split_by": "transitions",
    "bcq.knn_source": "all",
    "bcq.fallback": "random",
    "ope.wis_discount": "legacy099",
    "ope.target_policy": "softmax",
}
