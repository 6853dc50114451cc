"""How the model server in a container is reached from this machine (contract 130, 178).

===================  =======================================================================================
the program          its network, and the way to its port 8080
===================  =======================================================================================
no model server      the engine's own network; none at all under network isolation
a model server       the engine's own network; its address there, or, where the engine is rootless and its
                     networks cannot be seen from here, a published port of loopback
the same, isolated   a network of its own without a way out; its address there
===================  =======================================================================================
"""

from __future__ import annotations

import contextlib
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
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Network:
    """The network of one container.

    Args:
        mode: as the engine spells it; None for its default.
        own: id of a network that was made for the container alone.
        published: whether its port is published on loopback.
    """

    mode: str | None = None
    own: str | None = None
    published: bool = False

    @classmethod
    def of(cls, engine: Engine, program: Program, name: str, labels: Mapping[str, str]) -> Network:
        """The network that a program needs; one of its own is made here.

        Raises:
            JobFault: an isolated model server on a rootless engine cannot be reached.
        """
        if not program.serves:
            return cls(mode="none" if program.isolated else None)
        if not program.isolated:
            return cls(published=engine.rootless)
        if engine.rootless:
            raise client_fault(
                "EnableNetworkIsolation: a rootless engine gives no way to a model server without a network. "
                "Use a model without isolation, or instance type 'local_process'."
            )
        made: dict[str, Any] = engine.client.create_network(name, internal=True, labels=dict(labels))
        return cls(mode=name, own=str(made["Id"]))

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
