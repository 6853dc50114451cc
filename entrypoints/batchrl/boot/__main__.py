"""Handlers first: PID 1 has no default action, so a SIGTERM that comes before them would be lost (contract 6, 96)."""

from batchrl.boot.signals import StopSignals

STOPS = StopSignals()
STOPS.install()

import os  # noqa: E402
import sys  # noqa: E402

if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        from batchrl.boot.serve import main as serve

        code = serve(STOPS)
    elif sys.argv[1:2] == ["run"] and len(sys.argv) > 2:
        from batchrl.boot.program import main as run

        code = run(sys.argv[2:], STOPS)
    else:
        from batchrl.boot.train import main as train

        code = train(sys.argv[1:], STOPS)
    sys.stdout.flush()
    sys.stderr.flush()
    # An orderly exit would wait for uploads that hang; all that had to be waited for was.
    os._exit(code)
