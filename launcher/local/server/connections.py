"""Who may hold a connection to the API server, and what is told of those who are refused.

=====================================  ===========================================================================
a connection of                        finds
=====================================  ===========================================================================
this user (or root)                    a place, as long as ``MOST`` are not taken; when they are, the connection
                                       that has been there longest without a verified request leaves for it
another user                           a place among ``MOST_OF_OTHERS`` that are theirs alone: they take none of
                                       this user's, and this user's connections are never ended for them
=====================================  ===========================================================================

Until a request is verified, nobody can make this process keep more than a head of 64 KiB and a small share of memory.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

from launcher.api.errors import ApiError
from launcher.local.host.peers import is_owner, peer_uid

MOST = 512
MOST_OF_OTHERS = 16
# Memory for bodies that wait for their verification, all connections together.
MOST_UNVERIFIED_BYTES = 32 * 1024 * 1024
WAIT_SECONDS = 20.0
LINES_A_MINUTE = 10
# Where the application finds, in the environment of a request, what to call when it was verified.
LET_IN = "batchrl.let_in"

log = logging.getLogger(__name__)


class Connection:
    """One connection.

    Args:
        end: its socket.
        of_owner: whether this user, or root, is at the other end.
    """

    def __init__(self, end: socket.socket, of_owner: bool) -> None:
        self.end = end
        self.of_owner = of_owner
        self.verified = False

    def leave(self) -> None:
        """End it, whatever its thread waits for."""
        with contextlib.suppress(OSError):
            self.end.shutdown(socket.SHUT_RDWR)


class Connections:
    """The connections of all listeners of one API server.

    Args:
        most: of this user.
        most_of_others: of all others together.
        uid_of: whose a connection is.
    """

    def __init__(
        self,
        most: int = MOST,
        most_of_others: int = MOST_OF_OTHERS,
        uid_of: Callable[[socket.socket], int | None] = peer_uid,
    ) -> None:
        self._most = {True: most, False: most_of_others}
        self._uid_of = uid_of
        self._open: dict[socket.socket, Connection] = {}
        self._lock = threading.Lock()

    def admit(self, end: socket.socket) -> bool:
        """Give a new connection its place; whether there is one."""
        connection = Connection(end, is_owner(self._uid_of(end)))
        with self._lock:
            alike = [one for one in self._open.values() if one.of_owner == connection.of_owner]
            if len(alike) >= self._most[connection.of_owner]:
                oldest = next((one for one in alike if not one.verified), None)
                if oldest is None or not connection.of_owner:
                    return False
                del self._open[oldest.end]
                oldest.leave()
            self._open[end] = connection
        return True

    def let_in(self, end: socket.socket) -> None:
        """Note that the request of a connection was verified."""
        with self._lock:
            if end in self._open:
                self._open[end].verified = True

    def forget(self, end: socket.socket) -> None:
        """Note that a connection has ended."""
        with self._lock:
            self._open.pop(end, None)

    def __len__(self) -> int:
        with self._lock:
            return len(self._open)


class Budget:
    """Bytes that may be in memory at a time, for all together.

    Args:
        total: how many.
        patience: how long one waits for its share, in seconds.
    """

    def __init__(self, total: int = MOST_UNVERIFIED_BYTES, patience: float = WAIT_SECONDS) -> None:
        self._left = total
        self._patience = patience
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def share(self, size: int) -> Iterator[None]:
        """So many bytes of it, until the end of the block.

        Raises:
            ApiError: others have had it for too long.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._left >= size, self._patience):
                raise ApiError(
                    "ThrottlingException", "Too many bodies arrive at once. Try again.", 503, s3_code="SlowDown"
                )
            self._left -= size
        try:
            yield
        finally:
            with self._changed:
                self._left += size
                self._changed.notify_all()


class Refusals:
    """Tells of strangers' requests that made no sense: some a minute, and how many more there were.

    Args:
        a_minute: most lines.
        clock: seconds, monotonic.
    """

    def __init__(self, a_minute: int = LINES_A_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = a_minute
        self._clock = clock
        self._since = clock()
        self._count = 0
        self._lock = threading.Lock()

    def tell(self, text: str) -> None:
        """Log a line, unless there were too many in this minute."""
        with self._lock:
            now = self._clock()
            if now - self._since >= 60:
                if self._count > self._most:
                    log.info("%d more requests like these in the last minute", self._count - self._most)
                self._since, self._count = now, 0
            self._count += 1
            if self._count > self._most:
                return
        log.info("refused: %s", text[:200].encode("ascii", "backslashreplace").decode())
