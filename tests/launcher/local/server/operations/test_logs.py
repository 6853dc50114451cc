"""The logs of jobs through boto3, as followers of logs use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from api_servers import RunningServer
from botocore.exceptions import ClientError

from launcher.local.logs.joblogs import StreamWriter

GROUP = "/aws/sagemaker/TrainingJobs"
Write = Callable[..., None]


@pytest.fixture
def write(api_server: RunningServer) -> Write:
    def write(stream: str, *lines: str, start: int = 1_700_000_000_000) -> None:
        ticks = iter(range(start, start + 10_000_000, 1000))
        job, _, name = stream.partition("/")
        writer = StreamWriter(api_server.context.paths.job(job).log_file(name), lambda: next(ticks))
        for line in lines:
            writer.write(line)
        writer.close()

    return write


def _messages(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def test_A117_the_group_is_absent_before_the_first_line(api_server: RunningServer) -> None:
    logs = api_server.client("logs")
    assert logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker")["logGroups"] == []
    for call, arguments in (
        (logs.describe_log_streams, {}),
        (logs.get_log_events, {"logStreamName": "a/algo-1-1"}),
        (logs.filter_log_events, {}),
    ):
        with pytest.raises(ClientError, match="log group does not exist") as caught:
            call(logGroupName=GROUP, **arguments)
        assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_groups_and_streams_are_described(api_server: RunningServer, write: Write) -> None:
    logs = api_server.client("logs")
    write("a/algo-1-10", "1", "2", start=1_700_000_000_000)
    write("a/algo-1-20", "3", start=1_700_000_005_000)
    write("ab/algo-1-15", "4", start=1_700_000_003_000)
    assert [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]] == [GROUP]
    assert logs.describe_log_groups(logGroupNamePrefix="/aws/lambda")["logGroups"] == []
    of_a = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="a/")["logStreams"]
    assert [stream["logStreamName"] for stream in of_a] == ["a/algo-1-10", "a/algo-1-20"]
    assert (of_a[0]["firstEventTimestamp"], of_a[0]["lastEventTimestamp"]) == (1_700_000_000_000, 1_700_000_001_000)
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=GROUP, orderBy="LastEventTime", descending=True, PaginationConfig={"PageSize": 2}
    )
    names = [[stream["logStreamName"] for stream in page["logStreams"]] for page in pages]
    assert names == [["a/algo-1-20", "ab/algo-1-15"], ["a/algo-1-10"]]


def test_A118_following_reads_every_line_once(api_server: RunningServer, write: Write) -> None:
    logs = api_server.client("logs")
    arguments: dict[str, Any] = {
        "logGroupName": GROUP,
        "logStreamName": "a/algo-1-10",
        "startFromHead": True,
        "limit": 2,
    }
    write("a/algo-1-10", "1", "2", "3")
    first = logs.get_log_events(**arguments)
    second = logs.get_log_events(**arguments, nextToken=first["nextForwardToken"])
    third = logs.get_log_events(**arguments, nextToken=second["nextForwardToken"])
    assert (_messages(first), _messages(second), _messages(third)) == (["1", "2"], ["3"], [])
    assert third["nextForwardToken"] == second["nextForwardToken"]
    write("a/algo-1-10", "4")
    assert _messages(logs.get_log_events(**arguments, nextToken=third["nextForwardToken"])) == ["4"]
    back = logs.get_log_events(**arguments, nextToken=second["nextBackwardToken"])
    assert _messages(back) == ["1", "2"]


def test_the_tail_comes_first_unless_asked_otherwise(api_server: RunningServer, write: Write) -> None:
    write("a/algo-1-10", *map(str, range(10)))
    logs = api_server.client("logs")
    tail = logs.get_log_events(logGroupName=GROUP, logStreamName="a/algo-1-10", limit=3)
    assert _messages(tail) == ["7", "8", "9"]
    earlier = logs.get_log_events(
        logGroupName=GROUP, logStreamName="a/algo-1-10", limit=3, nextToken=tail["nextBackwardToken"]
    )
    assert _messages(earlier) == ["4", "5", "6"]


def test_times_bound_what_is_read(api_server: RunningServer, write: Write) -> None:
    write("a/algo-1-10", *map(str, range(10)))
    answer = api_server.client("logs").get_log_events(
        logGroupName=GROUP,
        logStreamName="a/algo-1-10",
        startTime=1_700_000_003_000,
        endTime=1_700_000_005_000,
        startFromHead=True,
    )
    assert _messages(answer) == ["3", "4"]


def test_an_unknown_stream_and_a_foreign_token_are_refused(api_server: RunningServer, write: Write) -> None:
    write("a/algo-1-10", "1")
    logs = api_server.client("logs")
    with pytest.raises(ClientError, match="log stream does not exist"):
        logs.get_log_events(logGroupName=GROUP, logStreamName="a/algo-1-11")
    with pytest.raises(ClientError, match="nextToken is invalid"):
        logs.get_log_events(logGroupName=GROUP, logStreamName="a/algo-1-10", nextToken="x/1")
    with pytest.raises(ClientError, match="log group does not exist"):
        logs.describe_log_streams(logGroupName="/aws/sagemaker/TransformJobs")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", ["Epoch 1 loss=2", "ERROR: bad", "Epoch 2 loss=1", "done"]),
        ("Epoch", ["Epoch 1 loss=2", "Epoch 2 loss=1"]),
        ('"Epoch 2"', ["Epoch 2 loss=1"]),
        ("Epoch -loss=1", ["Epoch 1 loss=2"]),
        ("?ERROR ?done", ["ERROR: bad", "done"]),
        ("nothing", []),
    ],
)
def test_patterns_select_events(api_server: RunningServer, write: Write, pattern: str, expected: list[str]) -> None:
    write("a/algo-1-10", "Epoch 1 loss=2", "ERROR: bad", "Epoch 2 loss=1", "done")
    arguments = {"filterPattern": pattern} if pattern else {}
    assert _messages(api_server.client("logs").filter_log_events(logGroupName=GROUP, **arguments)) == expected


def test_streams_are_merged_by_time_across_pages(api_server: RunningServer, write: Write) -> None:
    write("a/algo-1-10", "a0", "a1", "a2", start=1_700_000_000_000)
    write("b/algo-1-10", "b0", "b1", "b2", start=1_700_000_000_000)
    pages = api_server.client("logs").get_paginator("filter_log_events")
    for size in (1, 2, 5, 100):
        found = pages.paginate(logGroupName=GROUP, PaginationConfig={"PageSize": size}).build_full_result()
        assert _messages(found) == ["a0", "b0", "a1", "b1", "a2", "b2"]
    one = pages.paginate(logGroupName=GROUP, logStreamNamePrefix="b/").build_full_result()
    assert _messages(one) == ["b0", "b1", "b2"]


def test_a_pattern_for_json_is_refused(api_server: RunningServer, write: Write) -> None:
    write("a/algo-1-10", "1")
    with pytest.raises(ClientError, match="terms only"):
        api_server.client("logs").filter_log_events(logGroupName=GROUP, filterPattern="{ $.x = 1 }")
