"""What an operation may touch."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from batchrl.contract import jsontext
from launcher.api.errors import validation
from launcher.local.host.home import HomePaths
from launcher.local.records.records import Records

Wire = dict[str, Any]
MOST_ENTRIES = 2**31


@dataclass(frozen=True)
class Context:
    """The API server as its operations see it.

    Args:
        paths: the data folder.
        records: jobs and tags.
        region, account_id: parts of every ARN.
        assign: gives a new job, by name and kind, to a shim.
        clock: seconds since 1970.
    """

    paths: HomePaths
    records: Records
    region: str
    account_id: str
    assign: Callable[[str, str], None]
    clock: Callable[[], float]

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource in this cloud's account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"


# How the client of the request that is being answered names itself (its User-Agent).
CALLER: ContextVar[str] = ContextVar("CALLER", default="")
# Whether it is a job's: what it creates runs in containers only.
OF_A_JOB: ContextVar[bool] = ContextVar("OF_A_JOB", default=False)
# The tuning job for which the owner's own process creates a training job; empty for all other requests.
FOR_TUNING_JOB: ContextVar[str] = ContextVar("FOR_TUNING_JOB", default="")

Operation = Callable[[Context, Wire], Wire]


def page_token(*values: Any) -> str:
    """An opaque token that carries where a list goes on."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read_page_token(token: str, *kinds: type | tuple[type, ...]) -> list[Any]:
    """What ``page_token`` was given: values of these types.

    Raises:
        ApiError: the token is none of ours.
    """
    try:
        values = jsontext.parsed(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if not isinstance(values, list) or len(values) != len(kinds) or not all(map(isinstance, values, kinds)):
            raise ValueError(token)
    except ValueError:
        raise validation("Invalid NextToken: it does not come from this list.") from None
    return values


def read_place(token: str) -> int:
    """The place in a list that ``page_token`` was given.

    Raises:
        ApiError: the token is none of ours.
    """
    place: int = read_page_token(token, int)[0]
    if not 0 <= place <= MOST_ENTRIES:
        raise validation("Invalid NextToken: it does not come from this list.")
    return place
