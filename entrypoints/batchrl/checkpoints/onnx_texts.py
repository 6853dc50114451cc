"""The columns of raw records as inputs of an ONNX graph, and their texts as numbers, by operations that ONNX has.

The result is one matrix of numbers, whose columns ``onnx_encoding.Cells`` lays out. A text of a category becomes the
place of its feature; a date in ISO 8601 is taken apart. Texts are told by regular expressions (RE2's), since ONNX knows
no other way to pass over the blanks around them.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from batchrl.checkpoints.onnx_encoding import COUNTED, DATE_CELLS, DATED, NO_DATE
from batchrl.contract.text import NULLS
from batchrl.data.encoding import CategoryFeature, DateFeature, Encoding, Feature

# The first that has all operations of texts.
OPSET = 20
BATCH = "batch"
CELLS = "cells"
ACTION_NAME = "action_name"
# What Python's str.strip takes away.
BLANK = r"[\x09-\x0d\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*"
DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
TIME = r"(?:[01]\d|2[0-3]):[0-5]\d"
MOMENT = rf"{DATE}(?:[T ]{TIME}(?::[0-5]\d(?:\.\d{{1,9}})?)?(?:Z|[+-]{TIME})?)?"
# Eight digits could be a date without dashes, and more than ten are no seconds of this era.
SECONDS = r"-?(?:\d{1,7}|\d{9,10})(?:\.\d{1,9})?"
SOME_DATE = "1970-01-01"


class CellsGraph:
    """The graph from columns to ``CELLS``, ``[batch, C]``.

    Args:
        onnx: the package.
        encoding: of the columns.
        names: of each column's input.
        prefix: of the names of the graph's own values.
    """

    def __init__(self, onnx: Any, encoding: Encoding, names: Mapping[str, str], prefix: str) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: dict[tuple[Any, ...], str] = {}
        self._prefix = prefix
        self._numbers = itertools.count()
        self.inputs, parts = [], []
        for feature in encoding.features:
            name = names[feature.column]
            self.inputs.append(onnx.helper.make_tensor_value_info(name, element_type(onnx, feature), [BATCH]))
            parts.append(self._cells(feature, name))
        cells = self._node("Concat", *parts, axis=1)
        self._nodes.append(onnx.helper.make_node("Identity", [cells], [prefix + CELLS]))

    def model(self, ir_version: int) -> Any:
        """The graph as a model that another one can follow."""
        helper, kind = self._onnx.helper, self._onnx.TensorProto.DOUBLE
        cells = helper.make_tensor_value_info(self._prefix + CELLS, kind, [BATCH, None])
        graph = helper.make_graph(self._nodes, "records", self.inputs, [cells])
        return helper.make_model(graph, ir_version=ir_version, opset_imports=[helper.make_opsetid("", OPSET)])

    def _cells(self, feature: Feature, name: str) -> str:
        if isinstance(feature, CategoryFeature):
            return self._column(self._code(name, feature))
        return self._date(name) if isinstance(feature, DateFeature) else self._column(name)

    def _code(self, texts: str, feature: CategoryFeature) -> str:
        """The place of the feature of texts ``[batch]`` among the category's own; their number for none.

        Known texts are numbered from 1. Which texts have a number with a certain bit, one regular expression tells.
        """
        known = [[level] for level in feature.levels]
        known.append([text for text in NULLS if text not in feature.places])
        numbers = []
        for bit in range(len(known).bit_length()):
            own = [re.escape(text) for number, of in enumerate(known, 1) if number >> bit & 1 for text in of]
            numbers.append(self._matching(texts, f"{BLANK}(?:{'|'.join(own)}){BLANK}", 1 << bit))
        none = len(feature.names)
        unseen = len(feature.levels) if feature.other else none
        places = [unseen, *feature.places_of(feature.levels).tolist()]
        table = self._constant([float(none if place < 0 else place) for place in places])
        return self._node("Gather", table, self._sum(numbers), axis=0)

    def _date(self, texts: str) -> str:
        """``DATE_CELLS`` of texts ``[batch]``."""
        empty = f"{BLANK}(?:{'|'.join(NULLS)}){BLANK}"
        forms = ((empty, NO_DATE), (MOMENT, DATED), (SECONDS, COUNTED))
        form = self._sum([self._matching(texts, pattern, number) for pattern, number in forms])
        dated = self._node("Where", self._matches(texts, MOMENT), texts, self._constant([SOME_DATE]))
        counted = self._node("Where", self._matches(texts, SECONDS), texts, self._constant(["0"]))
        # Of 2026-11-30T08:00:00+01:00 what stands before and behind each sign, from the outside to the inside.
        rest, clock = self._split(dated, "T", 2)
        day, spaced = self._split(rest, " ", 2)
        clock = self._node("StringConcat", clock, spaced)
        clock, _ = self._split(clock, "Z", 2)
        clock, east = self._split(clock, "+", 2)
        clock, west = self._split(clock, "-", 2)
        parts = [self._split(day, "-", 3), self._split(clock, ":", 3), self._split(east, ":", 2)]
        pieces = [counted, *(piece for part in parts for piece in part), *self._split(west, ":", 2)]
        written = self._node("Concat", *map(self._column, pieces), axis=1)
        nothing = self._node("Equal", written, self._constant([""]))
        written = self._node("Where", nothing, self._constant(["0"]), written)
        numbers = self._node("Cast", written, to=self._onnx.TensorProto.DOUBLE)
        assert len(pieces) + 1 == len(DATE_CELLS)
        form = self._node("Cast", form, to=self._onnx.TensorProto.DOUBLE)
        return self._node("Concat", self._column(form), numbers, axis=1)

    def _split(self, texts: str, sign: str, count: int) -> list[str]:
        """What stands between signs in texts ``[batch]``, ``count`` times ``[batch]``; empty where there is less."""
        pieces = self._next()
        self._nodes.append(
            self._onnx.helper.make_node(
                "StringSplit", [texts], [pieces, self._next()], delimiter=sign, maxsplit=count - 1
            )
        )
        # As wide as the longest of the batch: with so many empty ones behind it, it is wide enough.
        shape = self._node("Concat", self._node("Shape", texts), self._constant([count]), axis=0)
        padded = self._node("Concat", pieces, self._node("Expand", self._constant([""]), shape), axis=1)
        return [self._node("Gather", padded, self._constant(number), axis=1) for number in range(count)]

    def _matching(self, texts: str, pattern: str, value: int) -> str:
        """A value where texts match, 0 where not."""
        return self._node("Where", self._matches(texts, pattern), self._constant([value]), self._constant([0]))

    def _matches(self, texts: str, pattern: str) -> str:
        return self._node("RegexFullMatch", texts, pattern=pattern)

    def _sum(self, terms: Sequence[str]) -> str:
        # Sum is of floats only.
        return functools.reduce(lambda total, term: self._node("Add", total, term), terms)

    def _column(self, values: str) -> str:
        return self._node("Unsqueeze", values, self._constant([1]))

    def _constant(self, value: int | list[int] | list[float] | list[str]) -> str:
        """A constant: a number or a vector."""
        items = value if isinstance(value, list) else [value]
        key = (isinstance(value, list), type(items[0]), *items)
        if key not in self._constants:
            proto = self._onnx.TensorProto
            kind = {int: proto.INT64, float: proto.DOUBLE, str: proto.STRING}[type(items[0])]
            shape = [len(items)] if isinstance(value, list) else []
            tensor = self._onnx.helper.make_tensor("", kind, shape, items)
            self._constants[key] = self._node("Constant", value=tensor)
        return self._constants[key]

    def _node(self, operation: str, *inputs: str, **attributes: Any) -> str:
        output = self._next()
        self._nodes.append(self._onnx.helper.make_node(operation, list(inputs), [output], **attributes))
        return output

    def _next(self) -> str:
        """A name for a value."""
        return f"{self._prefix}{next(self._numbers)}"


def element_type(onnx: Any, feature: Feature) -> int:
    """Of a column's input."""
    texts = isinstance(feature, (CategoryFeature, DateFeature))
    return int(onnx.TensorProto.STRING if texts else onnx.TensorProto.DOUBLE)


def name_actions(onnx: Any, graph: Any, action: str, names: Sequence[str], prefix: str) -> None:
    """Give a graph the output ``ACTION_NAME``, ``[batch]``: the name of the action, and an empty text for -1."""
    helper, kind = onnx.helper, onnx.TensorProto.STRING
    # -1 is the last one.
    texts = helper.make_tensor("", kind, [len(names) + 1], [*names, ""])
    graph.node.append(helper.make_node("Constant", [], [prefix + ACTION_NAME], value=texts))
    graph.node.append(helper.make_node("Gather", [prefix + ACTION_NAME, action], [ACTION_NAME], axis=0))
    graph.output.append(helper.make_tensor_value_info(ACTION_NAME, kind, [BATCH]))
