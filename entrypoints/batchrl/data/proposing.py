"""A description of a file that nobody has described yet: its columns, what they may be, and what must be asked.

Columns are known by their names, in the words that logs of decisions use; what their cells hold decides between
several. Whatever is guessed is to be read by a person: the proposal is YAML with a remark at every guess.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from batchrl.contract import columns
from batchrl.contract.errors import InputError
from batchrl.data.actions import RANGES
from batchrl.data.eligibility import items_of
from batchrl.data.encoding import Kind
from batchrl.data.features import kind_of
from batchrl.data.mapping import SETTINGS
from batchrl.data.onehot import STAR, names_of, vectors_as_text
from batchrl.data.tables import Table, open_tables

# Rows that are looked at.
LOOKED_AT = 50_000
# More values than these are no actions; of a text with more than a few dozen each row has nearly its own.
MOST_VALUES = 1_000
MOST_LEVELS = 100
# What logs call their columns, the likeliest first; ``*`` stands for anything.
NAMES: Mapping[str, tuple[str, ...]] = {
    "episode": (
        *("episode_id", "episode", "trajectory_id", "session_id", "user_id", "customer_id", "patient_id", "stay_id"),
        *("client_id", "account_id", "visitor_id", "uid", "*_id", "id"),
    ),
    "time": ("timestamp", "time", "datetime", "date", "ts", "*_at", "*_time", "*_date", "step", "t"),
    "action": ("action", "treatment", "arm", "decision", "choice", "variant", "offer", "item_id", "*_action"),
    "reward": (
        "reward",
        "return",
        "payoff",
        "margin",
        "revenue",
        "profit",
        "conversion",
        "converted",
        "click",
        "clicked",
    ),
    "propensity": ("propensity", "propensity_score", "pscore", "*propensity*", "probability", "prob", "p"),
    "probabilities": ("all_action_probabilities", "action_probabilities", "probabilities", "probs"),
    "eligible": ("eligible_actions", "eligible", "admissible_actions", "available_actions", "action_mask", "actions"),
    "terminal": ("terminal", "terminated", "terminals", "done", "dones"),
    "truncated": ("truncated", "timeout", "timeouts", "truncations"),
    "logger": (
        *("logger", "logging_policy", "behavior_policy", "behaviour_policy", "policy_id", "policy_name", "policy"),
        *("policy_version", "variant", "experiment_arm", "experiment_group"),
    ),
    # A plain "weight" may be a patient's.
    "weight": (
        "sample_weight",
        "sampling_weight",
        "episode_weight",
        "row_weight",
        "case_weight",
        "inverse_sampling_rate",
    ),
}
# What a column that is read so is called here.
KINDS: Mapping[Kind | None, str] = {"number": "number", "category": "text", "date": "date", None: "text"}
OPTIONAL = ("weight", "time", "propensity", "probabilities", "eligible", "terminal", "truncated", "logger")
# More policies than these did not log a file that nobody has described; it is something else.
MOST_LOGGERS = 20
ONE_HOT = "one-hot columns"
# A column that nobody named holds row numbers, as pandas writes them.
NAMELESS = re.compile(r"(unnamed: *\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """One column of the rows that were looked at.

    Args:
        name: as the file spells it, without spaces around.
        kind: number, flag, text, date or vector; or one-hot columns, which are looked at as one.
        values: number of different ones.
        missing: share of empty cells.
        example: the first cell that holds something.
        unit: whether all numbers are from 0 to 1.
        whole: whether all numbers are integers.
    """

    name: str
    kind: str
    values: int
    missing: float
    example: str
    unit: bool
    whole: bool = True


def proposed(path: Path) -> str:
    """A description of the data at a path, as YAML with remarks; see ``presets.dataspec`` for what reads it.

    Raises:
        InputError: there is no data, or it cannot be read.
    """
    tables = open_tables(path)
    table = tables[0]
    rows = _first_rows(table)
    seen = [_look(name, rows.column(name)) for name in rows.schema.names]
    hot = _one_hot_columns(rows, seen)
    if hot is not None:
        seen = [*(each for each in seen if each.name not in hot.parts), hot.seen]
        rows = rows.append_column(hot.seen.name, hot.actions)
    guesses = _guesses(seen)
    if hot is not None:
        guesses.setdefault("action", hot.seen.name)
    if "eligible" not in guesses and (lists := _lists_of_actions(rows, guesses)) is not None:
        guesses["eligible"] = lists
    used = set(guesses.values())
    following = {each.name for each in seen if each.name.startswith("next_")}
    state = [each for each in seen if each.name not in used | following and _is_feature(each)]
    others = [each for each in seen if each.name not in used and each not in state]
    lines = [
        f"# Proposed from {path.name} ({len(tables)} file{'s' if len(tables) > 1 else ''}; the first {rows.num_rows} "
        "rows were looked at). Read every line: guesses are marked.",
        "columns:",
    ]
    by_name = {each.name: each for each in seen}
    for setting, own in SETTINGS.items():
        name = guesses.get(setting)
        if name is not None:
            lines.append(f"  {setting}: {_written(by_name[name])}  # {_said(by_name[name])}")
        elif setting not in OPTIONAL:
            lines.append(f"  # {setting}: ?  # none found: which column is it? (batchrl's own name is {own})")
    if "episode" not in guesses:
        lines += [
            "# No id of an episode was found: each row is taken for a decision of its own.",
            "episode_ids: per_row",
        ]
    lines += _state_lines(state, others)
    lines += _quantities(path, seen, guesses) + _questions(guesses)
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class OneHot:
    """Columns of 0 and 1, one for each action.

    Args:
        parts: their names.
        seen: all of them as one, called by what names them: a pattern, or a list in JSON.
        actions: ``[m]``, the name of each row's action.
    """

    parts: tuple[str, ...]
    seen: Seen
    actions: pa.Array


def _one_hot_columns(rows: pa.RecordBatch, seen: Sequence[Seen]) -> OneHot | None:
    """Columns that begin with a word for actions, of which in each row one is 1; None where there are none."""
    for word in (word for word in NAMES["action"] if STAR not in word):
        begun = re.compile(rf"({re.escape(word)}[\W_]).+", re.IGNORECASE | re.DOTALL)
        for prefix in dict.fromkeys(found[1] for each in seen if (found := begun.fullmatch(each.name))):
            alike = [each for each in seen if each.name.startswith(prefix)]
            parts = tuple(sorted(each.name for each in alike if each.kind == "flag"))
            if len(parts) < 2 or any(STAR in name for name in parts):
                continue
            vectors = vectors_as_text([rows.column(name) for name in parts])
            if len(vectors.dictionary) == len(parts) and len(vectors.indices.unique().drop_null()) > 1:
                named = f"{prefix}{STAR}" if len(alike) == len(parts) else json.dumps(parts)
                names = names_of(parts, named if STAR in named else parts)
                actions = pa.array(names, pa.string()).take(vectors.indices)
                missing = vectors.null_count / len(vectors)
                return OneHot(parts, Seen(named, ONE_HOT, len(parts), missing, ", ".join(names), False), actions)
    return None


def _lists_of_actions(rows: pa.RecordBatch, guesses: Mapping[str, str]) -> str | None:
    """A column whose cells list actions, also that of their row, not always the same ones; None where there is none."""
    if "action" not in guesses:
        return None
    actions = [str(action).strip() for action in rows.column(guesses["action"]).to_pylist()]
    known = set(actions)
    for name in (str(one) for one in rows.schema.names if one not in guesses.values()):
        cells = [items_of(str(cell).strip()) or [] for cell in rows.column(name).to_pylist()]
        differ = len({tuple(items) for items in cells}) > 1 and max(map(len, cells)) > 1
        if differ and all(
            action in items and known.issuperset(items) for action, items in zip(actions, cells, strict=True)
        ):
            return name
    return None


def _first_rows(table: Table) -> pa.RecordBatch:
    batch = next((batch for batch in table.batches(dict.fromkeys(table.names)) if batch.num_rows), None)
    if batch is None:
        raise InputError(f"{table.path}: the file has a header but no rows.", "Give a file with rows.")
    return batch.slice(0, LOOKED_AT)


def _look(name: str, cells: pa.Array) -> Seen:
    filled = cells.to_pandas().dropna()
    first = "" if filled.empty else filled.iloc[0]
    example = str(first.tolist() if isinstance(first, np.ndarray) else first)
    if example.startswith(("[", "(", "array")):
        kind, values, unit, whole = "vector", filled.astype(str).nunique(), False, True
    else:
        kind, values, unit, whole = KINDS[kind_of(cells)], filled.nunique(), False, True
        if kind == "number":
            numbers = pd.to_numeric(filled, errors="coerce")
            unit, whole = bool(numbers.between(0, 1).all()), bool((numbers % 1 == 0).all())
            kind = "flag" if numbers.isin([0, 1]).all() else kind
    return Seen(name, kind, int(values), cells.null_count / len(cells), example[:40], unit, whole)


def _guesses(seen: Sequence[Seen]) -> dict[str, str]:
    """The column of each setting that one was found for; none is taken twice."""
    fits: Mapping[str, Callable[[Seen], bool]] = {
        "episode": lambda each: each.kind != "vector" and each.values > 1,
        "time": lambda each: each.kind in ("number", "date"),
        "action": lambda each: 1 < each.values <= MOST_VALUES,
        "reward": lambda each: each.kind in ("number", "flag"),
        "propensity": lambda each: each.kind in ("number", "flag") and each.unit,
        "probabilities": lambda each: each.kind == "vector",
        "eligible": lambda each: each.kind == "vector" or bool(re.search(r"[|;]", each.example)),
        "terminal": lambda each: each.kind == "flag",
        "truncated": lambda each: each.kind == "flag",
        "weight": lambda each: each.kind == "number",
        "logger": lambda each: each.kind in ("text", "flag", "number") and 1 < each.values <= MOST_LOGGERS,
    }
    found: dict[str, str] = {}
    for setting in (
        *("action", "reward", "probabilities", "propensity", "eligible", "terminal", "truncated"),
        *("logger", "weight", "episode", "time"),
    ):
        for pattern in NAMES[setting]:
            shape = re.compile(re.escape(pattern).replace(r"\*", ".*"), re.IGNORECASE)
            named = (each for each in seen if shape.fullmatch(each.name) and each.name not in found.values())
            if name := next((each.name for each in named if fits[setting](each)), None):
                found[setting] = name
                break
    if "probabilities" in found:
        found.pop("propensity", None)
    return found


def _is_feature(each: Seen) -> bool:
    known = (columns.TARGET_ACTION_PROBABILITIES, columns.TARGET_Q_VALUES, columns.CUMULATIVE_REWARDS)
    named = each.name not in known and not NAMELESS.fullmatch(each.name)
    varies = named and each.values > 1 and each.missing < 1
    return varies and (each.kind in ("number", "flag", "date") or (each.kind == "text" and each.values <= MOST_LEVELS))


def _state_lines(state: Sequence[Seen], others: Sequence[Seen]) -> list[str]:
    lines = ["# What the decision may rest on; only what was known before it."]
    if state:
        lines.append("state_columns:")
        lines += [f"- {_quoted(each.name)}  # {_said(each)}" for each in state]
    else:
        lines.append("# state_columns: [?]  # none found: name at least one column of numbers")
    lines += [f"# left out: {_written(each)}: {_said(each)}" for each in others]
    return lines


def _quantities(path: Path, seen: Sequence[Seen], guesses: Mapping[str, str]) -> list[str]:
    """What can be done where a column of the action holds quantities."""
    words = re.compile("|".join(fnmatch.translate(pattern) for pattern in NAMES["action"]), re.IGNORECASE)
    named = (each.name for each in seen if not each.whole and words.fullmatch(each.name))
    name = next((name for name in named if guesses.get("action", name) == name), None)
    if name is None:
        return []
    command = shlex.join(["batchrl", "data", "convert", path.name, "ranges.parquet", "--bin", f"{name}={RANGES}"])
    said = f"# {_quoted(name)} holds quantities, and actions are choices: {command} makes {RANGES} ranges of it."
    return [" ".join(said.split())]


def _questions(guesses: Mapping[str, str]) -> list[str]:
    lines = []
    if "time" not in guesses and "episode" in guesses:
        lines.append(
            "# Do an episode's rows stand in the order of its steps? Without columns.time they are taken as they stand."
        )
    if not {"propensity", "probabilities"} & guesses.keys():
        lines.append(
            "# With which probability was each action taken? Without it nothing rests on more than a model of it."
        )
    elif "propensity" in guesses:
        lines.append(f"# Is '{guesses['propensity']}' the probability of the action that was taken, when it was taken?")
    if "weight" in guesses:
        lines.append(
            f"# Does '{guesses['weight']}' say how many episodes one of the log stands for, as 1 / the chance with "
            "which it was kept? Episodes are drawn by it."
        )
    if "logger" in guesses:
        lines.append(
            f"# Does '{guesses['logger']}' name the policy that logged an episode, the same one in all of its rows? "
            "It is no feature of the state then."
        )
    if "eligible" not in guesses:
        lines.append(
            "# Could every action be taken in every row? If not, a column has to list those: columns.eligible."
        )
    return lines


def _said(each: Seen) -> str:
    missing = f", {each.missing:.1%} missing" if each.missing else ""
    values = f"{each.values} value{'s' if each.values > 1 else ''}"
    return f"{each.kind}, {values}{missing}, such as {' '.join(each.example.split())}"


def _written(each: Seen) -> str:
    """A column's name as YAML writes it; several are a pattern, or a list in YAML already."""
    return each.name if each.kind == ONE_HOT and STAR not in each.name else _quoted(each.name)


def _quoted(name: str) -> str:
    """A name as YAML writes it."""
    return yaml.safe_dump(name, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
