"""Which executor a job gets: its instance type says, ``ml.*`` takes what this machine has."""

from __future__ import annotations

from launcher.api.instances import CONTAINER_INSTANCE_TYPES, PROCESS_INSTANCE_TYPES
from launcher.local.executors.base import Executor
from launcher.local.executors.process import ProcessExecutor
from launcher.local.host.faults import JobFault, client_fault


def executor_for(instance_type: str, *, contained: bool = False) -> Executor:
    """The executor of an instance type.

    Args:
        instance_type: as the request names it.
        contained: whether it must be a container, as what a job creates must.

    Raises:
        JobFault: it needs a container engine and none can be used; the reason says why.
    """
    if instance_type in PROCESS_INSTANCE_TYPES:
        if contained:
            raise client_fault(f"instance type '{instance_type}' is not for what a job creates; use 'local'.")
        return ProcessExecutor()
    from launcher.local.executors.docker import DockerExecutor, EngineUnusable

    try:
        return DockerExecutor.connect()
    except EngineUnusable as error:
        if instance_type not in CONTAINER_INSTANCE_TYPES and not contained:
            return ProcessExecutor()
        raise _no_engine(instance_type, error) from error


def _no_engine(instance_type: str, error: Exception) -> JobFault:
    return client_fault(
        f"instance type '{instance_type}' runs jobs in containers, and no container engine can be used: {error} "
        "Start one, or use instance type 'local_process'."
    )
