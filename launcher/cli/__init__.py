"""The command ``batchrl``: one command a file in ``commands``, loaded when it is asked for."""

from launcher.cli.entry import main

__all__ = ["main"]
