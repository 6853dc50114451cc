"""What lies in S3, and names: contents that others wrote, keys that become files, names that become folders."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from memory_s3 import MemoryS3

from badinput import spoil
from badinput.case import Case, kind
from batchrl.contract import columns, download, pointers
from batchrl.contract.errors import BatchRLError, DamagedContent, InputError
from batchrl.contract.layout import BucketLayout, S3Url
from batchrl.contract.manifest import Manifest, sha256_of
from launcher.api import names
from launcher.local.transform import sources
from launcher.reports.evaluations import Evaluation
from launcher.reports.runs import Files, read_run
from launcher.results.metrics import Metrics
from launcher.serving import exported, prediction

MANIFEST = Manifest()
MANIFEST.publish("a/b.txt", 5, sha256_of(b"hello"))
BEST = json.dumps({"epoch": 1, "metric": "sdr", "value": 1.5, "reason": "best", "checkpoint": "epoch-1.pt"}).encode()
TABLE = (",".join(columns.COACH_COLUMNS + columns.OWN_COLUMNS) + "\n" + ",".join(["1"] * 40) + "\n").encode()
EVALUATION = json.dumps(
    {"mean_return": 1.0, "standard_error": 0.1, "min_return": 0, "max_return": 2, "episodes": 3, "steps": 4}
).encode()
PREDICTION = b'{"predictions": [[0.5, 0.5]], "action": 1, "value": 2.5, "mask": [true, false]}'


LEADING_OUT = ("../outside/decoy", "a/../../outside/decoy", "/etc/x", "a", "a/b", "..", ".", "./a", "a/.")


def _either(chance: random.Random, good: bytes) -> bytes:
    """Bytes that are damaged, or JSON of another shape."""
    if chance.random() < 0.5:
        return spoil.scramble(chance, good)
    try:
        return json.dumps(spoil.bent(chance, json.loads(good))).encode()
    except (ValueError, RecursionError):
        return b"[" * 5000


def _read(what: str, content: bytes, folder: Path) -> Any:
    match what:
        case "pointer":
            return pointers.pointed(content)
        case "manifest":
            return Manifest.from_bytes(content)
        case "run":
            return read_run("job", Files(content, TABLE, None, None))
        case "table":
            return Metrics.parse("job", content)
        case "evaluation":
            (folder / "evaluation.json").write_bytes(content)
            return Evaluation.read(folder / "evaluation.json")
        case "inputs":
            return sources._manifest(content, S3Url("bucket", "x.manifest"))
        case "model":
            return exported._parsed(content, "model.json")
        case "answers":
            return [prediction.check(line, 1, "it") for line in prediction.read_lines(content, 1, 0, "it")]
    raise AssertionError(what)


CONTENTS = {
    "pointer": BEST,
    "manifest": MANIFEST.to_bytes(),
    "run": BEST,
    "table": TABLE,
    "evaluation": EVALUATION,
    "inputs": b'[{"prefix": "s3://b/x/"}, "a.csv", "b.csv"]',
    "model": json.dumps({"policy": {"n_actions": 2}, "format": 1}).encode(),
    "answers": PREDICTION,
}


@kind("S3 contents: files of jobs", 14)
def _contents(chance: random.Random, folder: Path) -> Case:
    what = chance.choice(list(CONTENTS))
    content = _either(chance, CONTENTS[what])
    changed = what == "manifest" and b"".join(content.split()) != b"".join(CONTENTS[what].split())
    # A pointer's reader says ValueError, which its callers word with the place.
    refusals = (ValueError,) if what == "pointer" else (InputError, DamagedContent)
    return Case(
        f"{what} {content[:60]!r}",
        lambda: _read(what, content, folder),
        refusals,
        invalid=changed and _differs(content),
    )


def _differs(content: bytes) -> bool:
    """Whether a manifest says something else than the good one."""
    try:
        return bool(json.loads(content) != json.loads(CONTENTS["manifest"]))
    except (ValueError, RecursionError):
        return True


@kind("names: keys that become files", 6)
def _keys(chance: random.Random, folder: Path) -> Case:
    s3 = MemoryS3()
    keys = [f"in/{chance.choice(spoil.TEXTS)[:900]}".replace("\ud800", "?").replace("\udfff", "?") for _ in range(3)]
    keys += [f"in/{chance.choice(LEADING_OUT)}"]
    for key in keys:
        s3.objects[key] = b"content"

    def fetch() -> int:
        return len(download.download_prefix(s3, S3Url("bucket", "in/"), folder / "data"))

    return Case(f"{[key[:30] for key in keys]!r}", fetch, (BatchRLError, OSError))


@kind("names: URLs and jobs", 5)
def _names(chance: random.Random, folder: Path) -> Case:
    text = (
        chance.choice(spoil.TEXTS)
        if chance.random() < 0.5
        else spoil.scramble(chance, b"s3://bucket/some/key").decode("latin-1")
    )
    if chance.random() < 0.5:
        return Case(
            f"job {text[:60]!r}",
            lambda: names.check_job_name(text),
            (InputError,),
            invalid=not text.isascii()
            or not text[:1].isalnum()
            or len(text) > 63
            or not text.replace("-", "").isalnum(),
        )
    read = chance.choice(
        [S3Url.parse, S3Url.parse_place, lambda url: BucketLayout(S3Url.parse_place(url)).dataset("0a")]
    )
    return Case(f"URL {text[:60]!r}", lambda: read(text), (InputError,), invalid=not text.startswith("s3://"))
