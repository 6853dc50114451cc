"""Check logged data without training on it: ``python -m batchrl.data PATH``.

Stdin: a JSON object with the preset's section ``data`` and its ``seed``.
Exit code 0 when a training job would accept it. Else 2, and a JSON object with ``message`` and ``hint`` on stdout.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from batchrl.contract.errors import EXIT_DONE, InputError
from batchrl.data.loader import load_dataset
from batchrl.data.split import split_for_run
from presets.schema import DataSettings


def main() -> int:
    given = json.load(sys.stdin)
    settings = DataSettings.model_validate_json(json.dumps(given["data"]))
    try:
        loaded = load_dataset(Path(sys.argv[1]), settings)
        split_for_run(loaded.dataset.lengths, settings, given["seed"])
    except InputError as error:
        json.dump({"message": error.message, "hint": error.hint}, sys.stdout)
        return error.exit_code
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
