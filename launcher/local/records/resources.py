"""What is only described, not run: models and endpoint configurations."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.local.records.database import Database

MODEL = "model"
ENDPOINT_CONFIG = "endpoint-config"


@dataclass(frozen=True)
class Resource:
    """One of them.

    Args:
        kind: ``model`` or ``endpoint-config``.
        name: its name, unique among its kind.
        arn: its ARN.
        request: the request that created it, as it came over the wire.
        created_at: seconds since 1970.
    """

    kind: str
    name: str
    arn: str
    request: dict[str, Any]
    created_at: float


class DuplicateResource(Exception):
    """A resource of that name exists; ``args[0]`` is its ARN."""


class Resources:
    """The table of resources.

    Args:
        database: the file that holds it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, resource: Resource, tags: Mapping[str, str]) -> None:
        """Add a resource and its tags.

        Raises:
            DuplicateResource: the name is taken.
        """
        with self._database.writing() as connection:
            try:
                connection.execute(
                    "INSERT INTO resources (kind, name, arn, request, created_at) VALUES (?, ?, ?, ?, ?)",
                    (resource.kind, resource.name, resource.arn, json.dumps(resource.request), resource.created_at),
                )
            except sqlite3.IntegrityError:
                raise DuplicateResource(resource.arn) from None
            put_tags(connection, resource.arn, tags)

    def find(self, kind: str, name: str) -> Resource | None:
        """The resource of a name, or None."""
        rows = self._database.rows("SELECT * FROM resources WHERE kind = ? AND name = ?", (kind, name))
        return _from_row(rows[0]) if rows else None

    def by_arn(self, arn: str) -> Resource | None:
        """The resource with an ARN, or None."""
        rows = self._database.rows("SELECT * FROM resources WHERE arn = ?", (arn,))
        return _from_row(rows[0]) if rows else None

    def list(self, kind: str) -> list[Resource]:
        """All of a kind, the oldest first; those of one moment by name."""
        rows = self._database.rows("SELECT * FROM resources WHERE kind = ? ORDER BY created_at, name", (kind,))
        return [_from_row(row) for row in rows]

    def delete(self, kind: str, name: str) -> bool:
        """Forget a resource and its tags; whether there was one."""
        with self._database.writing() as connection:
            row = connection.execute("SELECT arn FROM resources WHERE kind = ? AND name = ?", (kind, name)).fetchone()
            if row is None:
                return False
            connection.execute("DELETE FROM resources WHERE arn = ?", (row["arn"],))
            connection.execute("DELETE FROM tags WHERE arn = ?", (row["arn"],))
            return True


def put_tags(connection: sqlite3.Connection, arn: str, tags: Mapping[str, str]) -> None:
    """Set tags of anything that has an ARN; one with a known key is replaced."""
    connection.executemany(
        "INSERT INTO tags (arn, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        [(arn, key, value) for key, value in tags.items()],
    )


def _from_row(row: sqlite3.Row) -> Resource:
    return Resource(row["kind"], row["name"], row["arn"], json.loads(row["request"]), row["created_at"])
