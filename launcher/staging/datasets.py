"""Inputs of a job: S3 prefixes as they are, local files, folders and tables in memory by their content.

A local file goes to ``datasets/<sha256>/<name>``, a folder to ``datasets/<sha256>/<relative paths>``, where the
folder's sha256 covers the paths and contents of all its files. What lies there with its size is not sent again.
"""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from batchrl.contract.errors import InputError
from batchrl.contract.files import file_sha256, write_atomically
from batchrl.contract.layout import BucketLayout, S3Url
from batchrl.contract.named import folder_sha256
from batchrl.contract.paths import TRAINING_CHANNEL
from launcher.api.training import Channel
from launcher.staging.frames import frame_file, is_frame
from launcher.staging.package import SETTLED_SECONDS, cache_folder

FILE_SCHEME = "file://"
CHANNEL_KEYS = {field.name for field in fields(Channel)} - {"name"}


@dataclass(frozen=True)
class Upload:
    """One file that a job needs in S3.

    Args:
        path: the file on this computer.
        url: where it goes; the key holds its digest or that of its folder.
        group: the prefix that holds all files of one folder; ``url`` itself for a single file.
        size: bytes.
        sha256: of its content.
    """

    path: Path
    url: S3Url
    group: S3Url
    size: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """In JSON's types, without the group."""
        return {"path": str(self.path), "url": str(self.url), "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class LocalInput:
    """A channel that is a file or folder of this computer.

    Args:
        path: the file or folder.
        uploads: all of its files.
    """

    path: Path
    uploads: tuple[Upload, ...]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(upload.size for upload in self.uploads)


@dataclass(frozen=True)
class Inputs:
    """The channels of a job.

    Args:
        channels: as the request has them.
        local: those that have to be sent, by name.
    """

    channels: tuple[Channel, ...]
    local: Mapping[str, LocalInput]

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """Everything that has to be sent before the job starts."""
        return tuple(upload for given in self.local.values() for upload in given.uploads)


def resolve_inputs(inputs: object, layout: BucketLayout) -> Inputs:
    """Read what a user gave as the inputs of a job.

    Args:
        inputs: a path, an S3 URL or a table (channel ``training``), or a mapping from channel names to those,
            ``Channel`` objects, or mappings with the keys of ``Channel`` (``s3_uri`` may be a path there as well). A
            table is one of pandas, polars or pyarrow, or another with Arrow's C interface.
        layout: where content goes.

    Raises:
        InputError: a path does not exist, a folder is empty, or the kind of value is unknown.
    """
    if inputs is None:
        return Inputs((), {})
    named = inputs if isinstance(inputs, Mapping) else {TRAINING_CHANNEL: inputs}
    channels: list[Channel] = []
    local: dict[str, LocalInput] = {}
    digests = _DigestCache()
    for name, value in named.items():
        given = str(frame_file(f"channel '{name}'", value)) if is_frame(value) else value
        channel = _channel(str(name), given)
        path = _local_path(channel.s3_uri)
        if path is not None:
            uri, sent = _plan_path(f"channel '{name}'", path, layout, digests)
            channel = Channel(**{**_values(channel), "s3_uri": uri})
            local[str(name)] = LocalInput(path, tuple(sent))
        channels.append(channel)
    digests.save()
    return Inputs(tuple(channels), local)


def resolve_data(what: str, given: str | Path | S3Url, layout: BucketLayout) -> tuple[str, tuple[Upload, ...]]:
    """Read a path or an S3 URL.

    Args:
        what: begins the messages, as ``data``.
        given: the path or URL.
        layout: where content goes.

    Returns:
        The URL, and what has to be sent before something is there.

    Raises:
        InputError: the path does not exist, or is an empty folder.
    """
    path = _local_path(str(given))
    if path is None:
        return str(given), ()
    digests = _DigestCache()
    uri, uploads = _plan_path(what, path, layout, digests)
    digests.save()
    return uri, tuple(uploads)


def _values(channel: Channel) -> dict[str, Any]:
    return {field.name: getattr(channel, field.name) for field in fields(channel)}


def _channel(name: str, value: object) -> Channel:
    if isinstance(value, Channel):
        return Channel(**{**_values(value), "name": name})
    if isinstance(value, str | Path | S3Url):
        return Channel(name, str(value))
    if isinstance(value, Mapping):
        if unknown := [str(key) for key in value if key not in CHANNEL_KEYS]:
            near = difflib.get_close_matches(unknown[0], CHANNEL_KEYS, 1)
            raise InputError(
                f"channel '{name}': unknown key '{unknown[0]}'.",
                f"Did you mean '{near[0]}'?" if near else f"Keys: {', '.join(sorted(CHANNEL_KEYS))}.",
            )
        if "s3_uri" not in value:
            raise InputError(f"channel '{name}': the key 's3_uri' is missing.")
        details = dict(value)
        details["s3_uri"] = str(details["s3_uri"])
        details["attribute_names"] = tuple(details.get("attribute_names", ()))
        return Channel(name=name, **details)
    config = getattr(value, "config", None)
    if isinstance(config, Mapping) and "DataSource" in config:
        return _from_wire(name, config)
    raise InputError(
        f"channel '{name}': a {type(value).__name__} is no input.",
        "Give a path, an s3:// URL, a table of pandas, polars or pyarrow, or a mapping with the key s3_uri.",
    )


def _from_wire(name: str, config: Mapping[str, Any]) -> Channel:
    """A channel from a ``sagemaker.inputs.TrainingInput``, which holds the request's own keys."""
    source = config["DataSource"].get("S3DataSource")
    if source is None:
        raise InputError(f"channel '{name}': only S3 data sources are possible.")
    return Channel(
        name,
        source["S3Uri"],
        content_type=config.get("ContentType"),
        input_mode=config.get("InputMode"),
        distribution=source.get("S3DataDistributionType") or "FullyReplicated",
        data_type=source.get("S3DataType") or "S3Prefix",
        compression=config.get("CompressionType"),
        record_wrapping=config.get("RecordWrapperType"),
        attribute_names=tuple(source.get("AttributeNames") or ()),
        shuffle_seed=(config.get("ShuffleConfig") or {}).get("Seed"),
    )


def _local_path(uri: str) -> Path | None:
    if uri.startswith(FILE_SCHEME):
        return Path(uri.removeprefix(FILE_SCHEME))
    if "://" in uri:
        return None
    return Path(uri).expanduser()


def _plan_path(where: str, path: Path, layout: BucketLayout, digests: _DigestCache) -> tuple[str, list[Upload]]:
    """The URI and the uploads for a local file or folder; ``where`` begins the messages."""
    if path.is_file():
        digest = digests.of(path)
        url = layout.dataset(digest) / path.name
        return str(url), [Upload(path.absolute(), url, url, path.stat().st_size, digest)]
    if not path.is_dir():
        raise InputError(f"{where}: there is no file or folder {path.absolute()}.")
    files = sorted(_files(path, path))
    if not files:
        raise InputError(f"{where}: the folder {path.absolute()} holds no file.")
    listed = [(name, file, digests.of(file)) for name, file in files]
    digest = folder_sha256((name, sha256) for name, _, sha256 in listed)
    base = layout.dataset(digest)
    # A trailing slash, so that the raw prefix means this folder and the job sees the paths below it (contract 48).
    return f"{base}/", [
        Upload(file.absolute(), base / name, base, file.stat().st_size, sha) for name, file, sha in listed
    ]


def _files(folder: Path, top: Path, above: tuple[Path, ...] = ()) -> Iterator[tuple[str, Path]]:
    real = folder.resolve()
    if real in above:
        raise InputError(f"{folder} is a link to {real}, a folder above it: links lead in a circle.")
    for path in folder.iterdir():
        if path.is_dir():
            yield from _files(path, top, (*above, real))
        elif path.is_file():
            yield path.relative_to(top).as_posix(), path


class _DigestCache:
    """sha256 of files, remembered by path and state, so that a large data set is read once."""

    KEPT = 1000

    def __init__(self) -> None:
        self._file = cache_folder() / "digests.json"
        self._changed = False
        try:
            self._known: dict[str, Any] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            self._known = {}

    def of(self, path: Path) -> str:
        """The digest of a file.

        Raises:
            InputError: it cannot be read.
        """
        key = str(path.absolute())
        try:
            stat = path.stat()
            state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
            known = self._known.get(key)
            if isinstance(known, list) and known[:-1] == state:
                return str(known[-1])
            now, digest = time.time(), file_sha256(path)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        if max(stat.st_mtime_ns, stat.st_ctime_ns) / 1e9 < now - SETTLED_SECONDS:
            self._known.pop(key, None)
            self._known[key] = [*state, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        """Keep what was learned; a cache that cannot be written is no fault."""
        if not self._changed:
            return
        newest = dict(list(self._known.items())[-self.KEPT :])
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, json.dumps(newest), shared=True)
        except OSError:
            return
