"""The kinds of faults: a name, a sentence, what the kind needs, and the function that makes one fault of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.fault import Fault

GROUPS = {
    "training": "Training jobs: processes killed and stopped",
    "container": "Training jobs in containers",
    "store": "The object store: a proxy before it that injects faults",
    "disk": "Disk, descriptors and the cloud's own files",
    "content": "Damaged content, on disk and in S3",
    "serving": "Transform jobs and endpoints",
    "client": "Clients and loops",
    "several": "Two at once, and upgrades",
}

MODULES = ("processes", "containers", "store", "disk", "content", "serving", "clients", "several")


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Args:
        name: in tables and on the command line.
        group: a key of ``GROUPS``.
        what: what is done to the job, in a sentence.
        make: makes one fault of the kind and judges what became of the job.
        needs: the services it cannot do without, of ``services.SERVICES``.
    """

    name: str
    group: str
    what: str
    make: Callable[[Fault], None]
    needs: tuple[str, ...] = ()


KINDS: dict[str, Kind] = {}


def kind(name: str, group: str, what: str, *needs: str) -> Callable[[Callable[[Fault], None]], Callable[[Fault], None]]:
    """Register a function as the maker of a kind's faults."""

    def register(make: Callable[[Fault], None]) -> Callable[[Fault], None]:
        add(name, group, what, make, *needs)
        return make

    return register


def add(name: str, group: str, what: str, make: Callable[[Fault], None], *needs: str) -> None:
    """Register one kind; its name must be new and its group known."""
    assert name not in KINDS and group in GROUPS, name
    KINDS[name] = Kind(name, group, what, make, needs)


def load() -> dict[str, Kind]:
    """All kinds, by name, in the order of their groups."""
    for module in MODULES:
        importlib.import_module(f"faults.kinds_{module}")
    order = list(GROUPS)
    return dict(sorted(KINDS.items(), key=lambda item: order.index(item[1].group)))
