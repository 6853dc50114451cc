"""Intel Coach's names of settings (hyperparameters ``rl.a.b.c[:Type]``), where they map cleanly to ours.

Coach silently accepted a mistyped leaf; here an unknown name is an error, and so is a unit that does not fit
(Coach is described in docs/coach.md).
"""

from __future__ import annotations

from presets.errors import PresetError, shown
from presets.kinds import FLAGS

_ALGORITHM = "rl.agent_params.algorithm"
_NETWORK = "rl.agent_params.network_wrappers.main"
_DROP = f"{_ALGORITHM}.action_drop_method_parameters"
_HUBER = f"{_NETWORK}.replace_mse_with_huber_loss"
_EMBEDDING = f"{_DROP}.use_state_embedding_instead_of_state"
_TARGET_COPY = f"{_ALGORITHM}.num_steps_between_copying_online_weights_to_target"

# Coach's name -> our dotted key.
COACH_KEYS: dict[str, str] = {
    "discount": "agent.discount",
    "improve_steps": "epochs",
    "evaluation_episodes": "min_episodes",
    "rl.improve_steps": "epochs",
    "rl.evaluation_steps": "min_episodes",
    "rl.reward_model_num_epochs": "reward_model.epochs",
    f"{_ALGORITHM}.discount": "agent.discount",
    _TARGET_COPY: "agent.target_update_every",
    f"{_NETWORK}.learning_rate": "agent.learning_rate",
    f"{_NETWORK}.batch_size": "agent.batch_size",
    f"{_NETWORK}.l2_regularization": "agent.l2",
    f"{_NETWORK}.adam_optimizer_beta2": "agent.adam_beta2",
    f"{_NETWORK}.optimizer_epsilon": "agent.adam_epsilon",
    f"{_NETWORK}.softmax_temperature": "ope.softmax_temperature",
    _HUBER: "agent.loss",
    "rl.agent_params.memory.train_to_eval_ratio": "data.train_ratio",
    f"{_DROP}.average_dist_coefficient": "bcq.average_dist_coefficient",
    f"{_DROP}.knn_size": "bcq.knn_capacity",
    _EMBEDDING: "bcq.embedding",
    f"{_DROP}.imitation_model_num_epochs": "bcq.imitation_epochs",
    f"{_DROP}.mask_out_actions_threshold": "bcq.mask_out_threshold",
}

# Coach's unit suffixes, by the name that may carry them. One unit, one meaning: see the schema for ours.
UNITS: dict[str, tuple[str, ...]] = {
    "improve_steps": ("TrainingSteps",),
    "rl.improve_steps": ("TrainingSteps",),
    "rl.evaluation_steps": ("EnvironmentEpisodes", "EnvironmentSteps"),
    _TARGET_COPY: ("TrainingSteps",),
}


def translate(key: str, value: object) -> tuple[str, object]:
    """Our key and value for what Coach called ``key``; other keys come back as they are.

    Raises:
        PresetError: the suffix is no unit of this setting.
    """
    name, separator, unit = key.partition(":")
    name = name.removesuffix(".num_steps")
    if name not in COACH_KEYS:
        return key, value
    if separator and unit not in UNITS.get(name, ()):
        valid = UNITS.get(name)
        right = f"its unit is ':{valid[0]}'" if valid else "it takes no unit"
        raise PresetError(f"'{key}': '{unit}' does not fit this setting; {right}.", key=key)
    if name == "rl.evaluation_steps" and unit == "EnvironmentSteps":
        return "evaluate_steps", value
    if name == _EMBEDDING:
        return COACH_KEYS[name], "reward_model" if _flag(key, value) else "state"
    if name == _HUBER:
        return COACH_KEYS[name], "huber" if _flag(key, value) else "mse"
    return COACH_KEYS[name], value


def _flag(key: str, value: object) -> bool:
    if value in (0, 1):
        return bool(value)
    flag = FLAGS.get(value.strip().lower()) if isinstance(value, str) else None
    if flag is None:
        raise PresetError(f"'{key}': got {shown(value)}, expected true or false.", key=key)
    return flag
