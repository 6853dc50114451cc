"""How the model server in a container is reached from this machine (contract 130, 178).

===================  =======================================================================================
the program          its network, and the way to its port 8080
===================  =======================================================================================
no model server      the network of jobs; none at all under network isolation
a model server       the network of jobs; its address there, or, where the engine is rootless and its
                     networks cannot be seen from here, a published port of loopback
the same, isolated   a network of its own without a way out; its address there
===================  =======================================================================================

The network of jobs is one bridge for all containers of an engine, made when it is first needed and left there: they
reach the world by it, and not each other. Where an engine cannot keep them apart, each has a network of its own.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.errors

from launcher.local.executors.address import ServerAddress
from launcher.local.executors.base import Program
from launcher.local.executors.client import Client, Engine
from launcher.local.host.faults import client_fault
from launcher.local.host.processes import ProcessId

SERVER_PORT = 8080
SHARED_NAME = "batchrl-jobs"
NETWORK_LABEL = "org.batchrl.network"
# The bridge's own setting: whether containers on it reach each other.
_APART, _APART_VALUE = "com.docker.network.bridge.enable_icc", "false"
LOOPBACK = "127.0.0.1"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """The network of one container.

    Args:
        mode: as the engine spells it: the id of a network, or ``none``.
        own: id of a network that was made for the container alone.
        published: whether its port is published on loopback.
    """

    mode: str
    own: str | None = None
    published: bool = False

    @classmethod
    def of(cls, engine: Engine, program: Program, name: str, labels: Mapping[str, str]) -> Network:
        """The network that a program needs; one of its own is made here.

        Raises:
            JobFault: an isolated model server on a rootless engine cannot be reached.
        """
        if not program.isolated:
            published = program.serves and engine.rootless
            if shared := _shared(engine.client):
                return cls(mode=shared, published=published)
            own = _made(engine.client, name, labels)
            return cls(mode=own, own=own, published=published)
        if not program.serves:
            return cls(mode="none")
        if engine.rootless:
            raise client_fault(
                "EnableNetworkIsolation: a rootless engine gives no way to a model server without a network. "
                "Use a model without isolation, or instance type 'local_process'."
            )
        own = _made(engine.client, name, labels, internal=True)
        return cls(mode=own, own=own)

    @property
    def port_bindings(self) -> dict[int | str, Any] | None:
        """What the host configuration says of ports: the engine chooses a free one of loopback."""
        return {SERVER_PORT: (LOOPBACK, None)} if self.published else None

    def address(self, client: Client, container: str) -> ServerAddress | None:
        """Where a started container's server listens; None if it has ended already, and with it its address."""
        seen = client.inspect_container(container)
        holder = _first_process(seen)
        if holder is None and not client.inspect_container(container)["State"]["Running"]:
            return None
        settings = seen["NetworkSettings"]
        if self.published:
            bindings = settings["Ports"].get(f"{SERVER_PORT}/tcp")
            return ServerAddress.tcp(LOOPBACK, int(bindings[0]["HostPort"]), holder) if bindings else None
        networks = settings["Networks"].values()
        address = next((network["IPAddress"] for network in networks if network["IPAddress"]), None)
        return ServerAddress.tcp(address, SERVER_PORT, holder) if address else None

    def remove(self, client: Client) -> None:
        """Remove the network that was made for the container; its container is gone."""
        if self.own is not None:
            with contextlib.suppress(docker.errors.NotFound):
                client.remove_network(self.own)


def _shared(client: Client) -> str | None:
    """The id of the network of jobs; None where the engine cannot keep its containers apart."""
    if found := _found(client):
        return found
    try:
        return _made(client, SHARED_NAME, {NETWORK_LABEL: "1"}, options={_APART: _APART_VALUE})
    except docker.errors.APIError as error:
        if found := _found(client):  # another job was faster
            return found
        log.warning("the engine makes no network whose containers are kept apart: %s", error.explanation)
        return None


def _found(client: Client) -> str | None:
    for network in client.networks(filters={"label": f"{NETWORK_LABEL}=1"}):
        if (network.get("Options") or {}).get(_APART) == _APART_VALUE and network.get("Driver") == "bridge":
            return str(network["Id"])
    return None


def _made(client: Client, name: str, labels: Mapping[str, str], **settings: Any) -> str:
    made: dict[str, Any] = client.create_network(
        name, driver="bridge", check_duplicate=True, labels=dict(labels), **settings
    )
    return str(made["Id"])


def _first_process(seen: dict[str, Any]) -> ProcessId | None:
    """PID 1 of a container; None if it has ended, or if the engine's processes are none of this machine's."""
    pid = int(seen["State"]["Pid"])
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return None
    return ProcessId.of(pid) if seen["Id"] in groups else None


def remove_networks(client: Client, labels: list[str]) -> None:
    """Remove the networks with all of these labels, whose containers are gone."""
    for network in client.networks(filters={"label": labels}):
        with contextlib.suppress(docker.errors.APIError):
            client.remove_network(network["Id"])
