"""Content types that the server reads and writes, and which of them an answer gets (contract 135)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum


class Media(Enum):
    """A content type."""

    JSON_LINES = "application/jsonlines"
    JSON = "application/json"
    CSV = "text/csv"


KNOWN = ", ".join(media.value for media in Media)
UTF8 = ("utf-8", "utf8", "us-ascii", "")


class UnknownMedia(Exception):
    """A header names no content type of ours.

    Args:
        status: of the answer, 415 or 406.
        message: what was given, and what would be right.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def of_body(content_type: str) -> Media:
    """What a request's body is.

    Args:
        content_type: the header, empty where there is none.

    Raises:
        UnknownMedia: 415, it is something else, or in another encoding.
    """
    name, parameters = _split(content_type)
    try:
        media = Media(name)
    except ValueError:
        given = f"Content-Type is {content_type}" if content_type else "there is no Content-Type"
        raise UnknownMedia(415, f"{given}; this server reads {KNOWN}") from None
    charset = parameters.get("charset", "").strip('"').lower()
    if charset not in UTF8:
        raise UnknownMedia(415, f"Content-Type has charset {charset}; this server reads UTF-8")
    return media


def of_answer(accept: str, body: Media) -> Media:
    """What the answer is to be: the acceptable one with the highest weight; the body's own where any will do.

    Args:
        accept: the header, empty where there is none.
        body: what the request's body is.

    Raises:
        UnknownMedia: 406, nothing that this server writes is acceptable.
    """
    if not accept:
        return body
    written: list[Media] = [body, *Media]
    for weight, name in sorted(_ranges(accept), key=lambda weighted: -weighted[0]):
        for media in written:
            if weight > 0 and name in (media.value, "*/*", f"{media.value.partition('/')[0]}/*"):
                return media
    raise UnknownMedia(406, f"Accept is {accept}; this server writes {KNOWN}")


def _ranges(accept: str) -> Iterator[tuple[float, str]]:
    for part in accept.split(","):
        name, parameters = _split(part)
        try:
            yield float(parameters.get("q", "1")), name
        except ValueError:
            yield 0.0, name


def _split(header: str) -> tuple[str, dict[str, str]]:
    name, *rest = header.split(";")
    pairs = (parameter.partition("=") for parameter in rest)
    return name.strip().lower(), {key.strip().lower(): value.strip() for key, _, value in pairs}
