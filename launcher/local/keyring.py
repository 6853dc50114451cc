"""The credentials that the door accepts: its own, and the temporary ones that its STS gave out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from launcher.local.server.auth import Keys


class Keyring:
    """Credentials by access key. Temporary ones are forgotten when they expire, and when the door ends.

    Args:
        own: the cloud's own credentials.
        clock: seconds, never running back.
    """

    def __init__(self, own: Keys, clock: Callable[[], float] = time.monotonic) -> None:
        self._own = own
        self._clock = clock
        self._temporary: dict[str, tuple[Keys, float]] = {}
        self._lock = threading.Lock()

    def find(self, access_key: str) -> Keys | None:
        """The credentials with an access key, or None."""
        if access_key == self._own.access_key:
            return self._own
        with self._lock:
            keys, expires = self._temporary.get(access_key, (None, 0.0))
        return keys if expires > self._clock() else None

    def lend(self, keys: Keys, seconds: float) -> None:
        """Accept temporary credentials for so many seconds."""
        now = self._clock()
        with self._lock:
            self._temporary = {name: entry for name, entry in self._temporary.items() if entry[1] > now}
            self._temporary[keys.access_key] = (keys, now + seconds)
