"""A policy that answers from another process: batches of states go out, rows of probabilities come back.

Simulators live on the side of jobs, the clients of a cloud on the side of the launcher, and neither imports the other.
A socket pair joins them. One frame is a kind, the numbers of rows and columns, and then as many doubles, row after row;
the frame of a refusal holds text instead. The side with the simulator asks, and every question gets one answer.
"""

from __future__ import annotations

import socket
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from batchrl.contract.errors import DamagedContent

STATES, PROBABILITIES, REFUSAL = b"s", b"p", b"r"
KINDS = (STATES, PROBABILITIES, REFUSAL)
_HEADER = struct.Struct("=cII")
_DOUBLE = 8


@dataclass(frozen=True)
class Frame:
    """One message.

    Args:
        kind: ``STATES``, ``PROBABILITIES`` or ``REFUSAL``.
        rows, columns: of the matrix; of a refusal, the bytes of its text and 1.
        payload: doubles in this machine's order, or text in UTF-8.
    """

    kind: bytes
    rows: int
    columns: int
    payload: bytes

    @classmethod
    def of_rows(cls, kind: bytes, rows: Sequence[Sequence[float]]) -> Frame:
        """A matrix; its rows are of one length."""
        return cls(kind, len(rows), len(rows[0]) if rows else 0, array("d", chain.from_iterable(rows)).tobytes())

    @classmethod
    def of_refusal(cls, text: str) -> Frame:
        """Why there is no answer."""
        payload = text.encode()
        return cls(REFUSAL, len(payload), 1, payload)

    def to_rows(self) -> list[list[float]]:
        """The matrix."""
        numbers, width = array("d", self.payload).tolist(), self.columns
        return [numbers[row * width : (row + 1) * width] for row in range(self.rows)]

    @property
    def text(self) -> str:
        """Of a refusal."""
        return self.payload.decode()


def send(connection: socket.socket, frame: Frame) -> None:
    """Send one frame.

    Raises:
        OSError: the other side has gone.
    """
    connection.sendall(_HEADER.pack(frame.kind, frame.rows, frame.columns) + frame.payload)


def receive(connection: socket.socket) -> Frame | None:
    """The next frame; None where the other side has closed the connection instead.

    Raises:
        DamagedContent: the connection ended within a frame, or what came is none.
    """
    header = _read(connection, _HEADER.size)
    if not header:
        return None
    if len(header) < _HEADER.size:
        raise DamagedContent("the connection to a policy ended within a message.")
    kind, rows, columns = _HEADER.unpack(header)
    if kind not in KINDS:
        raise DamagedContent(f"the connection to a policy carries something else: {header!r}.")
    size = rows if kind == REFUSAL else rows * columns * _DOUBLE
    payload = _read(connection, size)
    if len(payload) < size:
        raise DamagedContent("the connection to a policy ended within a message.")
    return Frame(kind, rows, columns, payload)


def _read(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer where the connection ends."""
    content = bytearray(size)
    view, received = memoryview(content), 0
    while received < size:
        count = connection.recv_into(view[received:])
        if count == 0:
            break
        received += count
    return bytes(view[:received])
