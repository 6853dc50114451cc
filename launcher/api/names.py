"""Names of jobs, models and endpoints: what the API takes, and names that nothing else has."""

from __future__ import annotations

import datetime
import re
import secrets

from batchrl.contract.errors import InputError, shortened

MAX_NAME = 63
# Of a tuning job.
MAX_TUNING_NAME = 32
NAME_PATTERN = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


def job_name_from(base: str, now: datetime.datetime | None = None, suffix: str | None = None) -> str:
    """A name that no other job has: the base made valid, the time, and six random digits (contract 189, 215).

    Args:
        base: any text; what a job name cannot hold becomes a dash.
        now: the time, UTC.
        suffix: instead of the random digits.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    tail = f"-{now:%Y%m%d-%H%M%S}-{suffix or secrets.token_hex(3)}"
    return (valid_name(base, MAX_NAME - len(tail)) or "job") + tail


def valid_name(text: str, longest: int = MAX_NAME) -> str:
    """A text made a name, of at most so many characters; what a name cannot hold becomes a dash. It may be empty."""
    return re.sub(r"[^a-zA-Z0-9-]+", "-", text).strip("-")[:longest].rstrip("-")


def check_job_name(name: str, what: str = "a job", longest: int = MAX_NAME) -> None:
    """Refuse a name that the API would refuse (contract 189, 190).

    Args:
        name: the name.
        what: what it is to be the name of.
        longest: most characters.

    Raises:
        InputError: with a valid name that is near.
    """
    if len(name) <= longest and NAME_PATTERN.fullmatch(name):
        return
    valid = valid_name(name, longest) or f"my-{what.split()[-1]}"
    raise InputError(
        f"'{shortened(name)}' cannot be the name of {what}: 1 to {longest} letters, digits and dashes, no dash at "
        "either end.",
        f"'{valid}' could.",
    )
