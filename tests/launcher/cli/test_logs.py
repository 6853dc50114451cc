"""``batchrl logs``: each line as it is, few writes for many of them, and what was read before a fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from batchrl.contract.errors import Unreachable
from launcher.cli.commands import logs

LINES = [f"line {number}" for number in range(2500)]


class Handle:
    """A job whose log breaks off where that is asked for."""

    def __init__(self, *, breaks: bool) -> None:
        self._breaks = breaks

    def logs(self, follow: bool, tail: int | None) -> Iterator[str]:
        yield from LINES
        if self._breaks:
            raise Unreachable("the cloud has gone")


@pytest.mark.parametrize("breaks", [False, True])
@pytest.mark.parametrize("options", [[], ["-f"]])
def test_every_line_is_printed_whatever_comes_after_it(monkeypatch, breaks, options):
    monkeypatch.setattr(logs, "find_handle", lambda *_: Handle(breaks=breaks))
    ended = CliRunner().invoke(logs.command, ["job", *options])
    assert ended.output.splitlines() == LINES
    assert isinstance(ended.exception, Unreachable) == breaks


@pytest.mark.parametrize(("options", "most"), [([], 3), (["-f"], len(LINES))])
def test_a_log_that_is_not_followed_takes_few_writes(monkeypatch, options, most):
    monkeypatch.setattr(logs, "find_handle", lambda *_: Handle(breaks=False))
    writes: list[str] = []
    monkeypatch.setattr(logs.click, "echo", writes.append)
    CliRunner().invoke(logs.command, ["job", *options])
    assert len(writes) == most
    assert "\n".join(writes).split("\n") == LINES
