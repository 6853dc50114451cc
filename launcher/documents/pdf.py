"""A page of HTML as PDF, printed by this computer's Chromium: a browser is no package of Python, and may be absent."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from batchrl.contract.errors import InputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 120
# Nothing is fetched: the page needs nothing, and the browser must not ask for news of its own.
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-pdf-header-footer",
)


def find_browser() -> str | None:
    """The path of a browser that can print; None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def to_pdf(html: str) -> bytes:
    """The page, printed.

    Raises:
        InputError: there is no such browser, or it did not print.
    """
    if (browser := find_browser()) is None:
        raise InputError(
            f"a PDF is printed by Chromium, and there is none on the path ({', '.join(BROWSERS)}).",
            "Install it (Debian: apt-get install chromium), or print the HTML from a browser: --format html",
        )
    with tempfile.TemporaryDirectory(prefix="batchrl-") as folder:
        page, printed = Path(folder) / "page.html", Path(folder) / "page.pdf"
        page.write_text(html)
        # Chromium's sandbox does not work as root; the page has no script and may load nothing.
        flags = (*FLAGS, *(("--no-sandbox",) if os.geteuid() == 0 else ()), f"--user-data-dir={folder}/profile")
        command = [browser, *flags, f"--print-to-pdf={printed}", page.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"{browser} did not print: {error}.", "Take the HTML: --format html") from error
        if done.returncode or not printed.is_file():
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise InputError(f"{browser} did not print: {last[0]}.", "Take the HTML: --format html")
        return printed.read_bytes()
