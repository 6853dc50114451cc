"""Kinds: two clients, two clouds and two loops at once, and code that is upgraded while a job runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from batchrl.contract.errors import Unreachable
from faults import targets
from faults.fault import Fault
from faults.findings import HUNG, UNTRUE, TooLate
from faults.kinds_clients import check_loop, command
from faults.loops import LOOP_SECONDS, iterate
from faults.registry import kind
from faults.training import Run, check_equal, check_status

ROOT = Path(__file__).resolve().parents[2]


def side_by_side(*works: Callable[[], object]) -> None:
    """Do several things at once; what one of them raises is raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        if not isinstance(error, TooLate):
            raise error


@kind("two-clients", "several", "Two clients submit jobs to one cloud at once, and its API server gets SIGKILL")
def two_clients(fault: Fault) -> None:
    """Two jobs at once."""
    moment = fault.moment("created", "running", "epoch")

    def strike(run: Run) -> None:
        targets.strike(targets.server(run.cloud.paths), signal.SIGKILL)
        run.cloud.revive(fault.findings)

    def quiet() -> None:
        try:
            run = fault.training()
        except Unreachable:  # between death and revival, a client is told so, and nothing of its job was begun
            fault.cloud.session.revive()
            run = fault.training()
        check_status(run, ("Completed",))
        check_equal(run, fault.reference)

    side_by_side(lambda: fault.disturb(strike, moment=moment), quiet)


@kind("two-clouds", "several", "Two clouds of one user run jobs at once, and one gets SIGKILL of all its processes")
def two_clouds(fault: Fault) -> None:
    """Nothing that is done to one cloud reaches another."""
    moment = fault.moment("created", "running", "epoch")

    def strike(run: Run) -> None:
        for one in targets.of_home(run.cloud.paths):
            targets.strike(one.pid, signal.SIGKILL)
        run.cloud.revive(fault.findings)

    with fault.lane.extra(fault.lane.place()) as other:

        def undisturbed() -> None:
            run = fault.training(other)
            check_status(run, ("Completed",))
            check_equal(run, fault.reference)

        def disturbed() -> None:
            fault.disturb(strike, moment=moment, ends=("Failed", "Completed"), reasons="ended unexpectedly")

        side_by_side(disturbed, undisturbed)


@kind("two-loops", "several", "Two loops of one cloud at once, one of which gets SIGKILL and is given again")
def two_loops(fault: Fault) -> None:
    """Loops do not get into each other's way."""
    folder, other = fault.lane.place() / "loop", fault.lane.place() / "loop"
    seconds = fault.random.random() * fault.lane.references.loop_seconds
    with (
        command(fault.cloud, folder.with_name("loop.log"), *iterate(folder)) as first,
        command(fault.cloud, other.with_name("loop.log"), *iterate(other)) as second,
    ):
        threading.Event().wait(seconds)
        first.kill()
        try:
            code = second.wait(LOOP_SECONDS)
        except subprocess.TimeoutExpired:
            fault.findings.check(False, HUNG, "the other loop does not end")
            return
        said = other.with_name("loop.log").read_text(errors="replace")[-500:]
        fault.findings.check(code == 0, UNTRUE, f"the other loop ended with {code}: {said}")
    check_loop(fault, other)
    check_loop(fault, folder)


def other_version(folder: Path) -> dict[str, str]:
    """Another version of the code; the environment in which Python takes it."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("launcher", "presets", "entrypoints"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    with (folder / "launcher" / "local" / "host" / "version.py").open("a") as file:
        file.write("\n# Another version.\n")
    return os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{folder / 'entrypoints'}"}


@kind("upgrade", "several", "A client of another version replaces the API server while a job runs, and ours does again")
def upgrade(fault: Fault) -> None:
    """Whichever version serves, the job goes on, and the next one works."""
    folder = fault.lane.place()
    environ = other_version(folder)

    def strike(run: Run) -> None:
        before = targets.server(run.cloud.paths)
        done = subprocess.run(
            [sys.executable, "-m", "launcher.cli", "ps"],
            env=environ | {"BATCHRL_HOME": str(run.cloud.folder)},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LOOP_SECONDS,
        )
        fault.findings.check(done.returncode == 0, UNTRUE, f"the other version cannot list jobs: {done.stderr[-500:]}")
        fault.findings.check(run.name in done.stdout, UNTRUE, f"the other version does not list {run.name}")
        replaced = targets.server(run.cloud.paths) not in (before, None)
        fault.findings.check(replaced, UNTRUE, "the API server of the older version was not replaced")
        run.cloud.revive(fault.findings)

    moment = fault.moment("created", "running", "epoch", "epoch")
    fault.disturb(strike, moment=moment)
    shutil.rmtree(folder)
