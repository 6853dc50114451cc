"""The guard that keeps tests on this machine."""

from __future__ import annotations

import os
import socket

import pytest
from loopback import NetworkInTest, is_local


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", None, b"localhost"])
def test_loopback_is_local(host: object) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["203.0.113.7", "s3.amazonaws.com", "169.254.169.254", "2001:db8::1"])
def test_everything_else_is_not(host: str) -> None:
    assert not is_local(host)


def test_a_connection_outwards_fails_with_its_address() -> None:
    with socket.socket() as connection, pytest.raises(NetworkInTest, match=r"203\.0\.113\.7"):
        connection.connect(("203.0.113.7", 80))


def test_a_look_up_of_a_name_outside_fails() -> None:
    with pytest.raises(NetworkInTest, match="example"):
        socket.getaddrinfo("host.example", 443)


def test_loopback_and_unix_sockets_work(tmp_path: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()[:2]):
        pass
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        path = f"{tmp_path}/s"
        server.bind(path)
        server.listen()
        client.connect(path)


def test_no_credentials_of_the_caller_are_visible() -> None:
    import botocore.session

    assert botocore.session.get_session().get_credentials() is None
    assert "AWS_PROFILE" not in os.environ
