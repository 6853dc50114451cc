"""The audit of the locks: what is known fails, what is accepted has a reason and a day, silence is not health."""

from __future__ import annotations

import datetime
import importlib.util
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TODAY = datetime.date(2026, 1, 1)
BAD = {"name": "pkg", "version": "1.0", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"]}]}


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["audit"]


@pytest.fixture
def database():
    """A server that answers every question with ``database.answer``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(server.answer)))
            self.end_headers()
            self.wfile.write(server.answer)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_known_vulnerability_is_wrong_and_names_what_mends_it(audit):
    wrong, told = audit.judge({"lock": [BAD, {"name": "good", "version": "1", "vulns": []}]}, [], TODAY)
    assert wrong == ["lock: pkg 1.0: PYSEC-1 (mended in: 1.1)"] and told == []


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_an_accepted_one_is_told_until_its_day(audit, name):
    entry = audit.Accepted(name, "pkg", "not reached", datetime.date(2026, 1, 2))
    wrong, told = audit.judge({"lock": [BAD]}, [entry], TODAY)
    assert wrong == [] and "not reached" in told[0]
    wrong, told = audit.judge({"lock": [BAD]}, [entry], datetime.date(2026, 1, 2))
    assert "accepted until 2026-01-02" in wrong[0] and told == []


def test_an_acceptance_is_for_one_package_and_goes_when_it_is_of_no_use(audit):
    entry = audit.Accepted("PYSEC-1", "other", "x", datetime.date(2027, 1, 1))
    wrong, _ = audit.judge({"lock": [BAD]}, [entry], TODAY)
    assert len(wrong) == 2 and "take it out" in wrong[1]


def test_what_was_passed_over_is_not_well(audit):
    wrong, _ = audit.judge({"lock": [{"name": "pkg", "skip_reason": "Dependency not found"}]}, [], TODAY)
    assert wrong == ["lock: pkg was passed over: Dependency not found"]


def test_the_list_of_what_is_accepted_can_be_read(audit, tmp_path):
    for entry in audit.accepted():
        assert entry.reason and entry.until
    path = tmp_path / "accepted.toml"
    path.write_text('[[accepted]]\nid = "X"\npackage = "p"\nreason = " "\nuntil = 2026-01-01\n')
    with pytest.raises(TypeError, match="needs a reason"):
        audit.accepted(path)


def test_a_database_that_is_away_or_is_none_means_that_nothing_was_done(audit, database, monkeypatch, capsys):
    database.answer = json.dumps({"vulns": [{"id": "X"}]}).encode()
    audit.check_database(database.url)
    for answer in (b"{}", b"<html>", b"[]", b'{"vulns": []}'):
        database.answer = answer
        with pytest.raises(audit.NotDone):
            audit.check_database(database.url)
    monkeypatch.setattr(audit.check_database, "__defaults__", ("http://127.0.0.1:1/",))
    assert audit.main([]) == 0
    assert capsys.readouterr().out.startswith(
        "audit: NOT DONE: the advisory database http://127.0.0.1:1/ does not answer"
    )


def test_a_whole_run_with_a_pip_audit_that_finds_something(audit, database, monkeypatch, capsys, tmp_path):
    database.answer = b'{"vulns": [{"id": "X"}]}'
    monkeypatch.setattr(audit.check_database, "__defaults__", (database.url,))
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\necho '{json.dumps({'dependencies': [BAD]})}'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(audit, "install", lambda folder: program)
    assert audit.main([]) == 1
    out = capsys.readouterr().out
    assert "docker/requirements.txt: pkg 1.0: PYSEC-1" in out and "torch.txt" in out and "audit: 3 faults" in out


def test_a_pip_audit_that_breaks_off_means_that_nothing_was_done(audit, tmp_path):
    program = tmp_path / "pip-audit"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(audit.NotDone):
        audit.ask(program, tmp_path / "lock")
    with pytest.raises(audit.NotDone):
        audit.ask(tmp_path / "none", tmp_path / "lock")


def test_every_lock_of_the_repository_is_audited(audit):
    locks = {str(path.relative_to(ROOT)) for path in (ROOT / "requirements.txt", *ROOT.glob("*/requirements*.txt"))}
    assert set(audit.LOCKS) == locks
