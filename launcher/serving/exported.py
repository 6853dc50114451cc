"""What an exported model says of itself, read from its folder or archive without the packages that made it."""

from __future__ import annotations

import itertools
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import botocore.exceptions

from batchrl.contract import jsontext
from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.inference import CODE_FOLDER, DESCRIPTION_NAME
from launcher.session.answers import LOST

if TYPE_CHECKING:
    from batchrl.contract.layout import S3Url
    from launcher.session.session import Session

# How far the description is looked for in an archive that is read while it arrives.
MEMBERS_LOOKED_AT = 8
LARGEST_BYTES = 1024 * 1024
HINT = f"Give an exported model: its folder (with {DESCRIPTION_NAME}), its model.tar.gz, an S3 URL or a job's name."


@dataclass(frozen=True)
class ExportedModel:
    """A model's description and its files.

    Args:
        description: the content of model.json.
        files: bytes of each file, by its path.
    """

    description: Mapping[str, Any]
    files: Mapping[str, int]

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(self.files.values())

    @property
    def code(self) -> Mapping[str, Any] | None:
        """What is said of the code that travels with the model; None for a model that brings none."""
        brings = any(PurePosixPath(name).parts[0] == CODE_FOLDER for name in self.files)
        return self.description.get("code") if brings else None


def features_of(session: Session, archive: S3Url) -> int | None:
    """How many features a model takes; None where its archive does not say so at its beginning, or cannot be read.

    Args:
        session: the cloud.
        archive: a model.tar.gz, whose description comes before its weights.
    """
    try:
        body = session.s3.get_object(Bucket=archive.bucket, Key=archive.key)["Body"]
        with tarfile.open(fileobj=body, mode="r|gz") as members:
            for member in itertools.islice(members, MEMBERS_LOOKED_AT):
                if PurePosixPath(member.name).name == DESCRIPTION_NAME:
                    content = members.extractfile(member)
                    policy = _parsed(content.read() if content else b"", str(archive))["policy"]
                    return int(policy["preferences"]["network"]["n_features"])
                if member.size > LARGEST_BYTES:
                    return None
    except (
        *LOST,
        botocore.exceptions.ClientError,
        tarfile.TarError,
        zlib.error,
        DamagedContent,
        LookupError,
        TypeError,
    ):
        return None
    return None


def read_exported(path: Path) -> ExportedModel:
    """Read a model from a folder or an archive.

    Raises:
        InputError: there is no exported model.
        DamagedContent: it cannot be read.
    """
    if path.is_dir():
        file = path / DESCRIPTION_NAME
        if not file.is_file():
            raise InputError(f"there is no exported model in {path}.", HINT)
        files = {each.relative_to(path).as_posix(): each.stat().st_size for each in path.rglob("*") if each.is_file()}
        return ExportedModel(_parsed(file.read_bytes(), str(file)), dict(sorted(files.items())))
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.isfile()]
            files = {PurePosixPath(member.name).as_posix(): member.size for member in members}
            found = next((member for member in members if PurePosixPath(member.name).name == DESCRIPTION_NAME), None)
            content = archive.extractfile(found) if found is not None else None
            if content is None:
                raise InputError(f"{path} holds no exported model.", HINT)
            return ExportedModel(_parsed(content.read(), f"{DESCRIPTION_NAME} in {path}"), files)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is no archive of a model, or is damaged.", HINT) from error


def _parsed(content: bytes, place: str) -> Mapping[str, Any]:
    try:
        description = jsontext.parsed(content)
    except ValueError as error:
        raise DamagedContent(f"{place} is not JSON: {error}.") from error
    if not isinstance(description, dict) or not isinstance(description.get("policy"), dict):
        raise DamagedContent(f"{place} describes no policy.")
    return description
