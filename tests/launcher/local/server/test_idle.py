"""A cloud that nobody needs leaves after half an hour."""

from __future__ import annotations

import pytest

from launcher.local.server.idle import IDLE_SECONDS, IdleWatch


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_half_an_hour_without_anything_ends_it(clock: Clock) -> None:
    watch = IdleWatch(lambda: False, clock=clock)
    clock.now += IDLE_SECONDS - 1
    assert not watch.expired()
    clock.now += 1
    assert watch.expired()


def test_a_request_starts_the_half_hour_again(clock: Clock) -> None:
    watch = IdleWatch(lambda: False, clock=clock)
    clock.now += IDLE_SECONDS - 1
    watch.touch()
    clock.now += IDLE_SECONDS - 1
    assert not watch.expired()


def test_a_job_of_hours_keeps_it_and_gives_half_an_hour_after_its_end(clock: Clock) -> None:
    busy = True
    watch = IdleWatch(lambda: busy, clock=clock)
    clock.now += 10 * IDLE_SECONDS
    assert not watch.expired()
    busy = False
    assert not watch.expired()
    clock.now += IDLE_SECONDS
    assert watch.expired()


def test_whoever_uses_the_store_is_asked_for_only_at_the_end(clock: Clock) -> None:
    asked = []

    def in_use() -> bool:
        asked.append(clock.now)
        return len(asked) == 1

    watch = IdleWatch(lambda: False, in_use, clock=clock)
    clock.now += IDLE_SECONDS / 2
    assert not watch.expired()
    assert asked == []
    clock.now += IDLE_SECONDS / 2
    assert not watch.expired()
    clock.now += IDLE_SECONDS
    assert watch.expired()
