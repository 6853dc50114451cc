"""Where a model server listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from batchrl.contract.records import to_json
from launcher.local.host.processes import ProcessId


@dataclass(frozen=True)
class ServerAddress:
    """A unix socket, or a host and a port.

    Args:
        path: of the unix socket; None for TCP.
        host, port: of TCP; None for a unix socket.
        holder: the process whose end gives the address away: an engine hands the address of a container that has ended
            to the next one, which may be a model server, too. None where it is nobody else's.
    """

    path: str | None = None
    host: str | None = None
    port: int | None = None
    holder: ProcessId | None = None

    @classmethod
    def unix(cls, path: str) -> ServerAddress:
        """The address of a server that listens on a unix socket."""
        return cls(path=path)

    @classmethod
    def tcp(cls, host: str, port: int, holder: ProcessId | None = None) -> ServerAddress:
        """The address of a server that listens on a port; ``holder`` is the process that must hold it."""
        return cls(host=host, port=port, holder=holder)

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Of TCP; a host that is not given would be this machine's loopback, and somebody else's server."""
        assert self.host and self.port
        return self.host, self.port

    @property
    def is_held(self) -> bool:
        """Whether it is still the server's. Asked after a connection was made, it says whose connection that is."""
        return self.holder is None or self.holder.alive

    def to_json(self) -> dict[str, Any]:
        """The address in JSON's types, without what it does not have; ``records.from_json`` reads it."""
        return {name: value for name, value in to_json(self).items() if value is not None}

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path is not None else f"{self.host}:{self.port}"
