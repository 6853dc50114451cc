"""Command lines of scripts that people call with options, such as ``collect.py`` and ``ope.py``."""

from __future__ import annotations

import argparse
import difflib
from typing import NoReturn

from batchrl.contract.errors import InputError


class Parser(argparse.ArgumentParser):
    """Takes options by their whole names only, and names the nearest one for one that does not exist.

    Args:
        prog: name of the script.
        description: what it does.
        epilog: examples, shown as they are written.
    """

    def __init__(self, prog: str, description: str | None, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Refuse the command line with the nearest option of that name, exit code 2."""
        words = message.removeprefix("unrecognized arguments: ").split()
        options = [name for action in self._actions for name in action.option_strings]
        near = difflib.get_close_matches(words[0].partition("=")[0], options, n=1) if words else []
        hint = f"Did you mean {near[0]}?" if message.startswith("unrecognized") and near else "See --help."
        self.exit(InputError.exit_code, f"Error: {message}\n{hint}\n")
