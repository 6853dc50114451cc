"""Handlers first: PID 1 has no default action, so a SIGTERM that comes before them would be lost (contract 6, 96)."""

from batchrl.boot.signals import StopSignals

STOPS = StopSignals()
STOPS.install()

import sys  # noqa: E402

from batchrl.boot.train import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], STOPS))
