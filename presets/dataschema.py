"""The section ``data`` of a preset: how logged data is read and split by episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from presets.kinds import Encoding, Flag, Maybe, Number, Section, Separator, Sequence, Whole


class DataSettings(Section):
    """How the logged data is read and split by episodes."""

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
    separator: Separator = Field(
        default="auto",
        description="Between a CSV's cells: comma, semicolon, tab, pipe, or the character; auto: found in the header",
    )
    decimal: Literal["point", "comma"] = Field(default="point", description="The decimal mark of a CSV's numbers")
    encoding: Encoding = Field(
        default="auto",
        description="Of text files, by Python's names, such as cp1252; auto: UTF-8, or UTF-16 where the bytes say so",
    )
    storage: Literal["auto", "memory", "mapped"] = Field(
        default="auto",
        description="mapped: arrays lie in files, for data larger than memory; auto: mapped from a GiB of arrays on",
    )

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
