"""What is answered, as bytes. Every record of the request has one line, or one entry of a document.

::

    application/jsonlines   {"predictions": [[p0, p1, ...]], "action": 1, "value": 2.5, "mask": [true, false]}
                            {"error": "line 3: expected 4 features, got 3", "line": 3}
    text/csv                p0,p1,...,action,value
                            "error: line 3: expected 4 features, got 3",,,
    application/json        {"predictions": [[p0, p1, ...], ...], "actions": [1, ...], "values": [2.5, ...],
                             "masks": [[true, false], ...]}

Where the log that trained the policy called its actions by name, ``action`` is the name: ``"action": "coupon"``;
``predictions`` and ``mask`` have the order of ``actions`` in the model's ``model.json``. ``value`` and ``mask`` are
null, and the csv's value is empty, where the policy has none. A document has no place for a faulty record. Rows of
numbers are written by orjson in one piece and cut apart, a third of the time of a row at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import orjson

from batchrl.data.dataset import Flags, Floats32, Floats64, default_names
from batchrl.serving.media import Media
from batchrl.serving.predictor import Predictions

LINE, ROW = "line", "row"


def fault_body(message: str, number: int | None = None) -> bytes:
    """The body of an answer that is an error, and an error's line among others."""
    return orjson.dumps({"error": message} if number is None else {"error": message, "line": number})


def fault_line(message: str, number: int, media: Media, n_actions: int) -> bytes:
    """The line of a faulty record, which has a number, without the newline."""
    if media is Media.JSON_LINES:
        return fault_body(message, number)
    # One line, whatever of the record the message quotes.
    quoted = " ".join(message.split()).replace('"', '""')
    return f'"error: {quoted}"'.encode() + b"," * (n_actions + 1)


def separate_lines(predictions: Predictions, media: Media, names: Sequence[str]) -> list[bytes]:
    """A line of JSON Lines or CSV for each record, faulty or not, without newlines.

    Args:
        predictions: of the records.
        media: of the answer.
        names: ``A`` names of the actions.
    """
    if not len(predictions):
        return []
    lines = (_json_lines if media is Media.JSON_LINES else _csv_lines)(predictions, answered_names(names))
    return lines.split(b"\n")


def answered_names(names: Sequence[str]) -> list[int] | list[str]:
    """What stands for each action in an answer: its number where its name is that, else its name."""
    return list(range(len(names))) if tuple(names) == default_names(len(names)) else list(names)


def document(parts: Sequence[Predictions], names: Sequence[str]) -> bytes:
    """The answer of a JSON document; no record may be faulty."""
    n_actions, called = len(names), np.array(answered_names(names), dtype=object)
    probabilities = np.concatenate([np.empty((0, n_actions)), *(part.probabilities for part in parts)])
    actions = np.concatenate([np.empty(0, dtype=np.int64), *(part.actions for part in parts)])
    values = [part.values for part in parts if part.values is not None]
    masks = [part.masks for part in parts if part.masks is not None]
    content = {
        "predictions": probabilities,
        "actions": called[actions].tolist(),
        "values": np.concatenate(values) if values else None,
        "masks": np.concatenate(masks) if masks else None,
    }
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def _json_lines(predictions: Predictions, names: Sequence[int | str]) -> bytes:
    action = [b']],"action":%b,"value":' % orjson.dumps(name) for name in names]
    columns = [
        _rows(predictions.probabilities),
        np.array(action, dtype=object)[predictions.actions].tolist(),
        [b"null"] if predictions.values is None else _numbers(predictions.values),
        [b',"mask":null}\n{"predictions":[[']
        if predictions.masks is None
        else [b',"mask":[%b]}\n{"predictions":[[' % mask for mask in _rows(predictions.masks)],
    ]
    beginning = b'{"predictions":[['
    return beginning + _woven(columns, len(predictions))[: -len(beginning) - 1]


def _csv_lines(predictions: Predictions, names: Sequence[int | str]) -> bytes:
    action = [b",%b," % _csv_cell(name) for name in names]
    columns = [
        _rows(predictions.probabilities),
        np.array(action, dtype=object)[predictions.actions].tolist(),
        [b""] if predictions.values is None else _numbers(predictions.values),
        [b"\n"],
    ]
    return _woven(columns, len(predictions))[:-1]


def _csv_cell(name: int | str) -> bytes:
    """A name in one line; in quotes where it needs them."""
    if isinstance(name, int):
        return b"%d" % name
    text = " ".join(name.split())
    return ('"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text).encode()


def _woven(columns: Sequence[list[bytes]], n: int) -> bytes:
    """The first of each column, then the second of each, and so on; a column of one is repeated."""
    pieces = [b""] * (n * len(columns))
    for position, column in enumerate(columns):
        pieces[position :: len(columns)] = column if len(column) == n else column * n
    return b"".join(pieces)


def _rows(table: Floats64 | Flags) -> list[bytes]:
    """The numbers of each row, with commas between them."""
    return orjson.dumps(np.ascontiguousarray(table), option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")


def _numbers(column: Floats32) -> list[bytes]:
    return orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
