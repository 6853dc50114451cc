"""``train``: from the mounted tree to the script's exit code."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence

from batchrl.boot import failure, forward
from batchrl.boot.environment import JobDescription, command, script_environment
from batchrl.boot.intermediate import IntermediateSync, destination, say
from batchrl.boot.requirements import install_missing
from batchrl.boot.signals import StopSignals
from batchrl.boot.supervise import SIGNAL_EXIT_BASE, Script
from batchrl.boot.unpack import code_folder
from batchrl.contract import hyperparameters as names
from batchrl.contract.errors import BatchRLError, InputError
from batchrl.contract.nofollow import JobFolder
from batchrl.contract.paths import JOB_NAME_VARIABLE, JobPaths

USAGE = "usage: python3 -m batchrl.boot train|serve|run COMMAND..."


def main(arguments: Sequence[str], stops: StopSignals) -> int:
    """Run the job that this machine was prepared for.

    Args:
        arguments: ``["train"]``, what the platform passes (contract 1).
        stops: the signals that were installed first.

    Returns:
        The script's own exit code; 2 for a job that cannot be run, 70 for a fault of our own.
    """
    if list(arguments) != ["train"]:
        say(f"{USAGE}; got {' '.join(arguments) or 'no argument'}.")
        return InputError.exit_code
    paths = JobPaths.from_environment()
    try:
        return run(paths, stops)
    except BatchRLError as error:
        say(str(error))
        failure.write(paths.failure, str(error))
        return error.exit_code
    except Exception as error:
        traceback.print_exc()
        failure.write(paths.failure, f"fault of batchrl.boot: {type(error).__name__}: {error}")
        return BatchRLError.exit_code


def run(paths: JobPaths, stops: StopSignals) -> int:
    """Prepare and run the script.

    Raises:
        BatchRLError: there is no code, its entry point is missing, or its requirements cannot be installed.
    """
    forward.start(os.environ)
    job = JobDescription.read(paths)
    code = code_folder(paths, job.hyperparameters)
    argv = command(job, code)
    packages = install_missing(code, paths.root, stops)
    for folder in (paths.model, paths.output_data):
        folder.mkdir(parents=True, exist_ok=True)
    sync = _intermediate_sync(paths, job)
    if stops.received:
        return SIGNAL_EXIT_BASE + stops.received[0]
    script = Script(argv, code, script_environment(paths, job, code, packages, os.environ), stops)
    if sync is not None:
        sync.start()
    ending = script.wait()
    if sync is not None:
        sync.finish()
    if ending.exit_code:
        failure.write(paths.failure, failure.describe(ending))
    return ending.exit_code


def _intermediate_sync(paths: JobPaths, job: JobDescription) -> IntermediateSync | None:
    """The sync of the intermediate folder, unless the platform has made it its own by creating it (contract 105)."""
    target = destination(job.hyperparameters.get(names.S3_OUTPUT), os.environ.get(JOB_NAME_VARIABLE, ""))
    present = paths.intermediate.exists()
    paths.intermediate.mkdir(parents=True, exist_ok=True)
    if target is None or present:
        return None
    folder = JobFolder(paths.root, str(paths.intermediate.relative_to(paths.root)))
    return IntermediateSync(folder, target, os.environ.get("AWS_ENDPOINT_URL_S3"))
