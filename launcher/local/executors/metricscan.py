"""Metric definitions against the lines of a log (contract 113, 115)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from launcher.local.host.faults import client_fault
from launcher.local.records.records import Metric


class MetricScanner:
    """Keeps the last value of every metric.

    Args:
        definitions: ``MetricDefinitions`` of a request: Name and Regex, whose first group is the value.

    Raises:
        JobFault: an expression is no regular expression.
    """

    def __init__(self, definitions: Iterable[Mapping[str, str]]) -> None:
        self._expressions = [(entry["Name"], _compiled(entry)) for entry in definitions]
        self._latest: dict[str, Metric] = {}

    def scan(self, line: str, at: float) -> bool:
        """Look at one line that was written at ``at`` (seconds since 1970); whether it held a value."""
        found = False
        for name, expression in self._expressions:
            match = expression.search(line)
            if match is None:
                continue
            try:
                value = float(match.group(1) if expression.groups else match.group(0))
            except (TypeError, ValueError):
                continue
            # The API's numbers know neither NaN nor infinity.
            if math.isfinite(value):
                self._latest[name] = Metric(name, value, at)
                found = True
        return found

    @property
    def latest(self) -> tuple[Metric, ...]:
        """Last values, in the order of the definitions."""
        return tuple(self._latest[name] for name, _ in self._expressions if name in self._latest)


def _compiled(entry: Mapping[str, str]) -> re.Pattern[str]:
    try:
        return re.compile(entry["Regex"])
    except re.error as error:
        raise client_fault(f"metric '{entry['Name']}': '{entry['Regex']}' is no regular expression: {error}") from error
