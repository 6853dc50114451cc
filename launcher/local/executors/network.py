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
from typing import Any

import docker.errors

from launcher.local.executors.base import Program
from launcher.local.executors.engine import Client, Engine
from launcher.local.faults import client_fault
from launcher.local.serving.address import ServerAddress

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

    def address(self, client: Client, container: str) -> ServerAddress:
        """Where a started container's server listens."""
        settings = client.inspect_container(container)["NetworkSettings"]
        if self.published:
            return ServerAddress.tcp(LOOPBACK, int(settings["Ports"][f"{SERVER_PORT}/tcp"][0]["HostPort"]))
        networks = settings["Networks"].values()
        address = next((network["IPAddress"] for network in networks if network["IPAddress"]), "")
        return ServerAddress.tcp(address, SERVER_PORT)

    def remove(self, client: Client) -> None:
        """Remove the network that was made for the container; its container is gone."""
        if self.own is not None:
            with contextlib.suppress(docker.errors.NotFound):
                client.remove_network(self.own)


def remove_networks(client: Client, labels: list[str]) -> None:
    """Remove the networks with all of these labels, whose containers are gone."""
    for network in client.networks(filters={"label": labels}):
        with contextlib.suppress(docker.errors.APIError):
            client.remove_network(network["Id"])
