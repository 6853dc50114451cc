"""Columns of the data csv and of the intermediate csv (names of Intel Coach, which its users' notebooks read)."""

from __future__ import annotations

# The logged data: one row a transition.
ACTION = "action"
ALL_ACTION_PROBABILITIES = "all_action_probabilities"
EPISODE_ID = "episode_id"
REWARD = "reward"
CUMULATIVE_REWARDS = "cumulative_rewards"
STATE_FEATURE_PREFIX = "state_feature_"
NEXT_STATE_FEATURE_PREFIX = "next_state_feature_"
TERMINAL = "terminal"
TRUNCATED = "truncated"
# Optional: when the row was written, and the probability of the taken action where those of the others are not known.
TIME = "time"
PROPENSITY = "propensity"
# Optional: which policy logged the row's episode, where several did.
LOGGER = "logger"
# Optional, one column for each of these policies: its probability of the taken action, whoever took it. Only settings
# ask for them; the name is one that hardly any file has for something else.
LOGGER_PROPENSITY_PREFIX = "propensity under "
# Optional: how many episodes the row's one stands for.
WEIGHT = "weight"
# Optional: which actions could be taken in the row.
ELIGIBLE = "eligible_actions"
# Optional: the probabilities and values of a policy to be scored, whoever computed them; training ignores them.
TARGET_ACTION_PROBABILITIES = "target_action_probabilities"
TARGET_Q_VALUES = "target_q_values"

# The intermediate csv: one row an epoch, with that epoch's own estimates.
INTERMEDIATE_CSV = "worker_0.batch_rl_graph.main_level.main_level.agent_0.csv"
EPOCH = "Epoch"
IPS = "Inverse Propensity Score"
DM = "Direct Method Reward"
DR = "Doubly Robust"
WIS = "Weighted Importance Sampling"
SDR = "Sequential Doubly Robust"
# Of the softmax of the values, as Coach had them, whatever the target policy is.
ESTIMATES = (IPS, DM, DR, WIS, SDR)
# Of the target policy.
TARGET_WIS = "Target WIS"
TARGET_SDR = "Target SDR"
TARGET_ESTIMATES = (TARGET_WIS, TARGET_SDR)
# All that estimate what a policy earns, and not what it gains.
RETURNS = (*ESTIMATES, *TARGET_ESTIMATES)

# Coach's columns in Coach's order; ours follow them.
COACH_COLUMNS = (
    EPOCH,
    "Update Target Network",
    "Training Iter",
    "Episode #",
    "In Heatup",
    "ER #Transitions",
    "ER #Episodes",
    "Episode Length",
    "Total steps",
    "Epsilon",
    "Shaped Training Reward",
    "Training Reward",
    "Wall-Clock Time",
    "Evaluation Reward",
    "Shaped Evaluation Reward",
    "Success Rate",
    IPS,
    DM,
    DR,
    WIS,
    SDR,
    *(
        f"{signal}/{statistic}"
        for signal in ("Loss", "Learning Rate", "Grads (unclipped)", "Discounted Return", "Q")
        for statistic in ("Mean", "Stdev", "Max", "Min")
    ),
)


def lower(estimate: str) -> str:
    """Name of the column with the lower end of an estimate's interval."""
    return f"{estimate} CI Lower"


def upper(estimate: str) -> str:
    """Name of the column with the upper end of an estimate's interval."""
    return f"{estimate} CI Upper"


def standard_error(estimate: str) -> str:
    """Name of the column with an estimate's standard error."""
    return f"{estimate} SE"


def window(steps: int) -> str:
    """Name of the column with the score of windows of so many steps."""
    return f"Window {steps} Score"


def window_steps(column: str) -> int | None:
    """The steps of a column that holds a window score; None for another column."""
    match column.split():
        case ["Window", steps, "Score"] if steps.isdecimal():
            return int(steps)
        case _:
            return None


def window_ess(steps: int) -> str:
    """Name of the column with the effective number of windows of so many steps."""
    return f"Window {steps} ESS"


def window_columns(max_window: int) -> tuple[str, ...]:
    """The columns of the window scores, which follow ``OWN_COLUMNS``."""
    return tuple(
        name
        for steps in range(1, max_window + 1)
        for name in (
            window(steps),
            lower(window(steps)),
            upper(window(steps)),
            standard_error(window(steps)),
            window_ess(steps),
        )
    )


WIS_ESS = "WIS ESS"
WIS_MAX_WEIGHT = "WIS Max Normalised Weight"
WIS_MEAN_WEIGHT = "WIS Mean Weight"
OPE_EPISODES = "OPE Episodes"
MASKED_FRACTION = "Masked Fraction"
NO_ALLOWED_ACTION_RATE = "No Allowed Action Rate"
CHECKPOINT = "Checkpoint"
# The epoch that is called best once this one is done.
BEST_EPOCH = "Best Epoch"
# What chooses the epoch: the target policy against the logging policy, on the evaluation episodes.
PAIRED = "Paired Score"
PAIRED_ESS = "Paired ESS"
PAIRED_MEAN_WEIGHT = "Paired Mean Weight"
PAIRED_MAX_WEIGHT = "Paired Max Normalised Weight"
PAIRED_TAIL_SHAPE = "Paired Tail Shape"
PAIRED_INFORMATIVE = "Paired Informative Episodes"
PAIRED_CARRYING = "Paired Carrying Episodes"
LOGGED_INFORMATIVE = "Logged Informative Episodes"
LOGGED_RETURN = "Logged Return"
START_VALUE = "Start Value"
LOGGING_START_VALUE = "Logging Start Value"
VALUES_POSSIBLE = "Values Possible"
# What the training episodes allow a policy to be worth.
LEAST_POSSIBLE = "Least Possible Value"
GREATEST_POSSIBLE = "Greatest Possible Value"
EPOCH_SECONDS = "Epoch Seconds"
OPE_SECONDS = "OPE Seconds"
UPDATES_PER_SECOND = "Updates per Second"

OWN_COLUMNS = (
    *(bound(estimate) for estimate in ESTIMATES for bound in (lower, upper)),
    WIS_ESS,
    WIS_MAX_WEIGHT,
    WIS_MEAN_WEIGHT,
    OPE_EPISODES,
    MASKED_FRACTION,
    NO_ALLOWED_ACTION_RATE,
    PAIRED,
    lower(PAIRED),
    upper(PAIRED),
    standard_error(PAIRED),
    PAIRED_ESS,
    PAIRED_MEAN_WEIGHT,
    lower(PAIRED_MEAN_WEIGHT),
    upper(PAIRED_MEAN_WEIGHT),
    PAIRED_MAX_WEIGHT,
    PAIRED_TAIL_SHAPE,
    PAIRED_INFORMATIVE,
    PAIRED_CARRYING,
    LOGGED_RETURN,
    lower(LOGGED_RETURN),
    upper(LOGGED_RETURN),
    LOGGED_INFORMATIVE,
    START_VALUE,
    LOGGING_START_VALUE,
    VALUES_POSSIBLE,
    LEAST_POSSIBLE,
    GREATEST_POSSIBLE,
    *(name for estimate in TARGET_ESTIMATES for name in (estimate, lower(estimate), upper(estimate))),
    CHECKPOINT,
    BEST_EPOCH,
    EPOCH_SECONDS,
    OPE_SECONDS,
    UPDATES_PER_SECOND,
)

# The only columns in which a resumed run may differ from one that was never interrupted.
TIME_COLUMNS = ("Wall-Clock Time", EPOCH_SECONDS, OPE_SECONDS, UPDATES_PER_SECOND)
