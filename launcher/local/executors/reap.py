"""What a dead shim left behind: its container or its processes, and its sockets."""

from __future__ import annotations

from batchrl.contract.errors import InputError
from launcher.local.address import Identity
from launcher.local.executors.base import DOCKER, PROCESS, instance_name
from launcher.local.executors.process import kill_processes
from launcher.local.home import HomePaths
from launcher.local.records import JobRecord
from launcher.local.sockets import socket_path


def reap(home: HomePaths, record: JobRecord) -> None:
    """End and remove whatever runs for a job whose shim is gone; nothing is an error.

    Args:
        home: the data folder.
        record: the job.
    """
    if record.executor == PROCESS:
        for root in home.job(record.key).roots(record.instances):
            kill_processes(root)
    elif record.executor == DOCKER:
        from launcher.local.executors.docker import remove_containers

        remove_containers(home, record.key)
        _remove_sockets(home, record)


def _remove_sockets(home: HomePaths, record: JobRecord) -> None:
    try:
        identity = Identity.read(home.cloud_file)
    except InputError:
        return
    if identity is None:
        return
    for instance in range(1, record.instances + 1):
        for port in (identity.door_port, identity.store_port):
            socket_path(home, instance_name(record.key, instance), port).unlink(missing_ok=True)
