"""A document as a file: HTML, Markdown, JSON or PDF, whole or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

from batchrl.contract.errors import InputError
from batchrl.contract.files import whole_file
from launcher.documents import html, jsonform, markdown, pdf
from launcher.documents.model import Document

HTML, MARKDOWN, JSON, PDF = "html", "md", "json", "pdf"
FORMATS = (HTML, MARKDOWN, JSON, PDF)
SUFFIXES = {".html": HTML, ".htm": HTML, ".md": MARKDOWN, ".markdown": MARKDOWN, ".json": JSON, ".pdf": PDF}
STDOUT = "-"


def format_of(path: str | None, wanted: str | None) -> str:
    """The format that is asked for by its name, or else by the suffix of the file.

    Raises:
        InputError: the suffix is none of a format, or is that of another one.
    """
    suffix = "" if path in (None, STDOUT) else Path(str(path)).suffix.lower()
    if not suffix:
        return wanted or HTML
    found = SUFFIXES.get(suffix)
    if wanted is None and found is None:
        raise InputError(f"{path}: the format '{suffix}' is unknown.", f"It may be {', '.join(SUFFIXES)}.")
    if wanted is not None and found not in (None, wanted):
        raise InputError(f"{path} has the suffix of {found}, and --format says {wanted}.", "Leave one of them out.")
    return wanted or str(found)


def rendered(document: Document, form: str) -> bytes:
    """The content of the file.

    Raises:
        InputError: a PDF is wanted, and there is no browser that could print it.
    """
    match form:
        case "html":
            return html.render(document).encode()
        case "md":
            return markdown.render(document).encode()
        case "json":
            return jsonform.render(document).encode()
        case _:
            return pdf.to_pdf(html.render(document))


def write(content: bytes, path: str) -> None:
    """Write a document to a file, whole or not at all, or to stdout where the path is ``-``.

    Raises:
        InputError: the file cannot be written.
    """
    if path == STDOUT:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
