"""Kinds: SIGKILL, and SIGSTOP with SIGCONT, of every process that has to do with a training job."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from faults import targets
from faults.clouds import SETTLE_SECONDS
from faults.fault import Fault
from faults.findings import TooLate, eventually
from faults.registry import add
from faults.training import Run

Finder = Callable[[Run], int | None]
ANY_TIME = ("created", "running", "epoch", "epoch", "uploading")


@dataclass(frozen=True)
class Target:
    """A process, and what may come of its death.

    Args:
        what: in a sentence.
        find: its pid.
        phases: when there is one.
        ends: statuses that can be true after its death.
        reasons: what the reason of a failure then holds.
    """

    what: str
    find: Finder
    phases: Sequence[str]
    ends: Sequence[str]
    reasons: str = ""


def _shim(run: Run) -> int | None:
    return run.record().shim_pid


# A process that ends its work in the moment of the fault has ended it: Completed is true as well.
TARGETS = {
    "script": Target(
        "the script", Run.script, ("running", "epoch", "epoch", "epoch"), ("Failed", "Completed"), "SIGKILL|137"
    ),
    "pid1": Target(
        "the job's PID 1",
        lambda run: targets.pid_1(run.processes()),
        ("running", "epoch", "epoch", "epoch"),
        ("Failed", "Completed"),
        "SIGKILL|137",
    ),
    "shim": Target("the job's shim", _shim, ANY_TIME, ("Failed", "Completed"), "ended unexpectedly"),
    "forkserver": Target("the forkserver", lambda run: targets.forkserver(run.cloud.paths), ANY_TIME, ("Completed",)),
    "server": Target("the API server", lambda run: targets.server(run.cloud.paths), ANY_TIME, ("Completed",)),
    "store": Target("the embedded store", lambda run: targets.store(run.cloud.paths), ANY_TIME, ("Completed",)),
}


def killed(name: str, target: Target) -> Callable[[Fault], None]:
    """A kind: a process gets SIGKILL."""

    def make(fault: Fault) -> None:
        def strike(run: Run) -> None:
            pid = target.find(run)
            if not targets.strike(pid, signal.SIGKILL):
                raise TooLate
            if name in ("server", "store", "forkserver"):
                run.cloud.revive(fault.findings)

        fault.disturb(strike, moment=fault.moment(*target.phases), ends=target.ends, reasons=target.reasons)

    return make


def stopped(target: Target) -> Callable[[Fault], None]:
    """A kind: a process gets SIGSTOP, and SIGCONT up to 3 s later."""

    def make(fault: Fault) -> None:
        seconds = fault.random.uniform(0.2, 3.0)

        def strike(run: Run) -> None:
            fault.findings.note(f"stopped for {seconds:.1f} s")
            if not targets.freeze(target.find(run), seconds):
                raise TooLate

        fault.disturb(strike, moment=fault.moment(*target.phases), ends=("Completed",))

    return make


def _all_at_once(fault: Fault) -> None:
    def strike(run: Run) -> None:
        victims = targets.of_home(run.cloud.paths)
        for one in victims:
            targets.strike(one.pid, signal.SIGKILL)
        eventually(lambda: not targets.of_home(run.cloud.paths), SETTLE_SECONDS)
        run.cloud.revive(fault.findings)

    fault.disturb(strike, moment=fault.moment(*ANY_TIME), ends=("Failed", "Completed"), reasons="ended unexpectedly")


for _name, _target in TARGETS.items():
    add(f"kill-{_name}", "training", f"SIGKILL of {_target.what}", killed(_name, _target))
    add(f"stop-{_name}", "training", f"SIGSTOP of {_target.what}, SIGCONT up to 3 s later", stopped(_target))
add("kill-everything", "training", "SIGKILL of every process of the cloud, as a power cut does", _all_at_once)
