"""The section ``data`` of a preset: how logged data is read and split by episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from presets.kinds import Columns, Encoding, Flag, Maybe, Number, Section, Separator, Sequence, Whole

Repair = Literal["id_spellings", "duplicates", "closing_rewards"]
Doubt = Literal[
    "next_states",
    "id_spellings",
    "duplicates",
    "closing_rewards",
    "reused_ids",
    "missing_ids",
    "no_rewards",
    "equal_returns",
    "huge_rewards",
    "unlike_loggers",
]


class ColumnSettings(Section):
    """What the columns of the logged data are called; null takes batchrl's own name, where the files have it."""

    episode: Maybe[str] = Field(default=None, description="Id of the row's episode; null: episode_id")
    time: Maybe[str] = Field(
        default=None,
        description="Time or number of the step, by which an episode's rows are sorted; null: their order is taken "
        "as it stands",
    )
    action: Maybe[Columns] = Field(
        default=None,
        description="The action taken, by name or number; null: action. Or the columns, one for each action, of which "
        "that of the action taken holds 1 and the others 0: a list of two or more, or a pattern as action_*",
    )
    reward: Maybe[str] = Field(default=None, description="Reward of the step; null: reward")
    propensity: Maybe[str] = Field(
        default=None, description="Probability with which the action was taken, that one alone; null: propensity"
    )
    probabilities: Maybe[str] = Field(
        default=None, description="Probabilities of all actions, as [0.5, 0.5]; null: all_action_probabilities"
    )
    eligible: Maybe[str] = Field(
        default=None,
        description="The actions that could be taken in the row, as [a, b] or a|b; null: eligible_actions, where the "
        "files have it, else every action",
    )
    terminal: Maybe[str] = Field(default=None, description="1 where the episode ended for good; null: terminal")
    truncated: Maybe[str] = Field(default=None, description="1 where the episode was cut short; null: truncated")
    logger: Maybe[str] = Field(
        default=None,
        description="Name of the policy that logged the row's episode, where several did; null: one policy logged all",
    )
    logger_propensities: Maybe[Columns] = Field(
        default=None,
        description="Probabilities of the action taken under each policy that logged, a column for each of them: a "
        "pattern as p_*, whose star stands for the policy's name, or a list; null: that of the policy that acted alone",
    )
    weight: Maybe[str] = Field(
        default=None,
        description="How many episodes the row's one stands for, of a log that kept some with a smaller chance than "
        "others: 1 / chance, or a multiple of that; episodes are then drawn by it; null: all alike",
    )

    @field_validator("action")
    @classmethod
    def _names_columns_of_actions(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(value, tuple) and (len(value) < 2 or len(set(value)) < len(value)):
            raise ValueError("a list names the columns of two actions or more, each once")
        return value


class DataSettings(Section):
    """How the logged data is read and split by episodes."""

    columns: ColumnSettings = Field(default=ColumnSettings(), description="What the columns are called")
    actions: Maybe[Sequence[str]] = Field(
        default=None,
        description="All actions by name, in the order of the probabilities; null: those that the log holds, sorted",
    )
    episode_ids: Literal["unique", "global", "per_file", "per_run", "per_row"] = Field(
        default="unique",
        description="Which rows are one episode: unique: those of one id, all in one file; global: those of one id, "
        "over all files; per_file: those of one id in each file; per_run: those of one id that follow each other; "
        "per_row: each row, whatever its id",
    )

    propensities: Literal["auto", "logged", "estimated"] = Field(
        default="auto",
        description="Probabilities of the actions under the policy that logged them: logged: those of the log, which "
        "is refused without any; estimated: by a model of the actions, whatever the log has; auto: estimated where "
        "none were logged",
    )
    behavior_model: Literal["logistic", "network", "auto"] = Field(
        default="logistic",
        description="Model of the probabilities where they are estimated: logistic: multinomial logistic regression; "
        "network: one hidden layer beside it; auto: the network where its log loss of episodes that it did not see is "
        "lower beyond chance",
    )
    loggers: Literal["separate", "balanced"] = Field(
        default="separate",
        description="Of several loggers (columns.logger): separate: an episode is weighed by the probabilities of its "
        "own one; balanced: by those of all of them, mixed in their shares (balance heuristic), for loggers that met "
        "the same kind of episodes",
    )

    eligibility: Literal["listed", "probabilities"] = Field(
        default="listed",
        description="Which actions could be taken in a row: listed: those of its list, where the files have lists; "
        "probabilities: those whose logged probability is above 0",
    )

    train_ratio: Number = Field(
        default=0.4, gt=0, lt=1, description="Share of episodes to train on; the rest estimates, and is the test"
    )
    test_ratio: Number = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of episodes kept for the final figure, unseen by training and selection",
    )
    split_by: Literal["episodes", "transitions"] = Field(
        default="episodes",
        description="What both shares are of; transitions: Coach's cut at a row, which long episodes meet more often",
    )
    stratify: Literal["none", "length", "return", "length_and_return"] = Field(
        default="none",
        description="What is to be distributed alike in all parts: the episodes' lengths, their returns, or both",
    )
    split_seed: Maybe[Annotated[Whole, Field(ge=0, lt=2**32)]] = Field(
        default=None,
        description="Seed of the split alone, so that runs of several seeds train on the same episodes and keep the "
        "same ones for the test; null: that of the run",
    )
    csv_schema: Literal["auto", "A", "B"] = Field(
        default="auto", description="A: an episode ends with a row that holds only a state; B: every row is a step"
    )
    legacy_drop_last: Flag = Field(
        default=False, description="Lose each episode's last step, as Coach did with schema B"
    )
    max_transitions: Maybe[Annotated[Whole, Field(ge=2)]] = Field(
        default=None, description="Read at most so many transitions, in whole episodes; null reads all"
    )
    state_columns: Maybe[Sequence[str]] = Field(
        default=None,
        description="Columns of the state; null takes every state_feature_*, in the order of their numbers",
    )
    categories: Maybe[Sequence[str]] = Field(
        default=None,
        description="Columns of the state that hold categories; null: those that begin with texts which are neither "
        "numbers nor dates",
    )
    dates: Maybe[Sequence[str]] = Field(
        default=None,
        description="Columns of the state that hold dates, in ISO 8601 or seconds since 1970; null: those that begin "
        "with the former",
    )
    separator: Separator = Field(
        default="auto",
        description="Between a CSV's cells: comma, semicolon, tab, pipe, or the character; auto: found in the header",
    )
    decimal: Literal["point", "comma"] = Field(default="point", description="The decimal mark of a CSV's numbers")
    encoding: Encoding = Field(
        default="auto",
        description="Of text files, by Python's names, such as cp1252; auto: UTF-8, or UTF-16 where the bytes say so",
    )
    next_state_columns: Maybe[Sequence[str]] = Field(
        default=None,
        description="Columns of the state after the step, in the order of the state's; null: next_state_feature_* "
        "for state_feature_*",
    )
    accept: Sequence[Doubt] = Field(
        default=(), description="What looks wrong with the data and is meant: taken as it stands, with a word"
    )
    repair: Sequence[Repair] = Field(
        default=(),
        description="id_spellings: ids that differ by spaces or .0 are one; duplicates: exact copies go; "
        "closing_rewards: rewards of closing rows belong to the last step",
    )
    storage: Literal["auto", "memory", "mapped"] = Field(
        default="auto",
        description="mapped: arrays lie in files, for data larger than memory; auto: mapped from a GiB of arrays on",
    )

    @model_validator(mode="after")
    def _balances_loggers_that_are_named(self) -> DataSettings:
        if self.loggers == "balanced" and self.columns.logger is None:
            raise ValueError("loggers balanced mixes the policies that columns.logger names, and it names no column")
        if self.loggers == "balanced" and self.eligibility == "probabilities":
            raise ValueError(
                "eligibility probabilities takes what a logger never does for what cannot be done, and loggers "
                "balanced is for loggers of which one does what another never does; "
                "list what can be done (columns.eligible)"
            )
        return self

    @model_validator(mode="after")
    def _reads_probabilities_of_named_loggers(self) -> DataSettings:
        if self.columns.logger_propensities is None:
            return self
        if self.columns.logger is None:
            raise ValueError(
                "columns.logger_propensities gives probabilities under each policy that logged; say which one logged "
                "an episode (columns.logger)"
            )
        if self.propensities == "estimated":
            raise ValueError(
                "propensities estimated takes no logged probabilities, and columns.logger_propensities names some; "
                "leave one of the two out"
            )
        return self

    @model_validator(mode="after")
    def _leaves_episodes_to_estimate_on(self) -> DataSettings:
        if self.train_ratio + self.test_ratio >= 1:
            raise ValueError(
                f"train_ratio {self.train_ratio} and test_ratio {self.test_ratio} must sum to less than 1: "
                "the rest chooses the checkpoint"
            )
        return self

    @model_validator(mode="after")
    def _stratifies_what_it_divides(self) -> DataSettings:
        if self.stratify != "none" and self.split_by != "episodes":
            raise ValueError(f"stratify {self.stratify} divides episodes, and split_by is {self.split_by}")
        return self


# What runs did whose version had no such setting yet.
FORMER_DATA: Mapping[str, object] = {"split_by": "transitions", "stratify": "none"}


def stored_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training run as it wrote them, with what it did where a setting is newer than its version."""
    return {**values, "data": {**FORMER_DATA, **values.get("data", {})}}
