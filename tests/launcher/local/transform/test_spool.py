"""Bodies in memory, or in files when there is too much of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from launcher.local.transform.spool import Memory, Spool

CHUNKS = st.lists(st.binary(max_size=9), max_size=12)


@given(CHUNKS, st.integers(0, 60))
def test_B142_a_body_is_what_was_put_in_wherever_it_lies(chunks, limit):
    memory = Memory(limit)
    spool = Spool(memory)
    for chunk in chunks:
        spool.append(chunk)
    assert list(spool) == list(spool) == chunks
    assert spool.size == sum(map(len, chunks))
    spool.close()
    assert list(spool) == []
    assert memory.take(limit)  # all was given back


@given(CHUNKS, CHUNKS)
def test_B142_all_bodies_together_take_no_more_memory_than_there_is(first, second):
    memory = Memory(30)
    spools = [Spool(memory), Spool(memory)]
    for spool, chunks in zip(spools, (first, second), strict=True):
        for chunk in chunks:
            spool.append(chunk)
    held = sum(spool.held for spool in spools)
    assert held <= 30
    assert memory.take(30 - held) and not memory.take(1)
    del spools, spool
    memory.give(30 - held)
    assert memory.take(30)


def test_what_was_closed_once_is_not_given_back_twice():
    memory = Memory(10)
    spool = Spool(memory)
    spool.append(b"12345")
    spool.close()
    spool.close()
    del spool
    assert memory.take(10) and not memory.take(1)
