"""Calls in threads, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def run_all(calls: Iterable[Callable[[], Result]], threads: int, name: str) -> list[Result]:
    """Run calls in parallel; what one raises, Ctrl-C too, cancels those that have not begun.

    Args:
        calls: what to run.
        threads: at most so many at once.
        name: of the threads.

    Returns:
        The results, in the order of the calls.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix=name) as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
