"""Roles of a data folder that one process plays at a time: API server, store.

Whoever plays a role holds its lock as long as it lives, and the system says who that is. A file names the process too,
so that it is found at once. The file may be lost or wrong; whoever looks writes it again, and the process does:

=====================================  =========================================  ==============================
the file names                         the lock is held by                        the role is played by
=====================================  =========================================  ==============================
a process                              that process                               that process
nothing, nonsense, another process     some process, though its file was removed  that one; the file is put right
anything                               nobody                                     nobody
=====================================  =========================================  ==============================
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.base import lock
from launcher.base.lock import Lock
from launcher.local.host.processes import ProcessId


@dataclass(frozen=True)
class Role:
    """What one process does for a data folder.

    Args:
        lock: the file whose lock it holds.
        process_file: the file that names it.
    """

    lock: Path
    process_file: Path

    def player(self) -> ProcessId | None:
        """The process that plays it now; None where there is none."""
        named = ProcessId.read(self.process_file)
        if named is not None and named.alive and _holds(named.pid, self.lock):
            return named
        found = lock_holder(self.lock)
        if found is not None:
            with contextlib.suppress(OSError):  # it is found without the file, too
                found.write(self.process_file)
        return found

    def take(self) -> Tenure | None:
        """Play it from now on; None where another process does."""
        held = lock.take(self.lock)
        return None if held is None else Tenure(self, held)

    def forget(self) -> None:
        """Remove the file that names a process which has ended."""
        self.process_file.unlink(missing_ok=True)


class Tenure:
    """A role that this process plays, until it ends.

    Args:
        role: the role.
        held: its lock.
    """

    def __init__(self, role: Role, held: Lock) -> None:
        self._role = role
        self._held = [held]

    def announce(self) -> None:
        """Have the file name this process."""
        own = ProcessId.of(os.getpid())
        assert own is not None
        if ProcessId.read(self._role.process_file) != own:
            own.write(self._role.process_file)

    def keep(self) -> bool:
        """Put back what was removed or spoilt; False where another process has taken the role meanwhile."""
        if not self._held[-1].is_of(self._role.lock):
            again = lock.take(self._role.lock)
            if again is None:
                return False
            self._held.append(again)  # and the lock of the removed file: others may still wait for it
        self.announce()
        return True


def lock_holder(path: Path) -> ProcessId | None:
    """The process of this user that holds the lock of a file, also of one that was removed while it was held."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and _holds(int(entry.name), path):
            return ProcessId.of(int(entry.name))
    return None


def _holds(pid: int, path: Path) -> bool:
    return any(_is_locked(pid, name) for name in _descriptors(pid, path))


def _descriptors(pid: int, path: Path) -> Iterator[str]:
    """The descriptors of a process that are a file, or what a path was until it was removed."""
    try:
        wanted = path.stat()
    except OSError:
        wanted = None
    removed = f"{path} (deleted)"
    folder = Path(f"/proc/{pid}/fd")
    try:
        links = list(folder.iterdir())
    except OSError:  # it is another user's, or has ended
        return
    for link in links:
        try:
            info = link.stat()
            if (wanted is not None and os.path.samestat(info, wanted)) or str(link.readlink()) == removed:
                yield link.name
        except OSError:
            continue


def _is_locked(pid: int, descriptor: str) -> bool:
    """Whether an open file holds a lock. A system that does not say is taken to say yes: nobody else keeps it open."""
    try:
        lines = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text()
    except OSError:
        return False
    return "FLOCK" in lines or not _locks_are_shown()


def _locks_are_shown() -> bool:
    """Whether this system says which open files hold locks, asked with one that does."""
    handle = os.memfd_create("lock")
    try:
        lock.hold(handle)
        return "FLOCK" in Path(f"/proc/self/fdinfo/{handle}").read_text()
    except OSError:
        return False
    finally:
        os.close(handle)
