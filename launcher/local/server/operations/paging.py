"""Lists: filters come before paging, and a token says where the list goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from launcher.local.records.records import JobRecord, Query
from launcher.local.records.resources import Resource
from launcher.local.server.operations.context import Context, Wire, page_token, read_page_token

DEFAULT_PAGE = 10
ASCENDING, DESCENDING = "Ascending", "Descending"
_SORT_COLUMNS = {"CreationTime": "created_at", "Name": "name", "Status": "status"}


def page_of_jobs(
    context: Context,
    request: Wire,
    kind: str,
    member: str,
    summary: Callable[[JobRecord], Wire],
    order: str = DESCENDING,
) -> Wire:
    """One page of the jobs of a kind.

    Args:
        context: the API server.
        request: of a list operation, with its filters.
        kind: kind of job.
        member: of the answer, which holds the summaries.
        summary: makes one.
        order: where the request names none.
    """
    count = request.get("MaxResults", DEFAULT_PAGE)
    query = Query(
        kind=kind,
        name_contains=request.get("NameContains"),
        status=request.get("StatusEquals"),
        created_after=request.get("CreationTimeAfter"),
        created_before=request.get("CreationTimeBefore"),
        modified_after=request.get("LastModifiedTimeAfter"),
        modified_before=request.get("LastModifiedTimeBefore"),
        sort_by=_SORT_COLUMNS[request.get("SortBy", "CreationTime")],
        descending=request.get("SortOrder", order) == DESCENDING,
        after=_position(request.get("NextToken"), request.get("SortBy", "CreationTime") != "CreationTime"),
        limit=count + 1,
    )
    found = context.records.list(query)
    answer: Wire = {member: [summary(record) for record in found[:count]]}
    if len(found) > count:
        last = found[count - 1]
        answer["NextToken"] = page_token(getattr(last, query.sort_by), last.name)
    return answer


def page_of_resources(
    request: Wire, resources: Sequence[Resource], member: str, summary: Callable[[Resource], Wire]
) -> Wire:
    """One page of models or endpoint configurations; arguments as for jobs."""
    by_name = request.get("SortBy", "CreationTime") == "Name"
    descending = request.get("SortOrder", DESCENDING) == DESCENDING  # the newest first, as AWS lists them
    count = request.get("MaxResults", DEFAULT_PAGE)

    def place(one: Resource) -> tuple[Any, str]:
        return (one.name if by_name else one.created_at, one.name)

    chosen = sorted((one for one in resources if _selected(one, request)), key=place, reverse=descending)
    if (last := _position(request.get("NextToken"), by_name)) is not None:
        # Whatever was deleted since the last page was made: what comes after its place comes now.
        chosen = [one for one in chosen if (place(one) < last if descending else place(one) > last)]
    answer: Wire = {member: [summary(one) for one in chosen[:count]]}
    if len(chosen) > count:
        answer["NextToken"] = page_token(*place(chosen[count - 1]))
    return answer


def without_none(**values: Any) -> Wire:
    """The members that have a value."""
    return {name: value for name, value in values.items() if value is not None}


def _selected(resource: Resource, request: Wire) -> bool:
    after, before = request.get("CreationTimeAfter"), request.get("CreationTimeBefore")
    return (
        request.get("NameContains", "") in resource.name
        and (after is None or resource.created_at > after)
        and (before is None or resource.created_at < before)
    )


def _position(token: str | None, by_text: bool) -> tuple[Any, str] | None:
    if not token:
        return None
    value, name = read_page_token(token, str if by_text else (int, float), str)
    return value, name
