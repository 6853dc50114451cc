"""Where a model server listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ServerAddress:
    """A unix socket, or a host and a port.

    Args:
        path: of the unix socket; None for TCP.
        host, port: of TCP; None for a unix socket.
    """

    path: str | None = None
    host: str | None = None
    port: int | None = None

    @classmethod
    def unix(cls, path: str) -> ServerAddress:
        return cls(path=path)

    @classmethod
    def tcp(cls, host: str, port: int) -> ServerAddress:
        return cls(host=host, port=port)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ServerAddress:
        return cls(values.get("path"), values.get("host"), values.get("port"))

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path is not None else f"{self.host}:{self.port}"
