"""Frames between a simulator and whoever answers for its policy."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from batchrl.contract.asking import PROBABILITIES, REFUSAL, STATES, Frame, receive, send
from batchrl.contract.errors import DamagedContent


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_rows_arrive_as_they_were_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    rows = [[0.1, -2.5, 1e300], [float("inf"), 5e-324, 3.0]]
    send(pair[0], Frame.of_rows(STATES, rows))
    send(pair[0], Frame.of_rows(PROBABILITIES, []))
    send(pair[0], Frame.of_refusal("nein: ü"))
    first, second, third = (receive(pair[1]) for _ in range(3))
    assert first is not None and second is not None and third is not None
    assert (first.kind, first.rows, first.columns, first.to_rows()) == (STATES, 2, 3, rows)
    assert second.to_rows() == [] and (third.kind, third.text) == (REFUSAL, "nein: ü")


def test_a_frame_larger_than_a_sockets_buffer_arrives_whole(pair: tuple[socket.socket, socket.socket]) -> None:
    rows = [[float(number)] * 100 for number in range(5000)]
    sender = threading.Thread(target=send, args=(pair[0], Frame.of_rows(STATES, rows)))
    sender.start()
    found = receive(pair[1])
    sender.join()
    assert found is not None and found.to_rows() == rows


def test_a_closed_connection_is_no_frame_and_a_broken_one_is_an_error(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[0].sendall(b"s\x01\x00")
    pair[0].close()
    with pytest.raises(DamagedContent, match="ended within a message"):
        receive(pair[1])
    assert receive(pair[1]) is None


@pytest.mark.parametrize(
    ("sent", "says"), [(b"s" + bytes(7) + b"\x01", "ended within"), (b"x" + bytes(8), "something else")]
)
def test_what_is_no_frame_is_refused(pair: tuple[socket.socket, socket.socket], sent: bytes, says: str) -> None:
    pair[0].sendall(sent if sent[:1] == b"x" else Frame.of_rows(STATES, [[1.0]]).kind + b"\x01\0\0\0\x01\0\0\0" + b"12")
    pair[0].close()
    with pytest.raises(DamagedContent, match=says):
        receive(pair[1])
