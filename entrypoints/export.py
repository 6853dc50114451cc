"""Export a trained policy: as a folder, as a model.tar.gz that can be served, or as an ONNX file."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from batchrl.commandline.arguments import ended
from batchrl.commandline.parser import Parser
from batchrl.contract.archive import pack
from batchrl.contract.errors import InputError
from batchrl.contract.inference import DESCRIPTION_NAME, ONNX_SUFFIX
from batchrl.contract.nofollow import JobFolder

if TYPE_CHECKING:
    from batchrl.checkpoints.source import Source

EXAMPLES = """examples:
  export results/checkpoints model.tar.gz
  export results/checkpoints/epoch_0007.pt policy.onnx --policy greedy
"""
KINDS = ("greedy", "epsilon_greedy", "softmax")
ARCHIVE, ONNX = ".tar.gz", ONNX_SUFFIX
# What an ONNX file takes, if not features.
RAW = "raw records"
# Endings of files that hold models elsewhere: no folder is meant by them.
OTHER_FILES = (
    ".bin",
    ".ckpt",
    ".gz",
    ".h5",
    ".npz",
    ".pb",
    ".pkl",
    ".pt",
    ".pth",
    ".safetensors",
    ".tar",
    ".tgz",
    ".zip",
)


def main(argv: Sequence[str]) -> int:
    """Read, write, report; returns the exit code."""
    arguments = make_parser().parse_args(argv)

    def story() -> None:
        check(arguments)
        tell(export(arguments), arguments.json)

    def unusable(error: OSError) -> InputError:
        return InputError(f"{error.filename or 'a file'} cannot be read or written: {error.strerror}.")

    return ended(story, unusable)


def make_parser() -> Parser:
    """The script's command line."""
    parser = Parser("export", __doc__, EXAMPLES)
    add = parser.add_argument
    add("source", type=Path, metavar="SOURCE", help="checkpoints, a .pt file, an exported model or a model.tar.gz")
    add("target", type=Path, metavar="TARGET", help="a folder, or a file whose name ends in .tar.gz or .onnx")
    add("--which", choices=("best", "latest"), default="best", help="checkpoint of a folder (default: best)")
    add("--policy", choices=KINDS, help="the target policy (default: the one of its training)")
    add("--epsilon", type=float, help="epsilon_greedy: probability of a random action")
    add("--temperature", type=float, help="softmax: temperature of the values")
    add("--encoded", action="store_true", help="ONNX: take encoded features in place of raw records")
    add("--force", action="store_true", help="replace TARGET where it exists")
    add("--json", action="store_true", help="print what was written as JSON")
    return parser


def check(arguments: argparse.Namespace) -> None:
    """Refuse what means nothing, before anything is read."""
    epsilon, temperature, target = arguments.epsilon, arguments.temperature, arguments.target
    if epsilon is not None and not 0 <= epsilon <= 1:
        raise InputError(f"--epsilon got {epsilon}.", "Give a probability from 0 to 1.")
    if temperature is not None and not 0 < temperature < float("inf"):
        raise InputError(f"--temperature got {temperature}.", "Give a number above 0.")
    if arguments.encoded and not target.name.endswith(ONNX):
        raise InputError(
            f"--encoded is about ONNX files, and {target} is none: whatever serves the model encodes raw records.",
            f"Leave it out, or give a name that ends in {ONNX}.",
        )
    if not is_file_name(target) and target.suffix.lower() in OTHER_FILES:
        raise InputError(
            f"{target}: no model is written as a {target.suffix} file.",
            f"Give a name that ends in {ARCHIVE} or {ONNX}, or that of a folder, as {target.with_suffix('')}/.",
        )
    if not target.exists() or (target.is_dir() and not any(target.iterdir()) and not is_file_name(target)):
        return
    if target.is_dir() == is_file_name(target):
        raise InputError(f"{target} is {'a folder' if target.is_dir() else 'a file'}.", "Give another name.")
    if not arguments.force:
        raise InputError(f"{target} exists already.", "Give another name, or --force to replace it.")
    if target.is_dir() and not (target / DESCRIPTION_NAME).is_file():
        raise InputError(f"{target} holds something else than an exported model.", "Give another name.")


def is_file_name(target: Path) -> bool:
    """Whether a target names a file, not a folder."""
    return target.name.endswith((ARCHIVE, ONNX))


def export(arguments: argparse.Namespace) -> dict[str, Any]:
    """The script's story; returns what is told."""
    # Heavy imports come after the command line was read, so that --help is quick.
    from batchrl.checkpoints.export import export_model
    from batchrl.checkpoints.finding import find_policy
    from batchrl.checkpoints.source import read_source

    target: Path = arguments.target
    with TemporaryDirectory(prefix="batchrl-") as scratch:
        # 1. The policy, with the target policy that is wanted.
        found = find_policy(arguments.source, Path(scratch) / "source")
        source = retargeted(read_source(found, arguments.which), arguments)
        told: dict[str, Any] = {"path": str(target), "target_policy": str(source.model.target)}
        told |= {name: source.facts.get(name) for name in ("algorithm", "job_name", "preset", "epoch")}

        # 2. The file or folder; neither appears before it is whole.
        if target.name.endswith(ONNX):
            from batchrl.checkpoints.onnx_export import export_onnx
            from batchrl.data.encoding import Encoding

            compared = export_onnx(target, source.model, source.facts, arguments.encoded)
            is_raw = not arguments.encoded and Encoding.of_facts(source.facts) is not None
            told["takes"] = RAW if is_raw else "features"
            return told | {"kind": "onnx", "compared_states": compared.states, "undecided_states": compared.undecided}
        folder = Path(scratch) / "model"
        export_model(folder, source.model, source.facts, source.preset_json, source.code)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.name.endswith(ARCHIVE):
            pack(JobFolder(folder), folder.with_suffix(ARCHIVE))
            shutil.move(folder.with_suffix(ARCHIVE), target)
            return told | {"kind": "archive"}
        if target.is_dir():
            shutil.rmtree(target)
        shutil.move(folder, target)
    return told | {"kind": "folder"}


def retargeted(source: Source, arguments: argparse.Namespace) -> Source:
    """The policy with the target policy that the options name."""
    from batchrl.serving.settings import Target

    wanted = Target(arguments.policy, arguments.epsilon, arguments.temperature)
    names = ("--policy", "--epsilon", "--temperature")
    return replace(source, model=replace(source.model, target=wanted.of(source.model.target, names)))


def tell(written: dict[str, Any], as_json: bool) -> None:
    """Print what was written, for people or as JSON."""
    if as_json:
        print(json.dumps(written, indent=2))
        return
    name = written["job_name"] or written["preset"]
    what = "the folder " if written["kind"] == "folder" else ""
    print(f"wrote {what}{written['path']}: {name}, epoch {written['epoch']}, {written['target_policy']}")
    if written["kind"] == "onnx":
        if written["takes"] == RAW:
            print(f"it takes {RAW}, an input a column")
        print(f"onnxruntime gives what torch gives in {written['compared_states']} states")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
