"""Where in a folder or an archive a policy lies."""

from __future__ import annotations

from pathlib import Path

from batchrl.contract.archive import extract
from batchrl.contract.errors import InputError
from batchrl.contract.inference import DESCRIPTION_NAME, refuse_onnx
from batchrl.contract.layout import BEST_NAME, LATEST_NAME

POLICY_MARKS = (DESCRIPTION_NAME, BEST_NAME, LATEST_NAME, "epoch_*.pt")
ARCHIVES = "*.tar.gz"
HINT = "Give the checkpoints of a training job (its checkpoint_uri), or its model.tar.gz."


def find_policy(channel: Path, scratch: Path) -> Path:
    """The folder or file of a channel that ``load_policy`` can read.

    Args:
        channel: a file, or a folder that holds checkpoints or an exported model, itself or in one folder below it, or a
            ``model.tar.gz``.
        scratch: folder that an archive is unpacked into.

    Raises:
        InputError: there is no policy, or more than one, or it is an ONNX file.
    """
    refuse_onnx(str(channel))
    if channel.is_file():
        return _unpacked([channel], scratch) if channel.name.endswith(".tar.gz") else channel
    if not channel.is_dir():
        raise InputError(f"there is no policy: {channel} does not exist.", HINT)
    folders = _policy_folders(channel)
    if not folders and (archives := sorted(channel.rglob(ARCHIVES))):
        return _unpacked(archives, scratch)
    if not folders:
        found = ", ".join(sorted(path.name for path in channel.iterdir())[:5]) or "nothing"
        raise InputError(f"there is no policy in {channel}; it holds {found}.", HINT)
    if len(folders) > 1:
        names = ", ".join(str(folder.relative_to(channel)) for folder in folders[:5])
        raise InputError(f"{channel} holds several policies: {names}.", "Give one of them.")
    return folders[0]


def _policy_folders(root: Path) -> list[Path]:
    folders = {match.parent for mark in POLICY_MARKS for match in root.rglob(mark)}
    return sorted(folders)


def _unpacked(archives: list[Path], scratch: Path) -> Path:
    if len(archives) > 1:
        names = ", ".join(archive.name for archive in archives[:5])
        raise InputError(f"{archives[0].parent} holds several archives: {names}.", "Give one of them.")
    extract(archives[0], scratch)
    folders = _policy_folders(scratch)
    if len(folders) != 1:
        raise InputError(f"{archives[0]} holds {len(folders)} policies, expected one.", "Give a job's model.tar.gz.")
    return folders[0]
