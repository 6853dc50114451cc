"""What the user allows to jobs beyond the rule: job-rules.json of a data folder, read whenever it is needed.

The rule is that a job calls nothing but S3 with its key, that no container runs as root, and that containers share the
machine's memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from batchrl.contract.errors import InputError
from batchrl.contract.files import write_atomically

# Of the machine's memory, what one container may take; the rest keeps the machine, and the user, at work.
MEMORY_SHARE = 0.8
# Processes and threads together: a data loader a core, each with the threads of its libraries, stays far below.
MAX_PROCESSES = 4096


@dataclass(frozen=True)
class JobRules:
    """What jobs may do.

    Args:
        calling_roles: ARNs of the roles whose jobs may call SageMaker and the other services.
        root_images: images that may run as root, with ``*`` for any text.
        memory_bytes: most memory of one container; None for ``MEMORY_SHARE`` of the machine's.
        processes: most processes and threads of one container; None for ``MAX_PROCESSES``.
    """

    calling_roles: tuple[str, ...] = ()
    root_images: tuple[str, ...] = ()
    memory_bytes: int | None = None
    processes: int | None = None

    @classmethod
    def read(cls, path: Path) -> JobRules:
        """What the file says; the rule alone where there is none.

        Raises:
            InputError: it is damaged.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_text())
            known = {field.name for field in fields(cls)}
            values = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in values.items()
                if name in known
            }
            return cls(**values)
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} is damaged: {error}.", "Remove it, and say again what jobs may do: batchrl cloud up --help"
            ) from error

    def write(self, path: Path) -> None:
        """Write the file, readable by its owner alone."""
        write_atomically(path, json.dumps(asdict(self), indent=1), shared=True, private=True)

    def allows_root(self, image: str) -> bool:
        """Whether an image, as the request names it, may run as root."""
        return any(fnmatchcase(image, pattern) for pattern in self.root_images)

    @property
    def memory(self) -> int:
        """Most memory of one container (bytes)."""
        return self.memory_bytes or int(machine_memory() * MEMORY_SHARE)

    @property
    def max_processes(self) -> int:
        """Most processes and threads of one container."""
        return self.processes or MAX_PROCESSES

    def with_changes(
        self,
        calling_roles: Sequence[str] | None = None,
        root_images: Sequence[str] | None = None,
        memory_bytes: int | None = None,
        processes: int | None = None,
    ) -> JobRules:
        """The rules with other ones in place of those that are given."""
        return replace(
            self,
            calling_roles=self.calling_roles if calling_roles is None else tuple(calling_roles),
            root_images=self.root_images if root_images is None else tuple(root_images),
            memory_bytes=memory_bytes or self.memory_bytes,
            processes=processes or self.processes,
        )


def machine_memory() -> int:
    """Memory of this machine (bytes)."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
