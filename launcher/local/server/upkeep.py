"""What an API server puts back while it runs: files that were removed or spoilt, and the bounds of its logs.

========================================  =====================================================================
lost or spoilt while it runs              then
========================================  =====================================================================
cloud.json, door.json, door.lock, folders  written again, from what this process holds
door.lock, and another server has it       this one leaves: the other serves
records.sqlite                             it leaves; the next start has what is there, or says what is wrong
the data folder, another in its place too  it leaves, and ends the store; the folder is never made again
store.json, s3.lock                        the store is found by what runs (``host.role``), or started again
========================================  =====================================================================
"""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from batchrl.contract.errors import InputError
from launcher.local.host.address import DamagedFile, Identity
from launcher.local.host.home import HomePaths
from launcher.local.host.logfile import keep_bounded
from launcher.local.host.role import Tenure

# What is wrong with a file of records that will not become right again.
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

log = logging.getLogger(__name__)


class Upkeep:
    """The files of a running API server.

    Args:
        paths: the data folder.
        identity: its ports and credentials.
        tenure: its role.
    """

    def __init__(self, paths: HomePaths, identity: Identity, tenure: Tenure) -> None:
        self._paths = paths
        self._identity = identity
        self._tenure = tenure
        self._root = paths.root.stat()
        self._records = paths.records.stat()
        self._reported = ""

    def keep(self) -> bool:
        """Look after the files; False when this server must leave."""
        if not self.has_its_folder():
            log.error("%s was removed; the API server leaves", self._paths.root)
            return False
        self._paths.create_inside()
        if not self._tenure.keep():
            log.error("another API server has taken over; this one leaves")
            return False
        self._keep_identity()
        if not _is_still(self._paths.records, self._records):
            log.error("%s was removed or replaced; the API server leaves", self._paths.records)
            return False
        for one in (self._paths.server_log, self._paths.store_log):
            if keep_bounded(one):
                log.info("%s had become too long; its end is in %s.1", one, one)
        return True

    def has_its_folder(self) -> bool:
        """Whether the data folder is the one that this server began with."""
        return _is_still(self._paths.root, self._root)

    def report(self, error: Exception) -> bool:
        """Log what went wrong, the same once only; whether this server must leave for it."""
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, sqlite3.DatabaseError) and code is not None and code & 0xFF in _DAMAGED:
            log.error("%s is damaged (%s); the API server leaves", self._paths.records, error)
            return True
        text = f"{type(error).__name__}: {error}"
        if text != self._reported:
            self._reported = text
            log.error("looking after the cloud", exc_info=error)
        return False

    def _keep_identity(self) -> None:
        try:
            stored = Identity.read(self._paths.cloud_file)
        except DamagedFile:
            stored = None
        except InputError as error:
            log.warning("%s", error)
            return
        if stored != self._identity:
            log.warning("%s was lost or spoilt; it is written again", self._paths.cloud_file)
            self._identity.write(self._paths.cloud_file)


def _is_still(path: Path, known: os.stat_result) -> bool:
    """Whether a path leads to the very file that it led to."""
    try:
        return os.path.samestat(path.stat(), known)
    except OSError:
        return False
