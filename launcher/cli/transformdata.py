"""What the data of a transform holds, as its name tells."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from pathlib import Path

from batchrl.contract.errors import InputError

PARQUET = ".parquet"
KINDS_SHOWN = 4
SAY_IT = "Say it: --content-type application/jsonlines"


def content_type_of_data(data: str) -> str:
    """The content type of a file, of all files of a folder, or of what an S3 URL names.

    Raises:
        InputError: the name does not tell, a folder holds none or several kinds, or there is no such path.
    """
    from launcher.api.transform import content_type_of

    place = Path(data).expanduser()
    if "://" not in data and not place.exists():
        raise InputError(f"there is no file or folder {place.absolute()}.")
    if not place.is_dir():
        return content_type_of(data) or _refuse(data)
    files = [path for path in place.rglob("*") if path.is_file()]
    kinds = {content_type_of(file.name) for file in files}
    only = kinds.pop() if len(kinds) == 1 else None
    return only or _refuse_folder(data, files)


def _refuse(data: str) -> str:
    if not data.lower().endswith(PARQUET):
        raise InputError(f"{data}: its name does not tell what it holds.", SAY_IT)
    file = "FILE" if "://" in data else data
    read, written = (json.dumps(name, ensure_ascii=False) for name in (file, str(Path(file).with_suffix(".csv"))))
    code = f"import pandas; pandas.read_parquet({read}).to_csv({written}, header=False, index=False)"
    raise InputError(
        f"{data} is a Parquet file, and records are lines of CSV or JSON.",
        f"Convert it; its columns have to be the state's, in their order: python -c {shlex.quote(code)}",
    )


def _refuse_folder(data: str, files: list[Path]) -> str:
    if not files:
        raise InputError(f"the folder {data} holds no file.", "Give one with records: lines of CSV or JSON.")
    counts = Counter(file.suffix or "without an ending" for file in files).most_common()
    held = ", ".join(f"{count} {ending}" for ending, count in counts[:KINDS_SHOWN])
    more = f", and {len(counts) - KINDS_SHOWN} kinds more" if len(counts) > KINDS_SHOWN else ""
    if len(counts) == 1:
        if counts[0][0] == PARQUET:
            return _refuse(str(min(files)))
        raise InputError(f"the folder {data} holds {held}: their names do not tell what they hold.", SAY_IT)
    raise InputError(
        f"the folder {data} holds files of several kinds: {held}{more}.",
        "Each file would be taken for records: give one file, or a folder of files of one kind.",
    )
