"""The pages of the console, on a real local cloud."""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from consoles import BASE, HOSTILE, Reader, console_of, parts
from jobs import run_command, wait_until

# A loop that was made without its work is the neighbouring tests' own.
sys.path.insert(0, str(Path(__file__).parents[1] / "iterate"))
from made_loops import reported

from batchrl.contract.errors import DamagedContent, InputError
from launcher.console.given import Given
from launcher.jobs.training import Job
from launcher.session.session import LocalSession


def test_the_list_has_every_kind_newest_first_and_tells_evaluations(reader: Reader) -> None:
    page = reader.get("/").text
    order = [page.index(f'/jobs/training/{name}"') for name in ("running", "leaving", "failed", "played", "trained")]
    assert order == sorted(order)
    assert '<td data-label="Kind">evaluation</td>' in page
    assert 'value="trained"' in page and 'value="played"' not in page  # only trainings are compared


@pytest.mark.parametrize(
    ("query", "has", "lacks"),
    [
        ("kind=evaluation", "played", "trained"),
        ("kind=training&name=train", "trained", "played"),
        ("status=Failed", "failed", "trained"),
        ("name=no-such", "Nothing matches", "/jobs/training/"),
        ("kind=endpoint", "Nothing matches", "/jobs/training/"),
        ("name=a%20b", "letters, digits and dashes", "/jobs/training/"),
        ("kind=%3Cb%3E&status=x&after=~~~", "trained", "<b>"),
    ],
)
def test_the_list_is_filtered(reader: Reader, query: str, has: str, lacks: str) -> None:
    answer = reader.get(f"/?{query}")
    assert answer.status_code == 200
    rows = answer.text.partition("</form>")[2]
    assert has in rows and lacks not in rows


def test_a_trainings_page_has_its_verdict_curves_phases_files_and_the_command_that_repeats_it(reader: Reader) -> None:
    page = reader.get("/jobs/training/trained").text
    for text in ("by epoch", "<polygon", "Uploading", "Doing it again", "batchrl train", "cartpole-bc", "model.tar.gz"):
        assert text in page, text
    assert {"head", "phases", "candidates", "choice", "estimate", "tail", "files", "repeat"} <= set(parts(page))
    assert "data-again" not in page and "Stop trained" not in page


def test_an_evaluation_has_its_result_and_its_picture(reader: Reader) -> None:
    page = reader.get("/jobs/training/played").text
    assert "the policy returns" in page
    assert 'src="/jobs/training/played/files/' in page and ".gif" in page


def test_a_job_that_runs_is_asked_for_again_and_can_be_stopped(reader: Reader) -> None:
    page = reader.get("/jobs/training/running").text
    assert 'data-again="0.8"' in page and "Stop running" in page and "sleeping" in page


def test_what_a_job_wrote_is_text(reader: Reader) -> None:
    for path in ("/jobs/training/failed", "/jobs/training/failed/log?text=script"):
        page = reader.get(path).text
        assert HOSTILE not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "\x1b" not in page and "\x07" not in page


def test_a_log_is_searched_for_a_text_as_it_stands(reader: Reader) -> None:
    assert "1 line<" in reader.get("/jobs/training/running/log?text=sleep").text
    assert "No line holds this text" in reader.get("/jobs/training/running/log?text=%22%20-x%20?y").text
    assert reader.get(f"/jobs/training/running/log?text={'x' * 300}").status_code == 400


def test_files_are_handed_out_as_files_and_pictures_where_they_are_some(reader: Reader) -> None:
    place = "/jobs/training/leaving/files/results/intermediate"
    page = reader.get(f"{place}/page.html")
    assert page.status_code == 200 and page.text == "<script>alert(1)</script>"
    assert page.headers["Content-Disposition"] == "attachment; filename=page.html"
    assert page.mimetype == "application/octet-stream" and "sandbox" in page.headers["Content-Security-Policy"]
    assert reader.get(f"{place}/real.gif").mimetype == "image/gif"
    assert reader.get(f"{place}/false.gif").headers["Content-Disposition"].startswith("attachment")
    assert reader.get(f"{place}/a%20b%23c%3F.txt").text == "hello"
    for wrong in ("none.txt", "../../../trained/output/model.tar.gz", "%2e%2e/%2e%2e/x"):
        assert reader.get(f"{place}/{wrong}").status_code == 404
    assert reader.get("/jobs/training/leaving/files/elsewhere/x").status_code == 404
    assert reader.get("/jobs/endpoint/leaving/files/results/x").status_code == 404


def test_several_jobs_are_drawn_on_one_chart(reader: Reader) -> None:
    page = reader.get("/compare?job=trained&job=again&job=failed&job=nothing&metric=none").text
    assert page.count("<polygon") == 2 and 'class="series s1"' in page
    assert "failed: it has no epoch with estimates (yet)." in page
    assert "nothing: there is no training job of this name." in page
    assert "trained</td>" in page.replace("\n", "")
    many = "&".join(f"job=j{number}" for number in range(12))
    assert "only 8 jobs are compared at a time" in reader.get(f"/compare?{many}").text
    assert reader.get("/compare").status_code == 400


@pytest.mark.parametrize(
    "path",
    ["/jobs/training/nothing", "/jobs/nothing/trained", "/jobs/endpoint/none", "/jobs/training/-x-", "/jobs", "/a/b"],
)
def test_what_is_not_there_is_said_in_words(reader: Reader, path: str) -> None:
    answer = reader.get(path)
    assert answer.status_code == 404 and "Not found" in answer.text
    assert "Traceback" not in answer.text


def test_a_cloud_that_was_taken_down_is_told_and_not_started(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run_command(home, "cloud", "up")
    reader = Reader(*console_of(home))
    reader.get(reader.access.link.removeprefix(BASE))
    assert "There are no jobs yet" in reader.get("/").text
    run_command(home, "cloud", "down")
    for path in ("/", "/jobs/training/x", "/compare?job=x"):
        answer = reader.get(path)
        assert answer.status_code == 503 and "does not run" in answer.text and "batchrl cloud up" in answer.text
    run_command(home, "cloud", "up")
    try:
        wait_until("the console finds the cloud again", lambda: reader.get("/").status_code == 200, 20)
    finally:
        run_command(home, "cloud", "down")
        shutil.rmtree(home)


def test_z_a_stop_stops(reader: Reader, jobs_home: Path) -> None:
    answer = reader.stop("/jobs/training/running")
    assert answer.status_code == 303 and answer.headers["Location"] == "/jobs/training/running"
    job = Job("running", LocalSession(jobs_home))
    assert job.wait(timeout=60, check=False).status == "Stopped"
    assert reader.stop("/jobs/training/running").status_code == 303  # a second time does nothing
    assert "Stop running" not in reader.get("/jobs/training/running").text
    assert reader.stop("/jobs/training/nothing").status_code == 404
    assert reader.stop("/jobs/endpoint/x").status_code == 400


def test_the_other_kinds_have_pages(reader: Reader, jobs_home: Path, tmp_path: Path) -> None:
    states, log = tmp_path / "states.csv", str(next(jobs_home.parent.rglob("log.csv")))
    states.write_text("0,0,0,0\n0.1,0,0,0\n")
    process = ("--instance-type", "local_process")
    run_command(jobs_home, "transform", str(states), "--model", "trained", *process, "--job-name", "moved")
    rates = ("--set", "agent.learning_rate=0.001,0.01", "--set", "epochs=1", "--set", "ope.bootstrap_resamples=50")
    run_command(jobs_home, "tune", log, *rates, "--preset", "cartpole-bc", *process, "--job-name", "tuned")
    run_command(jobs_home, "deploy", "trained", *process, "--endpoint-name", "served")
    try:
        rows = reader.get("/").text
        for kind, name in (("transform", "moved"), ("tuning", "tuned"), ("endpoint", "served")):
            assert f'href="/jobs/{kind}/{name}"' in rows
            page = reader.get(f"/jobs/{kind}/{name}").text
            assert f"<h1>{name}</h1>" in page and "<h2>What it is</h2>" in page
        assert "serving trained" in reader.get("/jobs/endpoint/served").text
        assert "data-again" in reader.get("/jobs/endpoint/served").text
        tuned = reader.get("/jobs/tuning/tuned").text
        trials = sorted(set(re.findall(r'href="/jobs/training/(tuned-[\w-]+)"', tuned)))
        assert len(trials) == 2 and f"/compare?job={trials[0]}" in tuned.replace("&amp;job=", "?job=")
        assert "batchrl rm served" in reader.stop("/jobs/endpoint/served").text
    finally:
        run_command(jobs_home, "rm", "served")


def test_a_data_set_has_a_page_with_those_that_learnt_from_it(reader: Reader) -> None:
    page = reader.get("/jobs/training/trained/data").text
    assert "What was logged, and by whom" in page and "What is wrong with the log" in page
    for name in ("trained", "again"):
        assert f'<a href="/jobs/training/{name}">{name}</a>' in page.partition('id="users"')[2]
    assert "/jobs/training/failed" not in page
    assert reader.get("/jobs/training/nothing/data").status_code == 404
    assert reader.get("/jobs/endpoint/trained/data").status_code == 404


def test_a_loop_has_a_page_by_rounds(jobs_home: Path, tmp_path: Path) -> None:
    report = reported(tmp_path / "loop", 3)
    with pytest.raises(InputError, match="there is no loop in"):
        Given([tmp_path / "elsewhere"])
    reader = Reader(*console_of(jobs_home, Given([report.folder.root])))
    reader.get(reader.access.link.removeprefix(BASE))
    assert 'href="/loops/1"' in reader.get("/").text
    page = reader.get("/loops/1").text
    assert "3 of 4 rounds are done" in page and "data-again" in page
    assert f"/jobs/training/{report.rounds[0].trained.job}" in page
    for wrong in ("2", "0", "x", "99999999999999999999"):
        assert reader.get(f"/loops/{wrong}").status_code == 404
    shutil.rmtree(report.folder.root)
    assert reader.get("/loops/1").status_code == 400


def test_an_estimate_has_a_page(jobs_home: Path, tmp_path: Path) -> None:
    log, file = str(next(jobs_home.parent.rglob("log.csv"))), tmp_path / "scored.json"
    told = run_command(jobs_home, "ope", log, "--model", "trained", "--json").stdout
    file.write_text(told)
    reader = Reader(*console_of(jobs_home, Given(estimates=[file])))
    reader.get(reader.access.link.removeprefix(BASE))
    assert 'href="/estimates/1"' in reader.get("/").text
    page = html.unescape(reader.get("/estimates/1").text)
    policy = json.loads(told)["policies"][0]
    assert policy["verdict"]["words"] in page and policy["policy"] in page
    assert all(name in page for name in policy["estimates"]) and json.loads(told)["data"]["sha256"] in page
    assert reader.get("/estimates/2").status_code == 404
    for text in ("", "[]", '{"format": 2}', '{"format": 1}', told.replace('"estimates"', '"others"'), "[" * 9999):
        file.write_text(text)
        assert reader.get("/estimates/1").status_code == 500
        with pytest.raises(DamagedContent, match=r"estimate|writes|JSON"):
            Given(estimates=[file])
    file.write_text(told.replace(policy["policy"], "<script>alert(1)</script>"))
    assert "<script>alert" not in reader.get("/estimates/1").text
    file.unlink()
    assert reader.get("/estimates/1").status_code == 400
