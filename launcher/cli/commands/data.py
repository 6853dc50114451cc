"""``batchrl data check|describe|convert``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from launcher.base.pairs import parse_settings
from launcher.base.product import TRAIN_SCRIPT
from launcher.base.units import size
from launcher.cli.dataoptions import data_options
from launcher.cli.groups import make_group
from launcher.cli.loggertables import logger_tables
from launcher.cli.options import complete_presets, output_options, set_option
from launcher.cli.output import Column, Output, echo, fields, stdout_width, table
from launcher.cli.slicetables import slice_tables, slice_warning
from launcher.training.joboptions import DEFAULT_PRESETS

SPREAD = (
    Column("what", ""),
    Column("mean", "MEAN", right=True),
    Column("standard_error", "S.E.", right=True),
    Column("min", "MIN", right=True),
    Column("median", "MEDIAN", right=True),
    Column("max", "MAX", right=True),
)
SUPPORT = (
    Column("action", "ACTION"),
    Column("share", "SHARE", right=True),
    Column("eligible", "ELIGIBLE", right=True),
    Column("mean_probability", "MEAN PROBABILITY", right=True),
    Column("smallest_taken", "SMALLEST OF THE TAKEN", right=True),
)
FEATURES = (
    Column("name", "FEATURE"),
    Column("mean", "MEAN", right=True),
    Column("std", "STD", right=True),
    Column("min", "MIN", right=True),
    Column("max", "MAX", right=True),
)

CALIBRATION = (
    Column("range", "ESTIMATED PROBABILITY"),
    Column("mean_probability", "MEAN", right=True),
    Column("taken", "TAKEN", right=True),
    Column("probabilities", "NUMBER", right=True),
)
CALIBRATION_BEFORE = (Column("range", "BEFORE CALIBRATION"), *CALIBRATION[1:])
OVERLAP = (
    Column("action", "ACTION"),
    Column("effective_transitions", "EFFECTIVE TRANSITIONS", right=True),
    Column("share", "SHARE OF ALL", right=True),
)

RANGES = (Column("count", "ROWS", right=True),)

data_argument = click.argument("data", metavar="DATA")


def preset_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--preset`` and ``--set``: how the data is read and split."""
    preset = click.option(
        "--preset",
        default=DEFAULT_PRESETS[TRAIN_SCRIPT],
        show_default=True,
        shell_complete=complete_presets,
        help="Its section `data` says how to read.",
    )
    return preset(set_option(data_options(function)))


@make_group("data", examples=("batchrl data check cartpole.csv", "batchrl data describe cartpole.csv"))
def command() -> None:
    """Look at logged data before training, and convert it.

    DATA is a file or a folder of csv, gzip csv or Parquet, here or in S3.
    """


@command.command(
    "check",
    examples=(
        "batchrl data check cartpole.csv",
        "batchrl data check s3://bucket/logs/ \\",
        "    --set data.test_ratio=0.2",
    ),
)
@data_argument
@preset_options
@output_options
def check(data: str, preset: str, settings: tuple[str, ...], described: Mapping[str, str], out: Output) -> None:
    """Say whether a training job would accept the data; exit 2 where not.

    Columns of a policy to be scored are checked as well.
    """
    from launcher.library.ask import ask
    from launcher.staging.fetch import local_data

    section = _section(preset, settings, described)
    with local_data(data, out.byte_progress) as path:
        answer = ask("check", str(path), "--targets", settings=section)
    answer["path"] = data
    if not out.for_people:
        out.record(answer, "path")
        return
    features = f"{answer['features']} feature{'s' if answer['features'] != 1 else ''}"
    counts = (
        f"{answer['episodes']} episodes, {answer['transitions']} transitions, "
        f"{answer['actions']} actions, {features}, schema {answer['schema']}"
    )
    split = f"{answer['train_episodes']} train, {answer['evaluation_episodes']} estimate"
    test = f", {answer['test_episodes']} test" if answer["test_episodes"] else ""
    lines = {"ok": data, "data": counts, "split": f"episodes: {split}{test}"}
    if scored := [name for name in ("target_action_probabilities", "target_q_values") if answer[name]]:
        lines["to score"] = ", ".join(scored)
    out.record(answer, "path", lines)
    for line in logger_tables(answer["loggers"], stdout_width()):
        out.text(line)
    _remark(answer, answer["unknown_ends"], out)


@command.command(
    "init",
    examples=(
        "batchrl data init raw.csv",
        "batchrl data init s3://bucket/logs/ -q",
    ),
)
@data_argument
@output_options
def init(data: str, out: Output) -> None:
    """Propose a description of DATA as YAML: types seen, guesses, questions.

    It is a guess by the names of columns: put it into a file, read it, correct it, and give it
    as --data-spec.
    """
    from launcher.library.ask import ask
    from launcher.staging.fetch import local_data

    with local_data(data, out.byte_progress) as path:
        answer = {"path": data, **ask("propose", str(path))}
    if out.for_people:
        echo(answer["description"].rstrip())
    else:
        out.record(answer, "path")


@command.command(
    "describe",
    examples=(
        "batchrl data describe cartpole.csv --discount 0.99",
        "batchrl data describe logs/ --json",
        "batchrl data describe logs/ --slices",
    ),
)
@data_argument
@click.option("--discount", type=click.FloatRange(0, 1), help="Show discounted returns, too.")
@click.option("--slices", is_flag=True, help="Show each action in each slice, not only where it is thin.")
@preset_options
@output_options
def describe(
    data: str,
    discount: float | None,
    slices: bool,
    preset: str,
    settings: tuple[str, ...],
    described: Mapping[str, str],
    out: Output,
) -> None:
    """Show episodes, returns, the logging policy and the state's columns.

    A small share or probability of an action means that little can be said about policies that take it. Actions are
    counted by slices of the state, too (levels, quartiles, quarters of the time): those are shown in which an action is
    missing that is taken elsewhere.
    """
    from launcher.library.ask import ask
    from launcher.staging.fetch import local_data

    section = _section(preset, settings, described)
    options = () if discount is None else ("--discount", str(discount))
    with local_data(data, out.byte_progress) as path:
        answer = {"path": data, **ask("describe", str(path), *options, settings=section)}
    if not out.for_people:
        out.record(answer, "path")
        return
    for line in _described(answer, slices, stdout_width()):
        out.text(line)
    _remark(answer, answer["ends"]["unknown"], out)
    if unread := answer["slices"]["unread_columns"]:
        out.note(f"Note: slices of the last {unread} columns of the state were not looked at; there are too many.")
    if (thin := slice_warning(answer["slices"])) is not None:
        out.note(f"Warning: {thin}")


@command.command(
    "convert",
    examples=(
        "batchrl data convert cartpole.csv cartpole.parquet",
        "batchrl data convert logs/ all.csv.gz --force",
        "batchrl data convert old.csv new.csv --to-schema B",
        "batchrl data convert excel.csv log.parquet \\",
        "    --decimal comma --encoding cp1252",
        "batchrl data convert doses.csv log.parquet --bin dose=5",
        "batchrl data convert minari:CartPole/random-v0 log.parquet",
        "batchrl data convert log.csv buffer.h5",
        "batchrl data convert raw.csv log.parquet \\",
        "    --data-spec data.yaml",
    ),
)
@click.argument("source")
@click.argument("target")
@click.option("--to-schema", type=click.Choice(["A", "B"]), help="A: episodes end with a row of a state alone.")
@click.option("--force", is_flag=True, help="Replace TARGET where it exists.")
@click.option("--separator", help="Between the cells of SOURCE: comma, semicolon, tab, pipe, or the character.")
@click.option("--decimal", type=click.Choice(["point", "comma"]), help="The decimal mark of SOURCE's numbers.")
@click.option("--encoding", help="Of SOURCE, by Python's names, such as cp1252.")
@click.option(
    "--bin",
    "bins",
    metavar="COLUMN=K",
    multiple=True,
    help="Write the quantities of COLUMN as K ranges, of about as many rows each.",
)
@set_option
@data_options
@output_options
def convert(
    source: str,
    target: str,
    to_schema: str | None,
    force: bool,
    separator: str | None,
    decimal: str | None,
    encoding: str | None,
    bins: tuple[str, ...],
    settings: tuple[str, ...],
    described: Mapping[str, str],
    out: Output,
) -> None:
    """Write all rows of SOURCE into the file TARGET; its name says the format.

    SOURCE may also be an HDF5 file of d3rlpy (with the package h5py), or minari:ID, a dataset of Minari on this
    computer (with the package minari); TARGET likewise: NAME.h5, or minari:NAME-v0. Their formats hold neither
    propensities nor names of actions; what is lost is told.

    The order of rows is kept. With --to-schema, rows come episode after episode, with the columns that batchrl knows;
    so they do of a SOURCE that is described (--data-spec, --map, --state-columns, --set), in batchrl's own names.
    """
    from launcher.library.ask import ask
    from launcher.staging.fetch import local_data

    text = {"separator": separator, "decimal": decimal, "encoding": encoding}
    said = {name: value for name, value in text.items() if value is not None}
    section = _section(
        DEFAULT_PRESETS[TRAIN_SCRIPT], settings, {**{f"data.{k}": v for k, v in said.items()}, **described}
    )
    options = [
        *(("--to-schema", to_schema) if to_schema else ()),
        *(("--force",) if force else ()),
        *(f"--{name}={value}" for name, value in said.items()),
        *(f"--bin={text}" for text in bins),
        *(("--described",) if described or settings else ()),
    ]
    with local_data(source, out.byte_progress) as path:
        answer = ask("convert", str(path), target, *options, settings=section)
    lines = {"wrote": target, "rows": answer["rows"], "size": size(answer["bytes"])}
    out.record(answer, "path", lines)
    if out.for_people:
        for ranges in answer["bins"]:
            out.text("")
            rows = [
                {"name": name, "count": count} for name, count in zip(ranges["names"], ranges["counts"], strict=True)
            ]
            for line in table(rows, (Column("name", ranges["column"]), *RANGES), stdout_width()):
                out.text(line)
        for note in answer["notes"]:
            out.note(f"Note: {note}.")


def _section(preset: str, settings: tuple[str, ...], described: Mapping[str, str]) -> dict[str, Any]:
    """What the library needs to know of a preset."""
    import presets

    resolved = presets.resolve_train(preset, {**described, **parse_settings(settings)})
    return resolved.model_dump(mode="json", include={"data", "seed"})


def _described(answer: Mapping[str, Any], with_slices: bool, width: int) -> Iterator[str]:
    ends, recorded = answer["ends"], answer["recorded"]
    yield from fields(
        {
            "data": answer["path"],
            "schema": answer["schema"],
            "episodes": f"{answer['episodes']}: {ends['terminal']} end for good, {ends['truncated']} are cut with a "
            f"known next state, {ends['unknown']} without one",
            "transitions": str(answer["transitions"]),
            **({} if recorded is None else {"recorded": f"{recorded['first']} to {recorded['last']}"}),
            "entropy": _entropy(answer["behavior_entropy"]),
        },
        width,
    )
    yield ""
    rows = [{"what": "episode length", **answer["lengths"]}, {"what": "return", **answer["returns"]}]
    if answer["discounted_returns"] is not None:
        rows.append({"what": f"return, discount {answer['discount']:g}", **answer["discounted_returns"]})
    yield from table(rows, SPREAD, width)
    yield ""
    lists = any(row["eligible"] is not None for row in answer["support"])
    yield from table(answer["support"], [each for each in SUPPORT if lists or each.key != "eligible"], width)
    yield from slice_tables(answer["slices"], with_slices, width)
    yield from logger_tables(answer["loggers"], width)
    yield ""
    yield from table(answer["features"], FEATURES, width)
    if (estimated := answer["estimated_behavior"]) is not None:
        yield from _estimated(estimated, width)


def _estimated(estimated: Mapping[str, Any], width: int) -> Iterator[str]:
    """How well the estimated logging policy fits, and how much the log says about each action by it."""
    yield ""
    losses = f"{estimated['log_loss']:.4g} nats; the actions' shares alone have {estimated['log_loss_of_shares']:.4g}"
    yield from fields({"estimated propensities": f"log loss {losses}"}, width)
    yield ""
    if estimated["calibration_before"] is not None:
        yield from table(_ranges(estimated["calibration_before"]), CALIBRATION_BEFORE, width)
        yield ""
    yield from table(_ranges(estimated["calibration"]), CALIBRATION, width)
    yield ""
    yield from table(estimated["overlap"], OVERLAP, width)


def _ranges(curve: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"range": f"{part['lower']:.1f} to {part['upper']:.1f}", **part} for part in curve]


def _entropy(entropy: Mapping[str, Any] | None) -> str:
    if entropy is None:
        return "of the logging policy: not known, for only the taken actions' probabilities were logged"
    return (
        f"of the logging policy: mean {entropy['mean']:.4g}, {entropy['min']:.4g} to {entropy['max']:.4g} nats; "
        f"uniform has {entropy['highest']:.4g}"
    )


def _remark(answer: Mapping[str, Any], unknown_ends: int, out: Output) -> None:
    for note in answer["notes"]:
        out.note(f"Note: {note}.")
    if unknown_ends:
        out.note(f"Warning: {unknown_ends} episodes were cut without a next state; their ends count as terminal.")
    if left_out := answer["left_out_episodes"]:
        out.note(f"Warning: {left_out} episodes are left out, as the preset asks.")
    for doubt in answer["doubts"]:
        out.note(f"Warning: {doubt['message']} {doubt['advice']}")
