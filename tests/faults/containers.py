"""Containers and networks of a cloud's jobs, as the engine's own command line tells them."""

from __future__ import annotations

import subprocess

from faults import targets
from faults.targets import Process
from launcher.local.executors.docker import HOME_LABEL, JOB_LABEL
from launcher.local.host.home import HomePaths


def ask(*arguments: str) -> str:
    """Run ``docker``; its output, empty where it failed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else ""


def leftovers(paths: HomePaths) -> list[str]:
    """Containers and networks of a cloud, in words."""
    label = f"label={HOME_LABEL}={paths.root}"
    containers = ask("ps", "-aq", "--filter", label).split()
    networks = ask("network", "ls", "-q", "--filter", label).split()
    return [f"container {one}" for one in containers] + [f"network {one}" for one in networks]


def of_job(paths: HomePaths, key: str) -> str | None:
    """Id of a job's running container."""
    arguments = ("ps", "-q", "--filter", f"label={HOME_LABEL}={paths.root}", "--filter", f"label={JOB_LABEL}={key}")
    return next(iter(ask(*arguments).split()), None)


def processes(paths: HomePaths, key: str) -> list[Process]:
    """The processes in a job's container, by their numbers on this machine."""
    container = of_job(paths, key)
    lines = ask("top", container, "-eo", "pid").splitlines()[1:] if container else []
    inside = {int(line) for line in lines if line.strip().isdigit()}
    return [one for one in targets.processes() if one.pid in inside]


def remove(paths: HomePaths) -> None:
    """Remove all of them."""
    for word in leftovers(paths):
        what, name = word.split()
        ask("rm", "-f", name) if what == "container" else ask("network", "rm", name)
