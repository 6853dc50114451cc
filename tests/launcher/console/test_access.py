"""Who may see the console: every answer is tried without the cookie, from other sites, and under other names."""

from __future__ import annotations

import pytest
from consoles import BASE, PORT, Reader

from launcher.jobs.training import Job
from launcher.session.session import LocalSession

PATHS = ("/", "/jobs/training/trained", "/jobs/training/failed/log?text=x", "/compare?job=trained", "/nothing")


@pytest.mark.parametrize("path", [*PATHS, "/jobs/training/trained/files/results/model.tar.gz", "/?token=wrong"])
def test_without_the_cookie_nothing_of_the_cloud_is_told(stranger: Reader, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert "trained" not in answer.text and "batchrl console" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_the_link_gives_a_cookie_that_no_script_and_no_other_site_uses(stranger: Reader) -> None:
    answer = stranger.get(stranger.access.link.removeprefix(BASE))
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert stranger.access.token not in cookie and stranger.access.token not in answer.text
    assert stranger.get("/").status_code == 200


def test_two_consoles_open_by_their_own_links_alone(reader: Reader, stranger: Reader) -> None:
    from launcher.console.access import Access

    other = Access(PORT)
    assert other.token != reader.access.token
    reader.client.set_cookie(other.cookie, other.key, domain="127.0.0.1")
    assert reader.get("/").status_code == 401


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"127.0.0.1:{PORT + 1}", ""])
def test_a_name_that_is_pointed_here_is_refused(reader: Reader, host: str) -> None:
    answer = reader.get("/", Host=host)
    assert answer.status_code == 421 and "trained" not in answer.text


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"http://127.0.0.1:{PORT + 1}", f"https://127.0.0.1:{PORT}"]
)
def test_another_origin_is_refused_even_with_the_cookie(reader: Reader, origin: str) -> None:
    for path in PATHS:
        assert reader.get(path, Origin=origin).status_code == 403
    assert reader.stop("/jobs/training/running", origin=origin).status_code == 403


def test_a_stop_needs_the_form_the_origin_and_the_cookie(reader: Reader, jobs_home: object) -> None:
    path = "/jobs/training/running"
    assert reader.stop(path, word="").status_code == 403
    assert reader.stop(path, word="wrong").status_code == 403
    assert reader.stop(path, origin=None).status_code == 403
    assert reader.get(f"{path}/stop").status_code == 404
    word = reader.access.form_word
    reader.client.delete_cookie(reader.access.cookie, domain="127.0.0.1")
    assert reader.stop(path, word=word).status_code == 401
    assert Job("running", LocalSession(jobs_home)).status().status == "InProgress"


@pytest.mark.parametrize("path", [*PATHS, "/console.js", "/console.css"])
def test_every_answer_forbids_what_a_page_does_not_need(reader: Reader, path: str) -> None:
    headers = reader.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name, _ in headers if name.lower().startswith("access-control")]


def test_a_form_that_is_too_large_is_not_read(reader: Reader) -> None:
    answer = reader.client.post(
        "/jobs/training/running/stop", base_url=BASE, data={"form": "x" * 100_000}, headers={"Origin": BASE}
    )
    assert answer.status_code == 413
