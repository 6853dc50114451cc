"""Every benchmark can be imported: a name that moved is found here, and not by whoever runs it next."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench"
# It imports what only the environment of the peers has.
OF_PEERS = "child"
IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}")
"""


def test_every_benchmark_can_be_imported() -> None:
    own = [path.stem for path in sorted(BENCH.glob("*.py"))]
    of_peers = [f"peers.{path.stem}" for path in sorted((BENCH / "peers").glob("*.py")) if path.stem != OF_PEERS]
    assert len(own) > 20 and of_peers
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *own, *of_peers], cwd=BENCH, capture_output=True, text=True, timeout=240
    )
    assert (ended.stdout, ended.returncode) == ("", 0), ended.stderr
