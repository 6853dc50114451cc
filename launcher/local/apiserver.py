"""The client's side of a data folder's API server: found, asked, started, ended.

A process that is alive is waited for as long as it gets on: a slow machine is no fault. One that has ended is told at
once, and one that does nothing is ended and told.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from batchrl.contract.errors import InputError, Unreachable
from batchrl.contract.files import write_atomically
from launcher.base import lock, notices
from launcher.local.host.address import DamagedFile, Identity, StoreSettings
from launcher.local.host.home import HomePaths
from launcher.local.host.logfile import last_lines
from launcher.local.host.processes import POLL_SECONDS, Activity, ProcessId, spawn_detached
from launcher.local.host.role import lock_holder
from launcher.local.host.shell import SDK_CONFIG
from launcher.local.host.store import end_store
from launcher.local.host.version import fingerprint
from launcher.local.records.records import SCHEMA_VERSION
from launcher.local.server import probe

SERVER_STOP_SECONDS = 10.0
# A process that neither computes nor reads nor writes for so long is given up.
STILL_SECONDS = 60.0
# An API server that is up, but has not answered for so long, is replaced; its jobs do not notice.
ANSWER_SECONDS = 60.0
# After so long, the user is told what is waited for.
SILENT_SECONDS = 5.0


def answer(paths: HomePaths, patience: float = SILENT_SECONDS) -> tuple[Identity, probe.ServerVersion] | None:
    """Ask the API server of a data folder; None when none runs, or none of ours has answered in time.

    Whoever else may listen at its port is not asked while no API server runs. A server puts back the files that it
    finds lost or spoilt within two seconds.

    Args:
        paths: the data folder.
        patience: how long a process that is alive may take, in seconds.

    Raises:
        InputError: cloud.json is another user's, or can be read by others.
    """
    process = paths.server.player()
    deadline, said = time.monotonic() + patience, time.monotonic() + SILENT_SECONDS
    while process is not None and process.alive:
        identity = stored_identity(paths)
        if identity is not None and (found := probe.ask(identity)) is not None:
            return identity, found
        if time.monotonic() >= deadline:
            return None
        if time.monotonic() >= said:
            said = deadline
            notices.say(f"The API server of the local cloud (process {process.pid}) is slow to answer; waiting.")
        time.sleep(POLL_SECONDS)
    return None


def stored_identity(paths: HomePaths) -> Identity | None:
    """What cloud.json says; None where it is lost or damaged.

    Raises:
        InputError: it is another user's, or can be read by others.
    """
    try:
        return Identity.read(paths.cloud_file)
    except DamagedFile:
        return None


def current(paths: HomePaths, patience: float = SILENT_SECONDS) -> Identity | None:
    """The identity of a cloud that is up and runs our code; see ``answer``.

    Raises:
        InputError: its records are newer than ours.
    """
    answered = answer(paths, patience)
    if answered is None:
        return None
    identity, found = answered
    if found.schema > SCHEMA_VERSION:
        raise InputError(
            f"the local cloud in {paths.root} runs a newer batchrl ({found.version}) than this one.",
            "Update batchrl, or set BATCHRL_HOME to another folder.",
        )
    settings = StoreSettings.read(paths.settings)
    same_store = found.store == (settings.endpoint_url if settings else "embedded")
    return identity if found.fingerprint == fingerprint() and same_store else None


def start(paths: HomePaths) -> Identity:
    """Start an API server, and wait until it answers.

    Raises:
        InputError: the credentials of an external store are missing.
        Unreachable: its process ended, or does nothing; the message holds the end of its log.
    """
    identity = _identity_to_use(paths)
    identity.address(paths)  # an external store without credentials is the user's mistake: say so here
    write_atomically(paths.sdk_config, SDK_CONFIG, shared=True, private=True)
    child = spawn_detached(
        (sys.executable, "-m", "launcher.local.server.process", "--home", str(paths.root)), paths.server_log
    )
    activity, said = Activity(child.pid), time.monotonic() + SILENT_SECONDS
    while child.poll() is None and activity.still_for() < STILL_SECONDS:
        # Read again: an API server whose port was taken stores another one.
        if (ours := _answer_of(child.pid, paths)) is not None:
            return ours
        if time.monotonic() >= said:
            said = time.monotonic() + STILL_SECONDS
            notices.say(f"The local cloud is starting (process {child.pid}, log {paths.server_log}); waiting.")
        time.sleep(POLL_SECONDS)
    what = "ended" if child.poll() is not None else f"did nothing for {STILL_SECONDS:.0f} s"
    _give_up(child)
    raise Unreachable(
        f"the local cloud in {paths.root} does not start: its process {what}: {last_lines(paths.server_log)}",
        f"Its log is {paths.server_log}",
    )


def _answer_of(pid: int, paths: HomePaths) -> Identity | None:
    named = ProcessId.read(paths.server_process)
    identity = stored_identity(paths)
    if named is None or named.pid != pid or identity is None:
        return None
    return identity if probe.ask(identity) else None


def _identity_to_use(paths: HomePaths) -> Identity:
    """The data folder's identity; a new one where it is lost, since a store with the old keys opens to nobody."""
    try:
        identity = Identity.read(paths.cloud_file)
    except DamagedFile as error:
        aside = paths.cloud_file.with_name(f"{paths.cloud_file.name}.damaged")
        paths.cloud_file.replace(aside)
        notices.say(f"{error} It was moved to {aside}; the cloud has new ports and credentials.")
        identity = None
    if identity is None:
        end_store(paths)
        identity = Identity.create()
        identity.write(paths.cloud_file)
    return identity


def _give_up(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None and (process := ProcessId.of(child.pid)):
        process.end(SERVER_STOP_SECONDS)
        child.poll()


def end(paths: HomePaths) -> bool:
    """End the API server; whether one ran."""
    process = paths.server.player()
    if process is None:
        return False
    process.end(SERVER_STOP_SECONDS)
    paths.server.forget()
    return True


@contextmanager
def locked(paths: HomePaths) -> Iterator[None]:
    """Hold the data folder's lock: one start, stop or change at a time.

    Raises:
        Unreachable: the process that holds it does nothing.
    """
    holder: ProcessId | None = None
    activity = Activity(0)
    said = time.monotonic() + SILENT_SECONDS
    while (held := lock.take(paths.lock)) is None:
        if holder is None or not holder.alive:
            holder = lock_holder(paths.lock)
            activity = Activity(holder.pid if holder else 0)
        if activity.still_for() > STILL_SECONDS:
            process = f"process {holder.pid}" if holder else "a process that cannot be seen from here"
            raise Unreachable(
                f"{process} starts or stops the local cloud in {paths.root} and has done nothing for "
                f"{STILL_SECONDS:.0f} s.",
                "End it and try again.",
            )
        if time.monotonic() >= said and holder is not None:
            said = time.monotonic() + STILL_SECONDS
            notices.say(f"Process {holder.pid} starts or stops the local cloud; waiting for it.")
        time.sleep(POLL_SECONDS)
    with held:
        yield
