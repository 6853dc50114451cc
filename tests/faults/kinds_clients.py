"""Kinds: clients that are interrupted, hung up and killed while their job runs, and loops of rounds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from faults import targets
from faults.clouds import Cloud
from faults.fault import Fault
from faults.findings import HUNG, LOST, UNTRUE, Findings, Given, TooLate, eventually
from faults.loops import iterate, loop_content, run_loop
from faults.registry import add
from faults.training import END_SECONDS, START_SECONDS, Run
from launcher.jobs.training import Job

SIGNALS = {
    "interrupt": (signal.SIGINT, "Ctrl-C, without a terminal"),
    "hangup": (signal.SIGHUP, "SIGHUP"),
    "kill": (signal.SIGKILL, "SIGKILL"),
}


@contextlib.contextmanager
def command(cloud: Cloud, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Python as a user's process, its output in a file; it does not outlive the block."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            env=os.environ | {"BATCHRL_HOME": str(cloud.folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def ends(process: subprocess.Popen[bytes], findings: Findings, what: str) -> int:
    """The exit code of a command; a finding where it does not end."""
    try:
        return process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        findings.check(False, HUNG, f"{what} does not end")
        raise Given from None


class ClientRun(Run):
    """A training that a process of its own submits and waits for."""

    def program(self) -> str:
        """What the process runs."""
        self.name = f"job-{self.checkpoints[-12:]}-c"
        self.job = Job(self.name, self.cloud.session)
        inputs = {"training": str(self.dataset)}
        return (
            "import signal\n"
            # A run in the background of a shell ignores Ctrl-C, and so would this process.
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from launcher import RLEstimator\n"
            f"RLEstimator(**{self.options()!r}).fit({inputs!r}, job_name={self.name!r})\n"
        )


def client(name: str) -> Callable[[Fault], None]:
    """A kind: the client of a training gets a signal; Ctrl-C stops the job, which saves; the others leave it alone."""
    number, _ = SIGNALS_OF_CLIENTS[name]

    def make(fault: Fault) -> None:
        run = ClientRun(fault.cloud, fault.findings, fault.dataset)
        log = fault.lane.place() / "client.log"
        with command(run.cloud, log, "-c", run.program()) as process:
            created = eventually(
                lambda: run.cloud.record(run.name) is not None or process.poll() is not None, START_SECONDS
            )
            if not created or process.poll() is not None:
                fault.findings.check(False, UNTRUE, f"the command did not start its job: {log.read_text()[-500:]}")
                raise Given
            run.until(fault.moment("created", "running", "epoch", "epoch"))
            known = run.announced()
            if number is signal.SIGSTOP:
                targets.freeze(process.pid, fault.random.uniform(0.2, 3.0))
            else:
                process.send_signal(number)
            code = ends(process, fault.findings, "the client")
            fault.findings.note(f"the client ended with {code}")
        outcomes = ("Stopped", "Completed") if name == "interrupt" else ("Completed",)
        fault.judge(run, known, outcomes)

    return make


SIGNALS_OF_CLIENTS = SIGNALS | {"stop": (signal.SIGSTOP, "SIGSTOP, and SIGCONT up to 3 s later")}
for _name, (_, _what) in SIGNALS_OF_CLIENTS.items():
    add(f"client-{_name}", "client", f"The client that waits for a training: {_what}", client(_name))


def check_loop(fault: Fault, folder: Path) -> None:
    """Take a loop to its end, and compare what it leaves with what an undisturbed one did."""
    done = run_loop(fault.cloud, folder)
    said = done.stderr[-500:]
    if fault.findings.check(done.returncode == 0, HUNG, f"the loop does not go on: {done.returncode} {said}"):
        found, reference = loop_content(folder), fault.lane.references.loop
        differing = sorted(name for name in found.keys() | reference.keys() if found.get(name) != reference.get(name))
        fault.findings.check(not differing, LOST, f"differs from the undisturbed loop: {', '.join(differing)}")
        scratch = [path.name for path in folder.rglob(".work-*")]
        fault.findings.check(not scratch, "left", f"scratch folders: {scratch}")
    with fault.cloud.records() as records:
        running = [record.key for record in records.running()]
    fault.findings.check(not running, "left", f"the loop has ended and its jobs run: {running}")


def loop(strike: Callable[[Fault, subprocess.Popen[bytes]], None]) -> Callable[[Fault], None]:
    """A kind: a loop is hit at some moment, and given again."""

    def make(fault: Fault) -> None:
        assert fault.lane.references.loop
        folder = fault.lane.place() / "loop"
        share = fault.random.random()
        with command(fault.cloud, folder.with_name("loop.log"), *iterate(folder)) as process:
            began = eventually(lambda: folder.is_dir() or process.poll() is not None, START_SECONDS)
            fault.findings.check(began, HUNG, "the loop did not begin")
            threading.Event().wait(share * fault.lane.references.loop_seconds)
            if process.poll() is not None:
                raise TooLate
            strike(fault, process)
            said = folder.with_name("loop.log").read_text(errors="replace")
            fault.findings.check("Traceback" not in said, UNTRUE, f"a traceback: {said[-500:]}")
        check_loop(fault, folder)

    return make


def _signalled(number: signal.Signals) -> Callable[[Fault, subprocess.Popen[bytes]], None]:
    def strike(fault: Fault, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(number)
        fault.findings.note(f"the loop ended with {ends(process, fault.findings, 'the loop')}")

    return strike


def _without(find: Callable[[Cloud], Sequence[int | None]]) -> Callable[[Fault, subprocess.Popen[bytes]], None]:
    def strike(fault: Fault, process: subprocess.Popen[bytes]) -> None:
        for pid in find(fault.cloud):
            targets.strike(pid, signal.SIGKILL)
        fault.findings.note(f"the loop ended with {ends(process, fault.findings, 'the loop')}")

    return strike


def _scripts(cloud: Cloud) -> list[int | None]:
    with cloud.records() as records:
        roots = [(cloud.paths.job(record.key).ml, record.name) for record in records.running()]
    return [targets.pid_1(targets.of_job(root, name)) for root, name in roots]


for _name, (_number, _what) in SIGNALS.items():
    add(
        f"loop-{_name}", "client", f"`batchrl iterate`: {_what}, then the same command again", loop(_signalled(_number))
    )
add(
    "loop-kill-server",
    "client",
    "`batchrl iterate`: SIGKILL of the API server",
    loop(_without(lambda cloud: [targets.server(cloud.paths)])),
)
add(
    "loop-kill-job",
    "client",
    "`batchrl iterate`: SIGKILL of PID 1 of whatever job runs, then the same command again",
    loop(_without(_scripts)),
)
