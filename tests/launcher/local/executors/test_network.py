"""Where the server in a container is reached, as an engine tells it."""

from __future__ import annotations

import os

import pytest

from launcher.local.executors.address import ServerAddress
from launcher.local.executors.network import Network

BOUND = {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "49153"}]}


class Client:
    """An engine whose processes are somewhere else, as those of a virtual machine are."""

    def __init__(self, address, ports, running=True):
        settings = {"Networks": {"bridge": {"IPAddress": address}}, "Ports": ports}
        state = {"Pid": os.getpid(), "Running": running}
        self._seen = {"Id": "0a1b2c3d" * 8, "NetworkSettings": settings, "State": state}

    def inspect_container(self, container):
        return self._seen


@pytest.mark.parametrize(
    ("network", "client", "address"),
    [
        (Network("id"), Client("172.17.0.2", {}), ServerAddress.tcp("172.17.0.2", 8080)),
        (Network("id", published=True), Client("", BOUND), ServerAddress.tcp("127.0.0.1", 49153)),
        # A container that has ended has no address, and no ports either; or it ended while it was looked at.
        (Network("id"), Client("172.17.0.2", {}, running=False), None),
        (Network("id"), Client("", {}), None),
        (Network("id", published=True), Client("", {}), None),
        (Network("id", published=True), Client("", {"8080/tcp": None}), None),
    ],
)
def test_B130_the_address_of_a_container(network, client, address):
    assert network.address(client, "id") == address
