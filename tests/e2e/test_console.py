"""The console in a real browser: the list, a job that runs, a comparison, a stop, and who is kept out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import services
from consoles import run_jobs
from jobs import run_command, wait_until

from launcher.jobs.training import Job
from launcher.session.session import LocalSession

pytestmark = pytest.mark.browser
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
WIDTHS = (1280, 390)
COUNTING = "import time\nfor n in range(600):\n    print('line', n, flush=True)\n    time.sleep(1)\n"


@dataclass(frozen=True)
class Running:
    """A console that runs as a user starts it.

    Args:
        home: the data folder of its cloud.
        link: what it printed.
        process: it.
    """

    home: Path
    link: str
    process: subprocess.Popen[str]

    @property
    def base(self) -> str:
        return self.link.partition("/?")[0]


def start(home: Path, *arguments: str) -> Running:
    command = [sys.executable, "-m", "launcher.cli", "console", *arguments]
    environ = os.environ | {"BATCHRL_HOME": str(home)}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "until Ctrl-C" in process.stdout.readline()
    return Running(home, process.stdout.readline().strip(), process)


def end(running: Running) -> tuple[int, str]:
    """Ctrl-C; gives the exit code and what was said."""
    running.process.send_signal(signal.SIGINT)
    out, err = running.process.communicate(timeout=10)
    return running.process.returncode, out + err


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home, folder = tmp_path_factory.mktemp("cloud"), tmp_path_factory.mktemp("work")
    run_jobs(home, folder)
    running = start(home)
    yield running
    assert end(running) == (0, "")
    run_command(home, "cloud", "down", "--stop-jobs")


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=services.browser_path(), args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser, console: Running) -> Iterator[object]:
    """A page of the console, entered by its link; whatever its scripts complain of fails the test."""
    context = browser.new_context(viewport={"width": request.param, "height": 844})
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
    opened.goto(console.link)
    opened.wait_for_url(f"{console.base}/")
    yield opened
    context.close()
    assert wrong == []


def fits(page) -> bool:
    """Whether nothing reaches beyond the right edge."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_the_list_leads_to_a_job_and_back_by_keyboard_alone(page, console: Running) -> None:
    assert "token" not in page.url and fits(page)
    link = page.get_by_role("link", name="trained", exact=True)
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{console.base}/jobs/training/trained")
    assert page.get_by_role("heading", level=1).inner_text() == "trained"
    assert page.get_by_role("img", name="by epoch").count() >= 1 and fits(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"


def test_filters_and_comparison(page, console: Running) -> None:
    page.get_by_label("Name holds").fill("trai")
    page.get_by_role("button", name="Filter").click()
    assert page.locator("#rows a").all_inner_texts() == ["trained"]
    page.goto(f"{console.base}/")
    for name in ("trained", "again"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare the ticked").click()
    assert sorted(one.strip() for one in page.locator(".legend li").all_inner_texts()) == ["again", "trained"]
    assert page.locator(".plot polyline").count() == 2 and fits(page)


def test_hostile_texts_do_nothing(page, console: Running) -> None:
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    for path in ("/jobs/training/failed", "/jobs/training/failed/log?text=script", "/jobs/training/leaving"):
        page.goto(console.base + path)
        page.wait_for_timeout(200)
        assert fits(page)
    assert asked == []


def test_the_picture_of_an_evaluation_is_seen(page, console: Running) -> None:
    page.goto(f"{console.base}/jobs/training/played")
    picture = page.get_by_role("img", name="episode.gif")
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth)") > 100 and fits(page)


def test_what_is_wrong_is_said_in_words(page, console: Running) -> None:
    answer = page.goto(f"{console.base}/jobs/training/nothing")
    assert answer.status == 404 and "There is no training named nothing" in page.inner_text("main")


def test_a_running_job_is_followed_and_stopped(page, console: Running) -> None:
    name = f"watched-{page.viewport_size['width']}"
    folder = console.home.parent / name
    folder.mkdir()
    (folder / "main.py").write_text(
        "import time\nfor n in range(600):\n  print('line', n, flush=True)\n  time.sleep(1)\n"
    )
    own = ("--source-dir", str(folder), "--entry-point", "main.py", "--instance-type", "local_process")
    run_command(console.home, "train", *own, "--job-name", name, "--no-wait")
    page.goto(f"{console.base}/jobs/training/{name}")
    page.get_by_text("line 3", exact=False).wait_for(timeout=20_000)  # nobody loads the page again
    page.get_by_text("Stop it").click()
    page.wait_for_timeout(2500)
    assert page.get_by_role("button", name=f"Stop {name}").is_visible()  # it is still open after two looks
    page.get_by_role("button", name=f"Stop {name}").click()
    page.locator(".badge", has_text="Stopped").wait_for(timeout=60_000)
    assert Job(name, LocalSession(console.home)).status().status == "Stopped"
    assert page.get_by_role("button", name=f"Stop {name}").count() == 0


def test_the_epochs_of_a_training_come_to_an_open_page(browser, console: Running) -> None:
    log = str(next(console.home.parent.rglob("log.csv")))
    training = (
        "--training",
        log,
        "--preset",
        "cartpole-bc",
        "--instance-type",
        "local_process",
        "--job-name",
        "epochs",
    )
    context = browser.new_context()
    page = context.new_page()
    page.goto(console.link)
    page.wait_for_url(f"{console.base}/")
    run_command(console.home, "train", *training, "--set", "epochs=20", "--no-wait")
    page.goto(f"{console.base}/jobs/training/epochs")
    rows = page.locator("#candidates tbody tr")
    seen = set()
    deadline = time.monotonic() + 120
    while page.locator(".badge").first.inner_text() != "Completed":
        assert time.monotonic() < deadline
        seen.add(rows.count())
        page.wait_for_timeout(100)
    rows.nth(19).wait_for(timeout=10_000)
    assert len(seen - {0, 20}) >= 2, seen  # it was seen to grow
    assert page.locator("#estimate").is_visible()
    context.close()


def test_without_the_link_and_from_another_site_nothing_is_shown(browser, console: Running) -> None:
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(console.base)
    assert answer.status == 401 and "trained" not in page.content()
    page.goto(console.link)
    page.wait_for_url(f"{console.base}/")
    # Another site, in the browser that has the cookie: an address of this computer under another name is one.
    other = console.base.replace("127.0.0.1", "localhost")
    page.goto(f"{other}/console.css")
    told = page.evaluate(
        """async base => {
            const tries = await Promise.allSettled([
                fetch(base + "/", { credentials: "include" }).then(one => one.text()),
                fetch(base + "/jobs/training/running/stop", { method: "POST", credentials: "include" })
                    .then(one => one.text()),
            ]);
            return tries.map(one => one.status);
        }""",
        console.base,
    )
    assert told == ["rejected", "rejected"]
    assert Job("running", LocalSession(console.home)).status().status == "InProgress"
    context.close()


def test_a_page_that_is_open_tells_that_the_cloud_or_the_console_went_away(browser, tmp_path: Path) -> None:
    home = tmp_path / "home"
    running = start(home)
    context = browser.new_context()
    page = context.new_page()
    page.goto(running.link)
    page.wait_for_url(f"{running.base}/")
    run_command(home, "cloud", "down")
    page.get_by_text("the local cloud does not run").wait_for(timeout=15_000)
    run_command(home, "cloud", "up")
    wait_until("the page is as it was", lambda: page.locator("#connection").inner_text() == "", 20)
    run_command(home, "cloud", "down")
    assert end(running) == (0, "")
    page.get_by_text("The console does not answer").wait_for(timeout=15_000)
    context.close()


def test_a_port_that_is_taken_is_told(console: Running) -> None:
    port = console.base.rpartition(":")[2]
    done = run_command(console.home, "console", "--port", port, check=False)
    assert done.returncode == 2 and f"port {port} of 127.0.0.1 is taken" in done.stderr
