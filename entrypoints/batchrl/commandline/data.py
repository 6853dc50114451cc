"""What ``batchrl data`` and the client's check of inputs run: ``python -m batchrl.data check|describe|convert ...``.

    check PATH                              would a training job accept it?
    propose PATH                            a description of it, as YAML, to be read by a person
    describe PATH [--discount G]            its figures
    convert SOURCE TARGET [--to-schema A|B] [--force] [--separator S] [--decimal D] [--encoding E]
                                            [--bin COLUMN=K ...]
    divide SOURCE KEPT [--held-out FILE --share S] --seed N --prefix TEXT [--logged-by P [--epsilon E]]
                                            episodes to learn from and episodes to judge by

Stdin, for check and describe: a JSON object with the preset's section ``data`` and its ``seed``.
Stdout: a JSON object with the result and exit code 0; or with ``message`` and ``hint`` and exit code 2.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from batchrl.contract.errors import EXIT_DONE, InputError
from batchrl.contract.records import to_json
from batchrl.data.binning import asked_bins
from batchrl.data.describe import describe
from batchrl.data.divide import Probabilities, divide
from batchrl.data.exchange import Asked, exchanged
from batchrl.data.formats import TextOptions
from batchrl.data.loader import load_dataset
from batchrl.data.loggers import figures_of_loggers
from batchrl.data.proposing import proposed
from batchrl.data.split import split_for_run
from batchrl.data.storage import is_mapped
from batchrl.data.tables import AS_FOUND
from presets.dataschema import DataSettings


def main() -> int:
    """Read one data set as the arguments ask, and print the answer as JSON; returns the exit code."""
    arguments = _parser().parse_args()
    try:
        result = arguments.run(arguments)
    except InputError as error:
        json.dump({"message": error.message, "hint": error.hint}, sys.stdout)
        return error.exit_code
    json.dump(result, sys.stdout)
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="batchrl.commandline.data")
    parts = parser.add_subparsers(required=True)
    check = parts.add_parser("check")
    check.add_argument("path", type=Path)
    check.add_argument("--targets", action="store_true")
    check.set_defaults(run=_check)
    proposal = parts.add_parser("propose")
    proposal.add_argument("path", type=Path)
    proposal.set_defaults(run=lambda arguments: {"description": proposed(arguments.path)})
    described = parts.add_parser("describe")
    described.add_argument("path", type=Path)
    described.add_argument("--discount", type=float)
    described.set_defaults(run=_describe)
    converted = parts.add_parser("convert")
    converted.add_argument("source")
    converted.add_argument("target")
    converted.add_argument("--to-schema", choices=["A", "B"])
    converted.add_argument("--force", action="store_true")
    converted.add_argument("--separator", default=AS_FOUND.separator)
    converted.add_argument("--decimal", default=AS_FOUND.decimal)
    converted.add_argument("--encoding", default=AS_FOUND.encoding)
    converted.add_argument("--bin", action="append", default=[])
    converted.add_argument("--described", action="store_true")
    converted.set_defaults(run=_convert)
    divided = parts.add_parser("divide")
    divided.add_argument("source", type=Path)
    divided.add_argument("kept", type=Path)
    divided.add_argument("--held-out", type=Path)
    divided.add_argument("--share", type=float, default=0.0)
    divided.add_argument("--seed", type=int, required=True)
    divided.add_argument("--prefix", required=True)
    divided.add_argument("--logged-by")
    divided.add_argument("--epsilon", type=float)
    divided.add_argument("--temperature", type=float)
    divided.set_defaults(run=_divide)
    return parser


def _given() -> tuple[DataSettings, int]:
    given = json.load(sys.stdin)
    return DataSettings.model_validate_json(json.dumps(given["data"])), int(given["seed"])


def _check(arguments: argparse.Namespace) -> dict[str, Any]:
    settings, seed = _given()
    loaded = load_dataset(arguments.path, settings, with_targets=arguments.targets)
    data = loaded.dataset
    split = split_for_run(data, settings, seed)
    return {
        "path": str(arguments.path),
        "schema": loaded.schema,
        "episodes": data.n_episodes,
        "transitions": data.n_transitions,
        "actions": data.n_actions,
        "loggers": [to_json(figures) for figures in figures_of_loggers(data)],
        "features": data.n_features,
        "unknown_ends": loaded.unknown_ends,
        "left_out_episodes": loaded.left_out,
        "doubts": [to_json(doubt) for doubt in loaded.doubts],
        "train_episodes": len(split.train),
        "evaluation_episodes": len(split.evaluation),
        "test_episodes": len(split.test),
        "storage": "mapped" if is_mapped(data.states) else "memory",
        "target_action_probabilities": loaded.target_policy is not None,
        "target_q_values": loaded.target_q is not None,
        "notes": list(loaded.notes),
    }


def _describe(arguments: argparse.Namespace) -> dict[str, Any]:
    settings, _ = _given()
    loaded = load_dataset(arguments.path, settings)
    doubts = [to_json(doubt) for doubt in loaded.doubts]
    return {**describe(loaded, arguments.discount).to_dict(), "doubts": doubts}


def _convert(arguments: argparse.Namespace) -> dict[str, Any]:
    text = TextOptions(arguments.separator, arguments.decimal, arguments.encoding)
    description = _given()[0] if arguments.described else None
    asked = Asked(arguments.to_schema, arguments.force, text, asked_bins(arguments.bin), description)
    done = exchanged(arguments.source, arguments.target, asked)
    ranges = [{**to_json(each), "names": list(each.names)} for each in done.bins]
    return {"path": arguments.target, **to_json(done), "bins": ranges}


def _divide(arguments: argparse.Namespace) -> dict[str, Any]:
    def logged_by(n_actions: int) -> Probabilities:
        from batchrl.collect.acting import Softening, make_policy
        from batchrl.naming import import_from_here

        import_from_here()
        softening = Softening(arguments.epsilon, arguments.temperature)
        return make_policy(arguments.logged_by, n_actions, softening).action_probabilities

    found = divide(
        arguments.source,
        arguments.kept,
        arguments.held_out,
        share=arguments.share,
        seed=arguments.seed,
        prefix=arguments.prefix,
        logged_by=None if arguments.logged_by is None else logged_by,
    )
    return to_json(found)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # An orderly exit right after a fault may meet Arrow's threads as they start, and then aborts the process.
    os._exit(code)
