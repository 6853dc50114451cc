"""What the user allows to jobs beyond the rule: job-rules.json of a data folder, read whenever it is needed.

The rule is that a job calls nothing but S3 with its key, that no container runs as root, that containers share the
machine's memory, and that the image runs that is named, but for Intel Coach's, in whose place batchrl's does.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from batchrl.contract.errors import InputError
from batchrl.contract.files import write_atomically
from batchrl.contract.text import printable

# Of the machine's memory, what one container may take; the rest keeps the machine, and the user, at work.
MEMORY_SHARE = 0.8
# Processes and threads together: a data loader a core, each with the threads of its libraries, stays far below.
MAX_PROCESSES = 4096
# The images that ``RLEstimator`` of the ``sagemaker`` SDK names for Coach, in any account and region.
COACH_IMAGES = (
    "*.dkr.ecr.*/sagemaker-rl-tensorflow:coach*",
    "*.dkr.ecr.*/sagemaker-rl-mxnet:coach*",
    "*.dkr.ecr.*/sagemaker-rl-coach-container:*",
)
# Given alone, no image runs in another's place.
NO_ALIAS = "none"


@dataclass(frozen=True)
class JobRules:
    """What jobs may do.

    Args:
        calling_roles: ARNs of the roles whose jobs may call SageMaker and the other services.
        root_images: images that may run as root, with ``*`` for any text.
        memory_bytes: most memory of one container; None for ``MEMORY_SHARE`` of the machine's.
        processes: most processes and threads of one container; None for ``MAX_PROCESSES``.
        image_aliases: ``PATTERN=IMAGE``: IMAGE runs in place of what matches, with ``*`` for any text; the first one
            counts, and ``COACH_IMAGES`` come after them. ``NO_ALIAS`` alone for none of all.
        interruptions_per_hour: how often the capacity of a running spot job is taken away, on average.
        interruption_seed: of the times at which it is.
    """

    calling_roles: tuple[str, ...] = ()
    root_images: tuple[str, ...] = ()
    memory_bytes: int | None = None
    processes: int | None = None
    image_aliases: tuple[str, ...] = ()
    interruptions_per_hour: float = 0.0
    interruption_seed: int = 0

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

    def image_for(self, image: str, ours: str) -> str:
        """The image that runs where a request names ``image``; what comes out is looked up no further.

        Args:
            image: as the request names it.
            ours: batchrl's own image, which runs in place of Coach's.
        """
        if self.image_aliases == (NO_ALIAS,):
            return image
        own = (alias.partition("=") for alias in self.image_aliases)
        aliases = [*((pattern, target) for pattern, _, target in own), *((coach, ours) for coach in COACH_IMAGES)]
        return next((target for pattern, target in aliases if fnmatchcase(image, pattern)), image)

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
        image_aliases: Sequence[str] | None = None,
        interruptions_per_hour: float | None = None,
        interruption_seed: int | None = None,
    ) -> JobRules:
        """The rules with other ones in place of those that are given."""
        return replace(
            self,
            calling_roles=self.calling_roles if calling_roles is None else tuple(calling_roles),
            root_images=self.root_images if root_images is None else tuple(root_images),
            memory_bytes=memory_bytes or self.memory_bytes,
            processes=processes or self.processes,
            image_aliases=self.image_aliases if image_aliases is None else tuple(image_aliases),
            interruptions_per_hour=(
                self.interruptions_per_hour if interruptions_per_hour is None else interruptions_per_hour
            ),
            interruption_seed=self.interruption_seed if interruption_seed is None else interruption_seed,
        )


def check_aliases(aliases: Sequence[str]) -> None:
    """Refuse what is no list of aliases: each ``PATTERN=IMAGE``, or ``NO_ALIAS`` alone.

    Raises:
        InputError: naming the first that is none.
    """
    if tuple(aliases) == (NO_ALIAS,):
        return
    for alias in aliases:
        pattern, _, image = alias.partition("=")
        if not re.fullmatch(r"[^\s=]+", pattern) or not re.fullmatch(r"[\w./:@-]+", image, re.ASCII):
            raise InputError(
                f"'{printable(alias)}' is no alias of an image.",
                f"Write PATTERN=IMAGE, with * for any text in the pattern alone; '{NO_ALIAS}' alone for no alias.",
            )


def machine_memory() -> int:
    """Memory of this machine (bytes)."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
