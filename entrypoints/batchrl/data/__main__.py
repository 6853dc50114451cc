"""Check logged data without training on it: ``python -m batchrl.data PATH``, settings of the preset's section on stdin.

Exit code 0 when a training job would accept it. Else 2, and a JSON object with ``message`` and ``hint`` on stdout.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from batchrl.contract.errors import EXIT_DONE, InputError
from batchrl.data.loader import load_dataset
from presets.schema import DataSettings


def main() -> int:
    settings = DataSettings.model_validate_json(sys.stdin.read())
    try:
        load_dataset(Path(sys.argv[1]), settings)
    except InputError as error:
        json.dump({"message": error.message, "hint": error.hint}, sys.stdout)
        return error.exit_code
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
