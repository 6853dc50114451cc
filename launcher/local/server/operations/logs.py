"""DescribeLogGroups, DescribeLogStreams, GetLogEvents, FilterLogEvents (contract 117, 118, 177)."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice

from launcher.api.errors import ApiError
from launcher.local.logs import groups
from launcher.local.logs.groups import Stream
from launcher.local.logs.joblogs import MAX_PAGE_BYTES, MAX_PAGE_EVENTS, LogEvent
from launcher.local.server.operations.context import Context, Operation, Wire, page_token, read_page_token, read_place
from launcher.local.server.operations.logpattern import matcher

STREAM_PAGE = 50
TOKEN_WIDTH = 56


def describe_groups(context: Context, request: Wire) -> Wire:
    """The groups of jobs that have written something."""
    prefix, pattern = request.get("logGroupNamePrefix") or "", (request.get("logGroupNamePattern") or "").lower()
    names = [name for name in groups.groups(context.paths) if name.startswith(prefix) and pattern in name.lower()]
    return {"logGroups": [_described_group(context, name) for name in names]}


def _described_group(context: Context, name: str) -> Wire:
    streams = list(groups.streams(context.paths, name))
    arn = context.arn("logs", f"log-group:{name}")
    return {
        "logGroupName": name,
        "creationTime": min((first.timestamp for stream in streams if (first := stream.reader.first())), default=0),
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "logGroupClass": "STANDARD",
        "storedBytes": sum(stream.size for stream in streams),
    }


def describe_streams(context: Context, request: Wire) -> Wire:
    """Streams by name or by their last event."""
    streams = _group(context, request, request.get("logStreamNamePrefix", ""))
    by_time = request.get("orderBy") == "LastEventTime"
    if by_time and request.get("logStreamNamePrefix"):
        raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
    described = [_described(context, _group_name(request), stream) for stream in streams]
    key = "lastEventTimestamp" if by_time else "logStreamName"
    described.sort(key=lambda one: (one[key], one["logStreamName"]), reverse=bool(request.get("descending")))
    start = read_place(request["nextToken"]) if request.get("nextToken") else 0
    end = start + request.get("limit", STREAM_PAGE)
    answer: Wire = {"logStreams": described[start:end]}
    if end < len(described):
        answer["nextToken"] = page_token(end)
    return answer


def get_events(context: Context, request: Wire) -> Wire:
    """One page of a stream, with tokens to read on in both directions; at an end the same token comes back."""
    name = request["logStreamName"]
    stream = next((one for one in _group(context, request, name) if one.name == name), None)
    if stream is None:
        raise _missing("stream")
    limit = request.get("limit", MAX_PAGE_EVENTS)
    since, until = request.get("startTime"), request.get("endTime")
    direction, offset = _read_token(request.get("nextToken"))
    if direction == "b" or (direction is None and not request.get("startFromHead")):
        page = stream.reader.backward(offset, limit, since, until)
    else:
        page = stream.reader.forward(offset or 0, limit, since, until)
    return {
        "events": [_event(event) for event in page.events],
        "nextForwardToken": f"f/{page.forward:0{TOKEN_WIDTH}d}",
        "nextBackwardToken": f"b/{page.backward:0{TOKEN_WIDTH}d}",
    }


def filter_events(context: Context, request: Wire) -> Wire:
    """Events of several streams that match a pattern, in the order of their times."""
    names = request.get("logStreamNames")
    prefix = request.get("logStreamNamePrefix", "")
    if names and prefix:
        raise _invalid("logStreamNames and logStreamNamePrefix exclude each other.")
    streams = [one for one in _group(context, request, prefix) if names is None or one.name in names]
    matches = matcher(request.get("filterPattern", ""))
    after = read_page_token(request["nextToken"], int, str, int) if request.get("nextToken") else None
    since = after[0] if after else request.get("startTime")
    merged = heapq.merge(*(_keyed(stream, since, request.get("endTime")) for stream in streams))
    wanted = ((key, event) for key, event in merged if (after is None or list(key) > after) and matches(event.message))
    answer: Wire = {"events": [], "searchedLogStreams": []}
    budget = MAX_PAGE_BYTES
    limit = request.get("limit", MAX_PAGE_EVENTS)
    last: tuple[int, str, int] | None = None
    for key, event in islice(wanted, limit + 1):
        budget -= event.end - event.offset
        if len(answer["events"]) == limit or (last and budget < 0):
            answer["nextToken"] = page_token(*(last or key))
            break
        answer["events"].append({"logStreamName": key[1], "eventId": f"{key[0]}{key[2]:020d}", **_event(event)})
        last = key
    return answer


def _keyed(stream: Stream, since: int | None, until: int | None) -> Iterator[tuple[tuple[int, str, int], LogEvent]]:
    offset = stream.reader.seek(since) if since is not None else 0
    while (page := stream.reader.forward(offset, since=since, until=until)).events:
        for event in page.events:
            yield (event.timestamp, stream.name, event.offset), event
        offset = page.forward


def _group(context: Context, request: Wire, prefix: str) -> list[Stream]:
    """Streams of the group that a request names.

    Raises:
        ApiError: there is no such group, or it holds nothing yet.
    """
    name = _group_name(request)
    streams = list(groups.streams(context.paths, name, prefix))
    if not streams and not any(True for _ in groups.streams(context.paths, name)):
        raise _missing("group")
    return streams


def _group_name(request: Wire) -> str:
    group = request.get("logGroupName") or request.get("logGroupIdentifier")
    if not group:
        raise _invalid("Exactly one of logGroupName and logGroupIdentifier is required.")
    return str(group).split(":log-group:")[-1].removesuffix(":*")


def _described(context: Context, group: str, stream: Stream) -> Wire:
    first, last = stream.reader.first(), stream.reader.last()
    times = {
        "creationTime": first.timestamp if first else 0,
        "firstEventTimestamp": first.timestamp if first else 0,
        "lastEventTimestamp": last.timestamp if last else 0,
        "lastIngestionTime": last.timestamp if last else 0,
    }
    arn = context.arn("logs", f"log-group:{group}:log-stream:{stream.name}")
    return {"logStreamName": stream.name, **times, "arn": arn, "storedBytes": stream.size}


def _event(event: LogEvent) -> Wire:
    return {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.timestamp}


def _read_token(token: str | None) -> tuple[str | None, int | None]:
    if not token:
        return None, None
    direction, _, digits = token.partition("/")
    if direction not in ("f", "b") or not (digits.isascii() and digits.isdigit() and len(digits) <= TOKEN_WIDTH):
        raise _invalid("The specified nextToken is invalid.")
    return direction, int(digits)


def _missing(what: str) -> ApiError:
    return ApiError("ResourceNotFoundException", f"The specified log {what} does not exist.")


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)


OPERATIONS: dict[str, Operation] = {
    "DescribeLogGroups": describe_groups,
    "DescribeLogStreams": describe_streams,
    "GetLogEvents": get_events,
    "FilterLogEvents": filter_events,
}
