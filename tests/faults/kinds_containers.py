"""Kinds: training jobs, a transform job and an endpoint in containers of the Docker engine."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from faults import containers, targets
from faults.fault import Fault
from faults.findings import TooLate
from faults.kinds_serving import TARGETS as SERVING
from faults.kinds_serving import endpoint, transform
from faults.registry import add
from faults.training import Run

DOCKER = "local"
RUNNING = ("running", "epoch", "epoch", "epoch")
# What the reason of a failure says of a container that was killed or removed from outside.
KILLED = "SIGKILL|137|container|ended unexpectedly"


def _container(run: Run) -> str:
    found = containers.of_job(run.cloud.paths, run.record().key)
    if found is None:
        raise TooLate
    return found


def _signal(find: Callable[[Run], int | None]) -> Callable[[Run], None]:
    def strike(run: Run) -> None:
        if not targets.strike(find(run), signal.SIGKILL):
            raise TooLate
        run.cloud.revive(run.findings)

    return strike


def _pid_1(run: Run) -> int | None:
    pid = containers.ask("inspect", "--format", "{{.State.Pid}}", _container(run))
    return int(pid) if pid.isdigit() and pid != "0" else None


def _engine(*arguments: str) -> Callable[[Run], None]:
    def strike(run: Run) -> None:
        containers.ask(*arguments, _container(run))

    return strike


@dataclass(frozen=True)
class Blow:
    """What is done to a job in a container, and what may come of it."""

    what: str
    strike: Callable[[Run], None]
    ends: Sequence[str] = ("Failed", "Completed")
    reasons: str = KILLED


BLOWS = {
    "kill-script": Blow("SIGKILL of the script", _signal(Run.script)),
    "kill-pid1": Blow("SIGKILL of the container's PID 1", _signal(_pid_1)),
    "kill": Blow("`docker kill`", _engine("kill")),
    "remove": Blow("`docker rm -f`", _engine("rm", "-f")),
    "kill-shim": Blow("SIGKILL of the job's shim", _signal(lambda run: run.record().shim_pid)),
    "kill-server": Blow(
        "SIGKILL of the API server", _signal(lambda run: targets.server(run.cloud.paths)), ("Completed",)
    ),
    "kill-store": Blow(
        "SIGKILL of the embedded store", _signal(lambda run: targets.store(run.cloud.paths)), ("Completed",)
    ),
}


def hit(blow: Blow) -> Callable[[Fault], None]:
    """A kind: one blow against a training in a container."""

    def make(fault: Fault) -> None:
        run = fault.training(instance_type=DOCKER)
        moment = fault.moment(*RUNNING)
        fault.disturb(blow.strike, moment=moment, ends=blow.ends, reasons=blow.reasons, run=run)

    return make


def paused(fault: Fault) -> None:
    """A container is paused, and goes on."""
    seconds = fault.random.uniform(0.2, 3.0)

    def strike(run: Run) -> None:
        container = _container(run)
        containers.ask("pause", container)
        threading.Event().wait(seconds)
        containers.ask("unpause", container)

    run = fault.training(instance_type=DOCKER)
    fault.disturb(strike, moment=fault.moment(*RUNNING), run=run)


for _name, _blow in BLOWS.items():
    add(f"container-{_name}", "container", f"In a container: {_blow.what}", hit(_blow), "engine")
add("container-pause", "container", "In a container: `docker pause` for up to 3 s", paused, "engine")
for _name in ("worker", "shim"):
    _what = SERVING[_name].what
    add(
        f"container-transform-{_name}",
        "container",
        f"Transform in a container: SIGKILL of {_what}",
        transform(SERVING[_name], False, DOCKER),
        "engine",
    )
    add(
        f"container-endpoint-{_name}",
        "container",
        f"Endpoint in a container: SIGKILL of {_what}",
        endpoint(SERVING[_name], False, DOCKER),
        "engine",
    )
