"""``python -m launcher.local.door`` starts the API server, as running clients of version 0.1.0 still do."""

from __future__ import annotations

import sys

from launcher.local.server.process import main

if __name__ == "__main__":
    sys.exit(main())
