"""What tests of the console share: jobs of a cloud whose every text is hostile, and a reader of its pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jobs import run_command
from werkzeug.test import Client, TestResponse

from launcher.console.access import Access
from launcher.console.app import Console
from launcher.console.given import Given
from launcher.console.watched import WatchedCloud
from launcher.session.session import LocalSession

PORT = 8642
BASE = f"http://127.0.0.1:{PORT}"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
FAILING = f"print('{HOSTILE} \\x1b[31mred\\x1b[0m \\x1b]0;owned\\x07')\nraise ValueError('{HOSTILE}')\n"
SLEEPING = "import time\nprint('sleeping', flush=True)\ntime.sleep(600)\n"
# What a job may leave: a page, a picture, and a page that calls itself a picture.
LEAVING = """
import os
from pathlib import Path
folder = Path(os.environ["SM_OUTPUT_INTERMEDIATE_DIR"])
(folder / "page.html").write_text("<script>alert(1)</script>")
(folder / "real.gif").write_bytes(b"GIF89a" + bytes(20))
(folder / "false.gif").write_text("<script>alert(1)</script>")
(folder / "a b#c?.txt").write_text("hello")
"""


def run_jobs(home: Path, folder: Path) -> None:
    """A training twice, its evaluation, a job that failed, one that left files, one that runs."""
    process = ("--instance-type", "local_process")
    small = ("epochs=2", "ope.bootstrap_resamples=50", "agent.embedder=[8]", "agent.middleware=[8]")
    settings = tuple(part for setting in small for part in ("--set", setting))
    tiny = ("--set", "min_episodes=2", "--set", "evaluate_steps=1", "--set", "num_envs=2")
    log = str(folder / "log.csv")
    run_command(home, "collect", "--env", "CartPole-v0", "--num-envs", "20", "--episodes", "20", "--output", log)
    for name in ("trained", "again"):
        training = ("--training", log, "--preset", "cartpole-bc", *process, "--job-name", name, *settings)
        run_command(home, "train", *training)
    run_command(home, "evaluate", "--job", "trained", *process, "--job-name", "played", *tiny)
    for name, text, more in (
        ("failed", FAILING, ()),
        ("leaving", LEAVING, ()),
        ("running", SLEEPING, ("--no-wait",)),
    ):
        (folder / name).mkdir()
        (folder / name / "main.py").write_text(text)
        own = ("--source-dir", str(folder / name), "--entry-point", "main.py", *process, "--job-name", name)
        run_command(home, "train", *own, *more, check=name != "failed")


@dataclass(frozen=True)
class Reader:
    """A browser without a window: it has the cookie.

    Args:
        client: sends requests.
        access: of the console.
    """

    client: Client
    access: Access

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, base_url=BASE, headers=headers)

    def stop(self, path: str, word: str | None = None, origin: str | None = BASE) -> TestResponse:
        word = self.access.form_word if word is None else word
        headers = {} if origin is None else {"Origin": origin}
        return self.client.post(f"{path}/stop", base_url=BASE, data={"form": word}, headers=headers)


def console_of(home: Path, given: Given | None = None) -> tuple[Client, Access]:
    """A console of a cloud; a fault of ours fails the test."""

    def fault(error: Exception) -> str:
        raise error

    access = Access(PORT)
    return Client(Console(WatchedCloud(LocalSession(home)), access, fault, given)), access


def parts(page: str) -> list[str]:
    """Names of the parts of a page that are kept fresh."""
    return re.findall(r'data-part="([\w-]+)"', page)
