"""Each option of a training job is one field: its place in the request, and the arguments that are made of it."""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

import pytest

from launcher import RLEstimator
from launcher.api.arguments import UnknownArgument, Vocabulary, taken_as
from launcher.api.joboptions import JobOptions
from launcher.api.options import (
    Flag,
    Option,
    described,
    flags,
    from_flags,
    option,
    place,
    settled,
    taken_from,
    to_flags,
    without_option,
)
from launcher.api.training import JobSpec, create_training_job

ARN = "arn:aws:iam::123456789012:role/jobs"
# A value that no option has by default and what the request then holds, by field; the others hold the value as it is.
SAMPLES: dict[str, tuple[Any, Any]] = {
    "metric_definitions": (
        [{"Name": "score", "Regex": "score=(.*)"}],
        lambda found: {"Name": "score", "Regex": "score=(.*)"} in found,
    ),
    "environment": ({"A": "b"}, {"A": "b"}),
    "tags": ({"team": "rl"}, [{"Key": "team", "Value": "rl"}]),
    "subnets": (("subnet-1",), ["subnet-1"]),
    "security_group_ids": (("sg-1",), ["sg-1"]),
    "role": (ARN, ARN),
    "instance_type": ("ml.m5.large", "ml.m5.large"),
    "input_mode": ("FastFile", "FastFile"),
    "output_path": ("s3://bucket/elsewhere", "s3://bucket/elsewhere"),
    "checkpoint_s3_uri": ("s3://bucket/ck", "s3://bucket/ck"),
    "checkpoint_local_path": ("/tmp/ck", "/tmp/ck"),
    "job_name": ("another", "another"),
}
# Values that a sample needs beside it: what goes together.
BESIDE: dict[str, dict[str, Any]] = {
    "use_spot_instances": {"max_wait": 86400},
    "max_wait": {"use_spot_instances": True},
    "subnets": {"security_group_ids": ("sg-1",)},
    "security_group_ids": {"subnets": ("subnet-1",)},
}
PLACED = [(each, about) for each, about in described(JobSpec) if about.wire]


def sample(each: Field[Any]) -> tuple[Any, Any]:
    """A value of an option, and what the request is to hold."""
    if each.name in SAMPLES:
        return SAMPLES[each.name]
    if isinstance(each.default, bool):
        return not each.default, not each.default
    value: Any = 90000 if each.name == "max_wait" else 3 if "int" in str(each.type) else "text"
    return value, value


def at(request: dict[str, Any], path: str) -> Any:
    found: Any = request
    for name in path.split("."):
        found = found[name]
    return found


@pytest.mark.parametrize(("each", "about"), PLACED, ids=[each.name for each, _ in PLACED])
def test_an_option_stands_at_its_place_in_the_request(each: Field[Any], about: Option) -> None:
    value, expected = sample(each)
    needed = {"job_name": "job", "program": "my.py", "code_uri": "s3://bucket/code.tar.gz", "region": "us-east-1"}
    options = JobOptions(role=ARN, image_uri="image:1", output_path="s3://bucket")
    request = create_training_job(settled(JobSpec, options, **needed | BESIDE.get(each.name, {}) | {each.name: value}))
    assert about.wire is not None
    found = at(request, about.wire)
    assert expected(found) if callable(expected) else found == expected


# Those of metrics are settled first, with the product's own beside them.
STATED = [each for each, about in described(JobOptions) if about.wire and each.name != "metric_definitions"]


@pytest.mark.parametrize("each", STATED, ids=[each.name for each in STATED])
def test_an_option_is_read_back_from_its_place_and_would_be_sent_again(each: Field[Any]) -> None:
    sent = place(JobOptions(**BESIDE.get(each.name, {}) | {each.name: sample(each)[0]}))
    back = taken_from(JobOptions, sent)
    assert each.name in back
    assert place(JobOptions(**back)) == sent
    assert without_option(JobOptions, sent) == []


def test_what_no_option_states_is_named_by_its_place() -> None:
    told = {"RoleArn": ARN, "DebugHookConfig": {"S3OutputPath": "s3://b", "HookParameters": {}}, "Nothing": None}
    assert without_option(JobOptions, told) == ["DebugHookConfig.S3OutputPath"]


def test_every_option_says_what_it_means() -> None:
    assert [each.name for each, _ in described(JobSpec)] == [each.name for each in fields(JobSpec)]
    assert all(about.about for _, about in described(JobSpec))


def test_no_two_options_have_one_flag_or_one_place() -> None:
    for names in ([flag.name for flag in flags(JobSpec).values()], [about.wire for _, about in PLACED]):
        assert len(names) == len(set(names))


def test_the_estimators_signature_names_every_option_with_its_default() -> None:
    parameters = inspect.signature(RLEstimator).parameters
    assert {name: one.default for name, one in parameters.items()} == {
        each.name: each.default for each in fields(JobOptions)
    }
    assert [one.kind for one in parameters.values()] == [
        inspect.Parameter.KEYWORD_ONLY if each.kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
        for each in fields(JobOptions)
    ]
    assert not hasattr(RLEstimator, "__signature__")


@dataclass(frozen=True, kw_only=True)
class Tea(JobOptions):
    """Options with one more."""

    sugar: int = field(
        default=2, metadata=option("lumps", Flag("--sugar", "Lumps.", kind=int, minimum=0), wire="TeaConfig.SugarCount")
    )


class Pot:
    """Takes them."""

    @taken_as(Tea, Vocabulary("Pot", renamed={"sweet": "sugar"}))
    def __init__(self, options: Tea) -> None:
        self.options = options


def test_a_new_field_is_an_argument_and_has_its_place() -> None:
    assert inspect.signature(Pot).parameters["sugar"].default == 2
    assert Pot("my.py", sugar=3).options == Tea("my.py", sugar=3)
    assert Pot(sweet=1).options.sugar == 1
    with pytest.raises(UnknownArgument, match="Did you mean 'sugar'"):
        Pot(suger=3)
    assert place(Tea(sugar=4))["TeaConfig"] == {"SugarCount": 4}


def test_a_new_field_is_a_flag_and_is_written_down() -> None:
    assert flags(Tea)["sugar"] == Flag("--sugar", "Lumps.", kind=int, minimum=0)
    assert to_flags(Tea(sugar=3))["sugar"] == 3
    assert from_flags(Tea, {"sugar": 3}).sugar == 3
    assert from_flags(Tea, {"sugar": None}).sugar == 2


def test_what_flags_say_is_read_back_as_it_was_written() -> None:
    typed = {
        "hyperparameters": ("agent.discount=0.98", "a==b"),
        "dependencies": ("a.py", "b"),
        "source_dir": "src",
        "environment": ("A=b",),
        "tags": (),
        "use_spot_instances": True,
        "max_wait": 90000,
    }
    options = from_flags(JobOptions, typed)
    assert options.hyperparameters == {"agent.discount": "0.98", "a": "=b"}
    assert from_flags(JobOptions, json.loads(json.dumps(to_flags(options)))) == options
    with pytest.raises(TypeError, match="speed"):
        from_flags(JobOptions, {"speed": 1})


def test_arguments_by_position_are_those_that_say_so() -> None:
    assert RLEstimator("my.py").options == JobOptions(entry_point="my.py")
    with pytest.raises(TypeError, match="1 arguments by position, 2 were given"):
        RLEstimator(*("my.py", "local"))
    with pytest.raises(TypeError, match="'entry_point' is given twice"):
        RLEstimator(*("my.py",), entry_point="my.py")


def test_what_has_no_default_has_to_be_given() -> None:
    needed = [each.name for each in fields(JobSpec) if each.default is MISSING and each.default_factory is MISSING]
    assert needed == ["job_name", "program", "code_uri", "region"]
