"""Following a log, rule by rule, with a log and a clock that do as they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest

from batchrl.contract.errors import Unreachable
from launcher.jobs.follow import Broken, CloudLogs, Denied, Follower, LogLine, Notice
from launcher.session.answers import connection_fault


class FakeLog:
    """Streams that grow when time passes; cursors are indices."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.script: list[tuple[float, str, str]] = []
        self.ends_at = 10.0
        self.broken: Callable[[float], bool] = lambda now: False
        self.break_after_reads: int | None = None
        self.denied = False
        self.revived = 0
        self.reads = 0

    def write(self, at: float, message: str, stream: str = "job/algo-1-1") -> None:
        self.script.append((at, stream, message))

    def _check(self) -> None:
        if self.denied:
            raise Denied("AccessDenied")
        if self.broken(self.clock.now()):
            raise Broken("connection refused")

    def streams(self) -> list[str]:
        self._check()
        return sorted({stream for at, stream, _ in self.script if at <= self.clock.now()})

    def read(self, stream: str, cursor: str | None) -> tuple[list[LogLine], str | None]:
        self._check()
        if self.break_after_reads is not None:
            self.break_after_reads -= 1
            if self.break_after_reads < 0:
                self.break_after_reads = None
                raise Broken("reset by peer")
        self.reads += 1
        lines = [
            LogLine(stream, int(at * 1000), text)
            for at, name, text in self.script
            if name == stream and at <= self.clock.now()
        ]
        start = int(cursor or 0)
        page = lines[start : start + 3]
        return page, str(start + len(page))

    def newest(self, stream: str, count: int) -> list[LogLine]:
        self._check()
        self.reads += 1
        lines = [LogLine(name, int(at * 1000), text) for at, name, text in self.script if name == stream]
        return lines[max(0, len(lines) - count) :]

    def revive(self) -> None:
        self.revived += 1

    def ended(self) -> bool:
        if self.broken(self.clock.now()):
            raise Broken("connection refused")
        return bool(self.clock.now() >= self.ends_at)


@pytest.fixture
def log(clock: Any) -> FakeLog:
    return FakeLog(clock)


def follower(log: FakeLog, drain: float = 0.0, patience: float = 60.0) -> Follower:
    return Follower(log, log.ended, (0.2, 1.0), drain, patience, log.clock)


def texts(lines: Any) -> list[str]:
    return [line.message for line in lines if isinstance(line, LogLine)]


def notices(lines: Any) -> list[str]:
    return [line.text for line in lines if isinstance(line, Notice)]


def test_rule_1_each_line_comes_once_and_in_order(log: FakeLog) -> None:
    for n in range(20):
        log.write(n / 2, f"line {n}")
    assert texts(follower(log).lines()) == [f"line {n}" for n in range(20)]


def test_rule_2_a_log_that_is_not_there_yet_is_waited_for(log: FakeLog) -> None:
    log.write(8.0, "late")
    assert texts(follower(log).lines()) == ["late"]


def test_rule_2_a_stream_that_comes_with_a_restart_is_followed_too(log: FakeLog) -> None:
    log.write(1.0, "first life")
    log.write(5.0, "second life", "job/algo-1-2")
    assert texts(follower(log).lines()) == ["first life", "second life"]


def test_rule_3_following_ends_soon_after_the_job_and_not_before(log: FakeLog) -> None:
    list(follower(log).lines())
    assert 10.0 <= log.clock.now() <= 12.0


def test_rule_3_a_job_that_never_wrote_ends_too(log: FakeLog) -> None:
    log.ends_at = 0.0
    assert list(follower(log).lines()) == []


def test_rule_4_what_was_written_before_the_end_is_given(log: FakeLog) -> None:
    log.write(9.99, "last words")
    assert texts(follower(log).lines()) == ["last words"]


def test_rule_4_many_lines_at_the_end_are_all_given(log: FakeLog) -> None:
    for n in range(100):
        log.write(9.9, f"{n}")
    assert texts(follower(log).lines()) == [f"{n}" for n in range(100)]


def test_rule_4_lines_that_lag_behind_the_state_are_given_within_the_drain(log: FakeLog) -> None:
    log.write(13.0, "lagging")
    assert texts(follower(log, drain=8.0).lines()) == ["lagging"]


def test_rule_5_a_break_is_said_once_and_loses_and_repeats_nothing(log: FakeLog) -> None:
    for n in range(20):
        log.write(n / 2, f"line {n}")
    log.broken = lambda now: 3.0 < now < 6.0
    seen = list(follower(log).lines())
    assert texts(seen) == [f"line {n}" for n in range(20)]
    assert len(notices(seen)) == 2
    assert "broke" in notices(seen)[0]
    assert notices(seen)[1] == "connected again"
    assert log.revived >= 1


def test_rule_5_a_break_between_two_pages_loses_and_repeats_nothing(log: FakeLog) -> None:
    for n in range(30):
        log.write(0.0, f"{n}")
    log.break_after_reads = 4
    assert texts(follower(log).lines()) == [f"{n}" for n in range(30)]


def test_rule_5_a_job_that_ends_during_a_break_is_drained(log: FakeLog) -> None:
    log.write(9.5, "last words")
    log.broken = lambda now: 9.0 < now < 20.0
    assert texts(follower(log).lines()) == ["last words"]


def test_rule_6_a_break_without_end_is_told_apart_from_the_end_of_the_job(log: FakeLog) -> None:
    log.broken = lambda now: now > 3.0
    with pytest.raises(Unreachable, match="stayed broken for 60 s"):
        list(follower(log).lines())


def test_rule_7_a_log_that_may_not_be_read_is_said_once_and_the_end_awaited(log: FakeLog) -> None:
    log.denied = True
    seen = list(follower(log).lines())
    assert texts(seen) == []
    assert len(notices(seen)) == 1
    assert log.clock.now() >= 10.0


@pytest.mark.parametrize("ends_at", [0.0, 1e9])
def test_rule_8_without_following_what_is_there_is_given_at_once_in_any_state(log: FakeLog, ends_at: float) -> None:
    log.ends_at = ends_at
    log.write(0.0, "there")
    log.write(5.0, "later")
    assert texts(follower(log).available()) == ["there"]
    assert log.clock.now() == 0.0


def test_rule_8_of_the_end_of_a_log_no_more_is_read_than_is_asked_for(log: FakeLog) -> None:
    for number in range(1000):
        log.write(0.0, f"{number}")
        log.write(0.0, f"second {number}", "job/algo-2-1")
    assert texts(follower(log).ends(2)) == ["998", "999", "second 998", "second 999"]
    assert log.reads == 2


def test_rule_9_lines_are_given_page_by_page(log: FakeLog) -> None:
    for number in range(1000):
        log.write(0.0, f"{number}")
    for lines in (follower(log).available(), follower(log).lines()):
        log.reads = 0
        assert [next(lines).message for _ in range(3)] == ["0", "1", "2"]
        assert log.reads == 1


def test_pauses_grow_while_nothing_happens_and_shrink_when_something_does(log: FakeLog) -> None:
    log.write(5.0, "x")
    list(follower(log).lines())
    slept = log.clock.slept
    assert max(slept) <= 1.0
    assert slept[0] == 0.2
    assert 0.2 in slept[5:]


def client_error(status: int, code: str) -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError(
        {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "GetLogEvents",
    )


@pytest.mark.parametrize(
    ("error", "is_fault"),
    [
        (client_error(503, "ServiceUnavailable"), True),
        (client_error(400, "ThrottlingException"), True),
        (client_error(400, "AccessDeniedException"), False),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="http://x"), True),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="http://x"), True),
        (botocore.exceptions.ConnectionClosedError(endpoint_url="http://x"), True),
    ],
)
def test_faults_of_the_connection_are_told_from_answers(error: Exception, is_fault: bool) -> None:
    assert bool(connection_fault(error)) == is_fault


class FakeSession:
    """A session whose logs client raises or answers as told."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.logs = self

    def describe_log_streams(self, **_: Any) -> Any:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def test_A117_an_absent_log_group_is_no_fault() -> None:
    session: Any = FakeSession(client_error(400, "ResourceNotFoundException"))
    assert CloudLogs(session, "/group", "job/").streams() == []


def test_a_refusal_and_a_break_are_told_apart() -> None:
    denied: Any = FakeSession(client_error(400, "AccessDeniedException"))
    broken: Any = FakeSession(client_error(500, "InternalFailure"))
    with pytest.raises(Denied):
        CloudLogs(denied, "/group", "job/").streams()
    with pytest.raises(Broken):
        CloudLogs(broken, "/group", "job/").streams()


class PagedLogs:
    """Sixty streams, fifty a page."""

    def __init__(self) -> None:
        self.logs = self
        self.asked: list[dict[str, Any]] = []

    def describe_log_streams(self, **asked: Any) -> Any:
        self.asked.append(asked)
        start = int(asked.get("nextToken", 0))
        page = [{"logStreamName": f"{number:03}"} for number in range(60)][start : start + 50]
        return {"logStreams": page} | ({"nextToken": "50"} if start == 0 else {})


def test_all_streams_of_many_instances_are_found() -> None:
    session: Any = PagedLogs()
    assert len(CloudLogs(session, "/group", "job/").streams()) == 60
    assert all(asked["logStreamNamePrefix"] == "job/" for asked in session.asked)
    CloudLogs(session, "/group", "").streams()
    assert "logStreamNamePrefix" not in session.asked[-1]


class LongLog:
    """One stream of a thousand lines; the API gives at most a hundred at once, and now and then an empty page."""

    def __init__(self) -> None:
        self.logs = self
        self.given = 0

    def get_log_events(self, *, startFromHead: bool, limit: int, nextToken: str = "1000/", **_: Any) -> Any:  # noqa: N803
        assert not startFromHead
        end, pause = int(nextToken.partition("/")[0]), nextToken.endswith("/")
        start = end if pause else max(0, end - min(limit, 100))
        self.given += end - start
        token = f"{start}/" if start and not pause else f"{start}"
        events = [{"timestamp": number, "message": f"{number}"} for number in range(start, end)]
        return {"events": events, "nextBackwardToken": token}


@pytest.mark.parametrize("count", [1, 250, 2000])
def test_the_last_lines_of_a_stream_are_read_from_its_end(count: int) -> None:
    session: Any = LongLog()
    lines = CloudLogs(session, "/group", "job/").newest("job/algo-1-1", count)
    assert [line.message for line in lines] == [f"{number}" for number in range(max(0, 1000 - count), 1000)]
    assert session.given == min(count, 1000)
