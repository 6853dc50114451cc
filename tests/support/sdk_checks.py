"""What both scripts of the ``sagemaker`` SDK share: checks by name, what they asked of the cloud, refusals.

A script runs in the environment of its SDK (tests/sdk-v2.txt, tests/sdk-v3.txt), in a shell that ``batchrl cloud env``
has set up: ``python sdk_v2.py CHECK FOLDER``. The SDK is as its authors made it; it is watched for what it asks, and
kept on loopback. A check names the operations that it is a test of; ``docs/operations.py`` reads them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.client
import loopback
from botocore.exceptions import ClientError

BUCKET = "batchrl-local"
ROLE = "arn:aws:iam::000000000000:role/batchrl-local"
PROCESS = "local_process"
SCRIPT = """\
import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--epochs", type=int)
given, _ = parser.parse_known_args()
print("channel", sorted(os.listdir(os.environ["SM_CHANNEL_TRAINING"])))
for epoch in range(given.epochs):
    print(f"epoch={epoch} loss={1 / (epoch + 1)}", flush=True)
with open(os.path.join(os.environ["SM_MODEL_DIR"], "weights.json"), "w") as file:
    json.dump({"lr": given.lr}, file)
"""

_reached: list[str] = []
_checks: dict[str, Callable[[Path], None]] = {}
_operations: dict[str, frozenset[str]] = {}
_asked: set[str] = set()


def _note_hosts(event: str, arguments: tuple[Any, ...]) -> None:
    """Note who is looked up beyond this machine: the SDK may take the refusal for a network that is down."""
    if event == "socket.getaddrinfo" and not loopback.is_local(arguments[0]):
        _reached.append(str(arguments[0]))


sys.addaudithook(_note_hosts)
loopback.install()


def check(*operations: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Make a function a check of operations, each as ``service:Operation``, ``sagemaker`` left out."""

    def named(function: Callable[[Path], None]) -> Callable[[Path], None]:
        _checks[function.__name__] = function
        _operations[function.__name__] = frozenset(one if ":" in one else f"sagemaker:{one}" for one in operations)
        return function

    return named


def refused(call: Callable[[], Any], *words: str) -> None:
    """A call is refused by the local cloud, in these words."""
    try:
        call()
    except ClientError as error:
        message = str(error)
        assert all(word in message for word in words), message
    else:
        raise AssertionError(f"it was not refused: {words}")


def source_folder(folder: Path, script: str = SCRIPT) -> str:
    """A source folder with the script ``train.py``."""
    source = folder / "source"
    source.mkdir(parents=True, exist_ok=True)
    (source / "train.py").write_text(script)
    return str(source)


def _watch() -> None:
    original = botocore.client.BaseClient._make_api_call

    def watched(client: Any, operation: str, parameters: Any) -> Any:
        _asked.add(f"{client.meta.service_model.service_name}:{operation}")
        return original(client, operation, parameters)

    botocore.client.BaseClient._make_api_call = watched


def main() -> None:
    """Run the check that the command line names; what it declares to ask, it has to have asked."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    _watch()
    os.chdir(folder)
    _checks[name](folder)
    assert not _reached, f"{name} reached for {sorted(set(_reached))}"
    missing = _operations[name] - _asked
    assert not missing, f"{name} names operations that it did not ask: {sorted(missing)}"
    # What an SDK prints need not end its line.
    print("\n" + json.dumps({"check": name, "asked": sorted(_asked)}))
