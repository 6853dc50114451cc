#!/usr/bin/env python3
"""Known vulnerabilities of what the locks pin: pip-audit over each, with what is accepted and until when.

``python3 .ci/audit.py [--work FOLDER]``, with nothing installed: pip-audit gets a virtual environment of its own.

=====================================================  =========  ==================================================
what is found                                          exit code  what is said
=====================================================  =========  ==================================================
the advisory database does not answer here             0          ``audit: NOT DONE``, and why
pip-audit cannot be installed here                     0          the same
a lock with a known vulnerability                      1          package, advisory, the version that mends it
one that is accepted (``.ci/accepted.toml``)           0          its reason, and until when
one whose acceptance is over                           1          the same, and that it is over
an acceptance of something that is not there any more  1          that its entry can go
a package that pip-audit passed over                   1          which, and why: what was not looked at is not well
=====================================================  =========  ==================================================

The database is OSV's; that it answers means that it knows a vulnerability which is known to everybody.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.txt", "docker/requirements.txt")
ACCEPTED = ROOT / ".ci" / "accepted.toml"
PIP_AUDIT = "pip-audit==2.10.1"
DATABASE = "https://api.osv.dev/v1/query"
ANSWER_SECONDS = 10
INSTALL_SECONDS = 180
AUDIT_SECONDS = 180
# Fixed in 2016, and in every copy of the database.
KNOWN_TO_EVERYBODY = {"package": {"name": "jinja2", "ecosystem": "PyPI"}, "version": "2.4.1"}


class NotDone(Exception):
    """The audit cannot be made here; the text says why."""


@dataclass(frozen=True)
class Accepted:
    """A vulnerability that is known and accepted.

    Args:
        id: of the advisory.
        package: that has it.
        reason: why it does no harm here.
        until: the day from which on it counts again.
    """

    id: str
    package: str
    reason: str
    until: datetime.date


def accepted(path: Path = ACCEPTED) -> list[Accepted]:
    """What is accepted.

    Raises:
        TypeError, KeyError: an entry lacks something.
    """
    entries = tomllib.loads(path.read_text()).get("accepted", [])
    found = [Accepted(entry["id"], entry["package"], entry["reason"], entry["until"]) for entry in entries]
    for entry in found:
        if not entry.reason.strip() or type(entry.until) is not datetime.date:
            raise TypeError(f"{path}: {entry.id} needs a reason and a day, as until = 2030-01-31")
    return found


def check_database(url: str = DATABASE) -> None:
    """Ask the database something that it must know.

    Raises:
        NotDone: it does not answer, or does not know it.
    """
    body = json.dumps(KNOWN_TO_EVERYBODY).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            answer = json.load(response)
    except (OSError, ValueError) as error:
        raise NotDone(f"the advisory database {url} does not answer here: {error}") from error
    if not (isinstance(answer, dict) and answer.get("vulns")):
        raise NotDone(f"{url} answers, but does not know what everybody knows: it is no advisory database")


def install(folder: Path) -> Path:
    """pip-audit in a virtual environment of its own; returns the program.

    Raises:
        NotDone: it could not be had.
    """
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True, timeout=INSTALL_SECONDS)
        command = [folder / "bin" / "pip", "install", "-q", PIP_AUDIT]
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotDone(f"{PIP_AUDIT} cannot be installed here: {error}") from error
    return folder / "bin" / "pip-audit"


def ask(program: Path, lock: Path) -> list[dict[str, Any]]:
    """What pip-audit says of each package of a lock.

    Raises:
        NotDone: the database was away in the middle.
    """
    command = [
        program,
        "-s",
        "osv",
        "-f",
        "json",
        "--progress-spinner",
        "off",
        "--no-deps",
        "--disable-pip",
        "-r",
        lock,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=AUDIT_SECONDS, check=False)
        dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        raise NotDone(f"pip-audit did not come to an end with {lock}: {error!r}") from error
    return dependencies


def judge(
    found: Mapping[str, Sequence[Mapping[str, Any]]], exceptions: Sequence[Accepted], today: datetime.date
) -> tuple[list[str], list[str]]:
    """What is wrong, and what is said beside it.

    Args:
        found: pip-audit's dependencies, by lock.
        exceptions: what is accepted.
        today: the day.
    """
    wrong, told, used = [], [], set()
    for lock, dependencies in found.items():
        for one in dependencies:
            if "skip_reason" in one:
                wrong.append(f"{lock}: {one['name']} was passed over: {one['skip_reason']}")
            for vulnerability in one.get("vulns", ()):
                names = {vulnerability["id"], *vulnerability.get("aliases", ())}
                match = next(
                    (entry for entry in exceptions if entry.id in names and entry.package == one["name"]), None
                )
                mended = ", ".join(vulnerability.get("fix_versions", ())) or "none yet"
                text = f"{lock}: {one['name']} {one['version']}: {vulnerability['id']} (mended in: {mended})"
                if match is None:
                    wrong.append(text)
                    continue
                used.add(match)
                if match.until <= today:
                    wrong.append(f"{text}; it was accepted until {match.until}")
                else:
                    told.append(f"{text}; accepted until {match.until}: {match.reason}")
    wrong += [
        f"{entry.package} {entry.id} is accepted and not there: take it out"
        for entry in exceptions
        if entry not in used
    ]
    return wrong, told


def torch_lock(folder: Path) -> Path:
    """PyTorch is in no lock; its version stands in the script that installs it."""
    script = ROOT / "docker" / "install-torch.sh"
    version = subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    path = folder / "torch.txt"
    path.write_text(f"torch=={version.partition('+')[0]}\n")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit all locks."""
    parser = argparse.ArgumentParser(description="Known vulnerabilities of what the locks pin.")
    parser.add_argument("--work", type=Path, help="folder for pip-audit; a temporary one by default")
    given = parser.parse_args(arguments)
    exceptions = accepted()
    with tempfile.TemporaryDirectory(prefix="batchrl-audit-", dir=given.work) as name:
        work = Path(name)
        try:
            check_database()
            program = install(work / "venv")
            locks = [ROOT / lock for lock in LOCKS]
            found = {
                path.name if path.parent == work else str(path.relative_to(ROOT)): ask(program, path)
                for path in (*locks, torch_lock(work))
            }
        except NotDone as reason:
            print(f"audit: NOT DONE: {reason}")
            return 0
    wrong, told = judge(found, exceptions, datetime.datetime.now(datetime.UTC).date())
    for line in (*told, *wrong):
        print(line)
    count = sum(len(dependencies) for dependencies in found.values())
    print(f"audit: {len(wrong)} faults in {count} pinned packages of {', '.join(found)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
