"""The cloud that the console shows, as it is at a request: the console never starts one that was taken down."""

from __future__ import annotations

import threading

from batchrl.contract.errors import Unreachable
from launcher.session.session import LocalSession, Session


class WatchedCloud:
    """A cloud.

    Args:
        session: the way to it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()

    @property
    def is_local(self) -> bool:
        """Whether it is on this computer."""
        return self._session.is_local

    @property
    def name(self) -> str:
        """What people call it."""
        return "this computer" if self.is_local else f"Amazon SageMaker, {self._session.region}"

    def session(self) -> Session:
        """The way to it, if it is there.

        Raises:
            Unreachable: the local cloud does not run.
        """
        if isinstance(self._session, LocalSession):
            from launcher.local import cloud

            if not cloud.is_up(self._session.home):
                raise Unreachable("the local cloud does not run.", "Start it: batchrl cloud up")
        # Clients are made one at a time: boto3's own sessions are not for several threads.
        with self._lock:
            _ = self._session.sagemaker, self._session.s3, self._session.logs
        return self._session

    def found_again(self) -> None:
        """After a connection broke: find the cloud where it is now, if it is there.

        Raises:
            Unreachable: it is not.
        """
        session = self.session()
        with self._lock:
            session.revive()
