"""What a page of the console is: a template with its values, and when it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Seconds between two looks at what runs: on this computer, where a look costs nothing, and on AWS.
LOCAL_SECONDS = 0.8
AWS_SECONDS = 10.0


@dataclass(frozen=True)
class Page:
    """A page.

    Args:
        title: of the window.
        template: its file.
        values: what the template names.
        again: seconds until its parts are asked for again; None where nothing changes any more.
        status: of HTTP.
    """

    title: str
    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    again: float | None = None
    status: int = 200


def message_page(status: int, title: str, text: str, hint: str | None = None, again: float | None = None) -> Page:
    """A page that says why there is no other."""
    return Page(title, "message.html.j2", {"text": text, "hint": hint or ""}, again, status)


def pace(is_local: bool) -> float:
    """Seconds between two looks at what runs."""
    return LOCAL_SECONDS if is_local else AWS_SECONDS
