"""CRC-32C and CRC-64/NVME, which the standard library lacks, over arrays: many lanes of a buffer at a time.

A CRC is linear: the register after a message is the exclusive or of what its parts leave, each moved on by the bytes
that follow it. So the lanes of a buffer are taken side by side, eight bytes a step, and joined in pairs.

Source: the reflected polynomials and check values of the RevEng catalogue (CRC-32/ISCSI, CRC-64/NVME).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

POLYNOMIALS = {"crc32c": (0x82F63B78, 32), "crc64nvme": (0x9A6C9329AC4BC9B5, 64)}
LANE_BYTES = 64

Words = NDArray[np.uint64]


class Crc:
    """One of these CRCs with the interface of hashlib.

    Args:
        algorithm: one of ``POLYNOMIALS``.
    """

    def __init__(self, algorithm: str) -> None:
        self._polynomial, self._bits = POLYNOMIALS[algorithm]
        self._ones = (1 << self._bits) - 1
        self._register = self._ones
        self._bytes = [int(one) for one in _byte_table(self._polynomial)]

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""
        whole = len(data) // LANE_BYTES * LANE_BYTES
        if whole >= 2 * LANE_BYTES:
            self._register = _lanes(self._polynomial, self._register, data[:whole])
        else:
            whole = 0
        register, table = self._register, self._bytes
        for byte in data[whole:]:
            register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
        self._register = register

    def digest(self) -> bytes:
        """Its bytes, the highest first."""
        return (self._register ^ self._ones).to_bytes(self._bits // 8, "big")


def _lanes(polynomial: int, register: int, data: bytes) -> int:
    """The register after a number of whole lanes."""
    words = np.frombuffer(data, "<u8").reshape(-1, LANE_BYTES // 8)
    count = 1 << (len(words) - 1).bit_length()
    states = np.zeros(count, np.uint64)
    first = count - len(words)  # lanes of nothing before the first leave nothing
    states[first] = register
    tables = _step_tables(polynomial)
    live = states[first:]
    for column in range(words.shape[1]):
        live = _step(tables, live ^ words[:, column])
    states[first:] = live
    level = 0
    while len(states) > 1:
        states = _moved(_move_table(polynomial, level), states[0::2]) ^ states[1::2]
        level += 1
    return int(states[0])


def _step(tables: Words, words: Words) -> Words:
    """Registers after eight bytes each, of which the first have been combined with the register before."""
    halves = np.ascontiguousarray(words).view("<u2").reshape(-1, 4)
    found: Words = tables[0][halves[:, 0]]
    for place in range(1, 4):
        found ^= tables[place][halves[:, place]]
    return found


def _moved(table: Words, states: Words) -> Words:
    """Registers moved on by the bytes of a table."""
    parts = np.ascontiguousarray(states).view("u1").reshape(-1, 8)
    found: Words = table[0][parts[:, 0]]
    for place in range(1, 8):
        found ^= table[place][parts[:, place]]
    return found


@functools.cache
def _byte_table(polynomial: int) -> Words:
    """The register after one byte."""
    table = np.arange(256, dtype=np.uint64)
    for _ in range(8):
        table = np.where(table & np.uint64(1), (table >> np.uint64(1)) ^ np.uint64(polynomial), table >> np.uint64(1))
    return table


@functools.cache
def _step_tables(polynomial: int) -> Words:
    """The register after eight bytes of which two are not zero, by their place and value: ``[4, 65536]``."""
    single, values = _byte_table(polynomial), np.arange(65_536, dtype=np.uint64)
    tables = []
    for place in range(4):
        message, register = values << np.uint64(16 * place), np.zeros(65_536, np.uint64)
        for byte in range(8):
            index = (register ^ (message >> np.uint64(8 * byte))) & np.uint64(0xFF)
            register = single[index] ^ (register >> np.uint64(8))
        tables.append(register)
    return np.stack(tables)


@functools.cache
def _move_table(polynomial: int, level: int) -> Words:
    """What a byte of a register becomes ``LANE_BYTES * 2**level`` bytes later, by its place and value: ``[8, 256]``."""
    if level:
        half = _move_table(polynomial, level - 1)
        return np.stack([_moved(half, row) for row in half])
    table = np.stack([np.arange(256, dtype=np.uint64) << np.uint64(8 * place) for place in range(8)])
    for _ in range(LANE_BYTES // 8):
        table = np.stack([_step(_step_tables(polynomial), row) for row in table])
    return table
