"""Who may do what: the owner everything, the key of a job what its grant opens (``launcher.local.keys``)."""

from __future__ import annotations

from collections.abc import Callable

from launcher.local.host.address import Identity
from launcher.local.host.home import HomePaths
from launcher.local.keys import decision, grants
from launcher.local.keys.grants import Grant
from launcher.local.store.errors import StoreError
from launcher.local.store.sigv4 import Secret
from launcher.local.store.wire import Request


def _everything(bucket: str, key: bytes) -> bool:
    return True


class Access:
    """The keys that open the store.

    Args:
        home: the data folder, where keys of jobs lie.
        owner: the cloud's own credentials.
    """

    def __init__(self, home: HomePaths, owner: Identity) -> None:
        self._home = home
        self._owner = owner.access_key
        self._secret = Secret(owner.secret_key)
        self._asked: tuple[str, Grant | None] = ("", None)

    def secret_of(self, access_key: str) -> Secret | None:
        """What belongs to an access key; None for one that opens nothing."""
        if access_key == self._owner:
            return self._secret
        grant = grants.find(self._home, access_key)
        self._asked = access_key, grant
        return Secret(grant.secret_key) if grant else None

    def check(self, access_key: str, request: Request) -> Callable[[str, bytes], bool]:
        """Whether a sender may make this request; asked right after its signature was found to hold.

        Returns:
            whether it may also delete an object (bucket, key), as the body of DeleteObjects names them. The source of a
            copy has been decided with the request.

        Raises:
            StoreError: it may not.
        """
        if access_key == self._owner:
            return _everything
        asked, grant = self._asked
        if grant is None or asked != access_key:
            raise StoreError("AccessDenied")
        why = decision.refusal(grant, request.method, request.path, request.query, request.headers)
        if why is not None:
            raise StoreError("AccessDenied", why)

        def may_delete(bucket: str, key: bytes) -> bool:
            return not decision.refused_keys(grant, f"/{bucket}", [key.decode()])

        return may_delete
