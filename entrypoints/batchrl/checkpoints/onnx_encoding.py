"""An encoding as a torch module whose graph ONNX can hold: cells of raw records as numbers in, features out.

The arithmetic is that of ``batchrl.data.encoding``, in float64 as there, written again with operations that ONNX has.
``onnx_texts`` makes the numbers of texts; both go by the layout of ``Cells``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from batchrl.data.encoding import DAY, CategoryFeature, DateFeature, Encoding, Feature, NumberFeature

# What stands for a date: how it was written, seconds since 1970 where it was a number, and the parts of a text.
DATE_CELLS = ("form", "seconds", "year", "month", "day", "hour", "minute", "second", "east", "east_m", "west", "west_m")
# How it was written; 0 for what is none.
NO_DATE, DATED, COUNTED = 1, 2, 3
DAYS_OF_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# From the first of March of the year 0 to the first of January 1970.
DAYS_BEFORE_1970 = 719_468


@dataclass(frozen=True)
class Cells:
    """Where the cells of each column stand in a row of numbers, and its features among all features.

    A number has one cell, ``nan`` where there is none. A category has one, the place of its feature among its own, or
    its number of features where it has none. A date has ``DATE_CELLS``.

    Args:
        encoding: of the columns.
    """

    encoding: Encoding

    @staticmethod
    def width(feature: Feature) -> int:
        """Number of cells of a column."""
        return len(DATE_CELLS) if isinstance(feature, DateFeature) else 1

    @cached_property
    def total(self) -> int:
        """Number of cells of a row."""
        return sum(self.width(feature) for feature in self.encoding.features)

    def of(self, kind: type[Feature]) -> list[tuple[Any, int, int]]:
        """The features of a kind, each with its first cell and the place of the first of what it becomes."""
        found, cell, place = [], 0, 0
        for feature in self.encoding.features:
            if isinstance(feature, kind):
                found.append((feature, cell, place))
            cell += self.width(feature)
            place += len(feature.names)
        return found


class EncodingGraph(nn.Module):
    """The features of raw records.

    Args:
        encoding: what becomes of the columns.
    """

    order: Tensor

    def __init__(self, encoding: Encoding) -> None:
        super().__init__()
        cells = Cells(encoding)
        kinds: list[NumbersGraph | CategoriesGraph | DatesGraph] = []
        if numbers := cells.of(NumberFeature):
            kinds.append(NumbersGraph(numbers))
        if categories := cells.of(CategoryFeature):
            kinds.append(CategoriesGraph(categories))
        if dates := cells.of(DateFeature):
            kinds.append(DatesGraph(dates))
        self.kinds = nn.ModuleList(kinds)
        places = [place for graph in kinds for place in graph.places]
        _hold(self, order=np.argsort(places).tolist())

    def forward(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Of cells ``[B, C]`` in float64, features ``[B, D]`` in float32, and ``[B]`` which rows could be read.

        The features of a row that could not be read are 0.
        """
        features = torch.cat([graph(cells) for graph in self.kinds], dim=1)[:, self.order].float()
        readable = features.isfinite().all(dim=1)
        return torch.where(readable.unsqueeze(1), features, 0.0), readable


class NumbersGraph(nn.Module):
    """The features of all numbers.

    Args:
        found: see ``Cells.of``.
    """

    cells: Tensor
    means: Tensor
    offsets: Tensor
    telling: Tensor

    def __init__(self, found: list[tuple[NumberFeature, int, int]]) -> None:
        super().__init__()
        telling = [number for number, (feature, _, _) in enumerate(found) if feature.missing]
        self.places = [place for _, _, place in found] + [found[number][2] + 1 for number in telling]
        _hold(
            self,
            cells=[cell for _, cell, _ in found],
            means=[float(feature.mean) for feature, _, _ in found],
            offsets=[float(feature.offset) for feature, _, _ in found],
            telling=telling,
        )

    def forward(self, cells: Tensor) -> Tensor:
        """Features ``[B, k]``, in the order of ``places``."""
        values = cells[:, self.cells]
        nothing = values.isnan()
        known = torch.where(nothing, self.means, values) - self.offsets
        return torch.cat([known, nothing[:, self.telling].double()], dim=1)


class CategoriesGraph(nn.Module):
    """The features of all categories.

    Args:
        found: see ``Cells.of``.
    """

    cells: Tensor
    codes: Tensor

    def __init__(self, found: list[tuple[CategoryFeature, int, int]]) -> None:
        super().__init__()
        own = [(cell, place, number) for feature, cell, place in found for number in range(len(feature.names))]
        self.places = [place + number for _, place, number in own]
        _hold(self, cells=[cell for cell, _, _ in own], codes=[float(number) for _, _, number in own])

    def forward(self, cells: Tensor) -> Tensor:
        """Features ``[B, k]``, in the order of ``places``."""
        return (cells[:, self.cells] == self.codes).double()


class DatesGraph(nn.Module):
    """The features of all dates.

    Args:
        found: see ``Cells.of``.
    """

    cells: Tensor
    means: Tensor
    starts: Tensor
    clocks: Tensor
    telling: Tensor
    lengths: Tensor

    def __init__(self, found: list[tuple[DateFeature, int, int]]) -> None:
        super().__init__()
        telling = [number for number, (feature, _, _) in enumerate(found) if feature.missing]
        clocks = [number for number, (feature, _, _) in enumerate(found) if feature.clock]
        first = [place for _, _, place in found]
        self.places = [
            *first,
            *(place + 1 for place in first),
            *(place + 2 for place in first),
            *(first[number] + 3 for number in clocks),
            *(first[number] + 4 for number in clocks),
            *(first[number] + len(found[number][0].names) - 1 for number in telling),
        ]
        self._count = len(found)
        _hold(
            self,
            cells=[cell + number for number in range(len(DATE_CELLS)) for _, cell, _ in found],
            means=[float(feature.mean) for feature, _, _ in found],
            starts=[float(feature.start) for feature, _, _ in found],
            clocks=clocks,
            telling=telling,
            lengths=[float(days) for days in DAYS_OF_MONTHS],
        )

    def forward(self, cells: Tensor) -> Tensor:
        """Features ``[B, k]``, in the order of ``places``; ``nan`` where a text is no date."""
        form, number, year, month, day, *clock = (
            cells[:, self.cells].reshape(-1, len(DATE_CELLS), self._count).unbind(1)
        )
        leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
        length = self.lengths[month.long() - 1] + (leap & (month == 2)).double()
        exists = (year >= 1) & (day <= length)
        hour, minute, second, east, east_minutes, west, west_minutes = clock
        dated = days_since_1970(year, month, day) * DAY + (hour - east + west) * 3600
        dated = dated + (minute - east_minutes + west_minutes) * 60 + second
        seconds = torch.where(form == COUNTED, number, torch.where((form == DATED) & exists, dated, torch.nan))
        nothing = form == NO_DATE
        days = (torch.where(nothing, self.means, seconds) - self.starts) / DAY
        weekday, clock_share = ((seconds / DAY).floor() + 3) % 7 / 7, (seconds % DAY / DAY)[:, self.clocks]
        turns = []
        for share, empty in ((weekday, nothing), (clock_share, nothing[:, self.clocks])):
            turns += [torch.where(empty, 0.0, turn) for turn in ((2 * np.pi * share).sin(), (2 * np.pi * share).cos())]
        return torch.cat([days, *turns, nothing[:, self.telling].double()], dim=1)


def days_since_1970(year: Tensor, month: Tensor, day: Tensor) -> Tensor:
    """Days from the first of January 1970 to a date of the Gregorian calendar, whose years are counted from March."""
    early = (month <= 2).double()
    year, month = year - early, month - 3 + 12 * early
    of_months = ((153 * month + 2) / 5).floor()
    of_years = 365 * year + (year / 4).floor() - (year / 100).floor() + (year / 400).floor()
    return of_years + of_months + day - 1 - DAYS_BEFORE_1970


def _hold(module: nn.Module, **lists: list[int] | list[float]) -> None:
    """Lists as tensors that a module holds under their names: int64 or float64."""
    for name, values in lists.items():
        floats = any(isinstance(value, float) for value in values)
        module.register_buffer(name, torch.tensor(values, dtype=torch.float64 if floats else torch.int64))
