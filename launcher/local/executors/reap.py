"""What a dead shim left behind: its containers or its processes, their sockets, and the trees of model servers."""

from __future__ import annotations

from batchrl.contract.errors import InputError
from launcher.api.constants import ENDPOINT
from launcher.local.executors.base import DOCKER, PROCESS, instance_name, server_socket_name
from launcher.local.executors.process import kill_processes
from launcher.local.host.address import Identity
from launcher.local.host.home import HomePaths
from launcher.local.host.sockets import socket_path
from launcher.local.host.trees import remove_tree
from launcher.local.records.jobrecord import PUBLISHING
from launcher.local.records.records import JobRecord


def reap(home: HomePaths, record: JobRecord) -> None:
    """End and remove whatever runs for a job whose shim is gone; nothing is an error.

    Args:
        home: the data folder.
        record: the job.
    """
    roots = home.job(record.key).roots(record.instances)
    # The variants of an endpoint may have executors of both kinds, and its record names one.
    if record.executor == PROCESS or record.kind == ENDPOINT:
        for root in roots:
            kill_processes(root)
        for instance in range(1, record.instances + 1):
            home.socket(server_socket_name(instance_name(record.key, instance))).unlink(missing_ok=True)
    if record.executor == DOCKER or record.kind == ENDPOINT:
        from launcher.local.executors.docker import remove_containers

        remove_containers(home, record.key)
        _remove_sockets(home, record)
    if record.kind not in PUBLISHING:
        for root in roots:
            remove_tree(root)


def _remove_sockets(home: HomePaths, record: JobRecord) -> None:
    try:
        identity = Identity.read(home.cloud_file)
    except InputError:
        return
    if identity is None:
        return
    for instance in range(1, record.instances + 1):
        for port in (identity.api_port, identity.store_port):
            socket_path(home, instance_name(record.key, instance), port).unlink(missing_ok=True)
