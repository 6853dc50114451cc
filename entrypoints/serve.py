"""Serve a trained policy over HTTP, as SageMaker's batch transform and endpoints ask for it.

    python serve.py [--model DIR]

GET /ping answers once the policy is loaded, GET /execution-parameters says how many requests to send at once, POST
/invocations takes JSON Lines, JSON and CSV. In a container the model is /opt/ml/model and the port 8080.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from batchrl.commandline.parser import Parser
from batchrl.contract.errors import EXIT_DONE, BatchRLError, InputError
from batchrl.contract.paths import JobPaths
from batchrl.serving.listener import listen
from batchrl.serving.settings import ServingSettings, usable_cores

EXAMPLES = """examples:
  python serve.py --model results/model &
  curl -H 'Content-Type: application/jsonlines' -d '[0.1, 0, -0.2, 0]' http://127.0.0.1:8080/invocations

environment variables:
  SAGEMAKER_BIND_TO_PORT                 the port (default: 8080)
  SAGEMAKER_MODEL_SERVER_WORKERS         processes (default: one a core)
  SAGEMAKER_MODEL_SERVER_TIMEOUT         seconds that one thing may take (default: 60)
  SAGEMAKER_MAX_PAYLOAD_IN_MB            largest body (default: 6; 0: any)
  BATCHRL_TARGET_POLICY                  greedy, epsilon_greedy or softmax (default: the model's own)
  BATCHRL_EPSILON, BATCHRL_TEMPERATURE   of these
  BATCHRL_BAD_RECORDS                    record: a line with the fault (default); reject: 400 for the whole body
"""


def main(argv: Sequence[str]) -> int:
    """Listen, load, serve; returns the exit code."""
    parser = Parser("serve.py", __doc__, EXAMPLES)
    parser.add_argument("--model", type=Path, help="an exported model, or checkpoints (default: /opt/ml/model)")
    arguments = parser.parse_args(argv)
    # Whoever stops a server that has not started yet is not kept waiting for its imports.
    signal.signal(signal.SIGTERM, lambda signum, frame: os._exit(EXIT_DONE))
    try:
        return serve(arguments.model or JobPaths.from_environment().model)
    except BatchRLError as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        return error.exit_code


def serve(folder: Path) -> int:
    """Serve the model of a folder until a signal ends it; returns the exit code."""
    # 1. Settings and the address, before anything heavy is imported: a mistake in them is reported at once, and who
    #    connects from now on waits for the model.
    settings = ServingSettings.from_environment(os.environ, usable_cores())
    if not folder.is_dir() or not any(folder.iterdir()):
        raise InputError(
            f"there is no model in {folder}.", "Give the model.tar.gz of a training job as the model's data."
        )
    listener, address = listen(settings)

    # 2. The model, once for all workers. What is imported stays: a collector would look at it in vain, for a tenth of
    #    the time. Each worker computes with one thread, which the libraries read when they are loaded.
    gc.disable()
    os.environ.update({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    from batchrl.serving.loading import load_service
    from batchrl.serving.supervisor import Supervisor
    from batchrl.serving.worker import run_worker

    loaded = load_service(folder, settings)
    print(f"serving {loaded.description} at {address}, workers: {settings.workers}", flush=True)

    # 3. The workers, until a signal. Their collectors leave alone what is there now, and so its pages stay shared.
    gc.freeze()
    gc.enable()
    work = functools.partial(run_worker, loaded.service, settings, loaded.record_seconds)
    return Supervisor(listener, settings.workers, work, settings.timeout).run()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # An orderly exit would unload libraries for a tenth of a second; whoever stops a server waits for it.
    os._exit(code)
