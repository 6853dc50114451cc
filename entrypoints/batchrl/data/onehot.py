"""One-hot actions: a vector in each cell, or a column for each action (``action_call``, ``action_mail``).

Columns become one column of vectors where a file is read (``Table.with_vectors``), so that all else sees one column of
actions. The columns are named as a list, or by a pattern (``action_*``, in the order of their names). Their actions are
called by what stands for the star; in a list, by the columns' names without the words that all of them begin with.
Columns of each policy that logged are named alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pyarrow as pa

from batchrl.data.cells import numbers

STAR = "*"
# Named columns of actions, or a pattern of their names.
Named = str | Sequence[str] | None


def is_several(named: Named, there: Collection[str]) -> bool:
    """Whether a setting means several columns; of those ``there`` one may have a star in its own name."""
    return named is not None and (not isinstance(named, str) or (STAR in named and named not in there))


def columns_meant(named: str | Sequence[str], there: Collection[str]) -> tuple[str, ...]:
    """The columns of a file that a pattern fits, sorted; those of a list as they are."""
    if not isinstance(named, str):
        return tuple(named)
    return tuple(sorted(name for name in there if _shape(named).fullmatch(name)))


def names_of(parts: Sequence[str], named: Named) -> tuple[str, ...]:
    """What the actions or policies of columns are called; as the columns where too little is left of a name.

    Args:
        parts: the columns.
        named: the setting that means them.
    """
    if isinstance(named, str) and named.count(STAR) == 1:
        found = [_shape(named).fullmatch(part) for part in parts]
        names = [match[1].strip() if match else "" for match in found]
    else:
        common = next((at for at, signs in enumerate(zip(*parts, strict=False)) if len(set(signs)) > 1), None)
        words = re.match(r".*[\W_]|", parts[0][:common], re.DOTALL)
        names = [part[len(words[0]) if words else 0 :] for part in parts]
    return tuple(names if all(names) and len(set(names)) == len(parts) else parts)


def vectors_as_text(parts: Sequence[pa.Array]) -> pa.DictionaryArray:
    """Columns as one of vectors, such as ``[0, 1]``, in their order; nothing where all cells of a row are empty.

    Args:
        parts: ``A`` columns of ``m`` cells: numbers, flags, or anything that is then told to be neither.
    """
    values = np.empty((len(parts[0]), len(parts)))
    for number, cells in enumerate(parts):
        values[:, number] = numbers(cells)[0]
    odd = ~(((values == 0) | (values == 1)).all(axis=1) & (values.sum(axis=1) == 1))
    texts = [_text("1" if entry == one else "0" for entry in range(len(parts))) for one in range(len(parts))]
    codes = np.where(odd, -1, values.argmax(axis=1))
    known = {text: code for code, text in enumerate(texts)}
    for row in np.flatnonzero(odd):
        cells = [column[int(row)].as_py() for column in parts]
        if any(cell is not None and cell == cell for cell in cells):
            codes[row] = known.setdefault(_text(map(_written, cells)), len(known))
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(list(known), pa.string())
    )


def vector_of_texts(cells: Sequence[str]) -> str:
    """The cells of a row as ``vectors_as_text`` has them; nothing where all of them are empty."""
    return _text(cells) if any(cells) else ""


def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile("(.*)".join(map(re.escape, pattern.split(STAR))), re.DOTALL)


def _text(cells: Iterable[str]) -> str:
    return f"[{', '.join(cells)}]"


def _written(cell: object) -> str:
    """A cell as a message shows it."""
    if cell is None or cell != cell:
        return ""
    return f"{cell:g}" if isinstance(cell, float) else str(cell)
