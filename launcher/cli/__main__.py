"""``python -m launcher.cli``: the command ``batchrl`` of this very interpreter."""

import sys

from launcher.cli.entry import main

sys.exit(main())
