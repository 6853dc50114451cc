"""``serve``: the model server as a child of PID 1 (contract 125, 180, 185)."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

from batchrl.boot import forward
from batchrl.boot.environment import identity
from batchrl.boot.intermediate import say
from batchrl.boot.signals import StopSignals
from batchrl.boot.supervise import Script
from batchrl.contract.errors import EXIT_DONE, BatchRLError, InputError
from batchrl.contract.inference import CODE_FOLDER, SERVER, InferenceCode
from batchrl.contract.paths import JobPaths


def main(stops: StopSignals) -> int:
    """Serve the model that this machine was prepared for.

    Args:
        stops: the signals that were installed first.

    Returns:
        The server's exit code; 0 where it was stopped, 2 for a model that cannot be served, 70 for a fault of our own.
    """
    try:
        return run(JobPaths.from_environment(), stops)
    except BatchRLError as error:
        say(str(error))
        return error.exit_code
    except Exception:
        traceback.print_exc()
        return BatchRLError.exit_code


def run(paths: JobPaths, stops: StopSignals) -> int:
    """Run the server.

    Raises:
        InputError: this installation has no server, and the model brings none.
    """
    forward.start(os.environ)
    code = server_code(paths.model)
    if stops.received:
        return EXIT_DONE
    ending = Script([sys.executable, SERVER], code, server_environment(code, os.environ), stops).wait()
    # A signal that came before the server's own handlers stood has stopped it as well.
    return EXIT_DONE if ending.signal == signal.SIGTERM and stops.received else ending.exit_code


def server_code(model: Path) -> Path:
    """The folder of the code that serves a model: what travelled with it wins over this installation's.

    Where both are the same, this installation's is taken, which is compiled already.

    Raises:
        InputError: neither holds a server.
    """
    own, travelled = InferenceCode.own(), InferenceCode.below(model / CODE_FOLDER)
    if travelled.has_server and not travelled.same_as(own):
        return travelled.scripts
    if not own.has_server:
        raise InputError(f"this image has no {SERVER}, and the model brings none.", "Use batchrl's own image.")
    return own.scripts


def server_environment(code: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The server's whole environment: its code comes first on the import path."""
    search = [str(code), *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**environ, "PYTHONPATH": os.pathsep.join(search), "PYTHONUNBUFFERED": "1"} | identity(environ)
