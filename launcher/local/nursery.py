"""``python -m launcher.local.nursery`` starts the forkserver, as running API servers of version 0.1.0 still do."""

from __future__ import annotations

import sys

from launcher.local.shims.forkserver import main

if __name__ == "__main__":
    sys.exit(main())
