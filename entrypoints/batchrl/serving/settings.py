"""What the server is told, all of it by environment variables (contract 129, 132, 133, 186)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from batchrl.contract.errors import InputError
from batchrl.contract.paths import SERVE_SOCKET_VARIABLE
from batchrl.contract.variables import (
    BAD_RECORDS,
    BELONGS_TO,
    EPSILON,
    REJECT,
    TARGET_POLICY,
    TEMPERATURE,
    ChoiceVariable,
    Number,
)

if TYPE_CHECKING:
    from batchrl.agents.target_policy import TargetPolicy

# Of the target policy: its kind, epsilon and temperature.
VARIABLES = (TARGET_POLICY.name, EPSILON.name, TEMPERATURE.name)

MEGABYTE = 1024 * 1024
DEFAULT_PORT = 8080
DEFAULT_PAYLOAD_MB = 6
# What MaxConcurrentTransforms may be, and its product with MaxPayloadInMB (contract 132, 142).
MOST_CONCURRENT = 100
MOST_CONCURRENT_MB = 100
# Requests that a worker may have at once: those that are computed together, others that arrive and leave meanwhile.
REQUESTS_PER_WORKER = 8
DEFAULT_TIMEOUT_SECONDS = 60.0
STRATEGIES = ("MULTI_RECORD", "SINGLE_RECORD")

# The platform's variables.
PORT = Number("SAGEMAKER_BIND_TO_PORT", int, 1, 65535)
WORKERS = Number("SAGEMAKER_MODEL_SERVER_WORKERS", int, 1, 1024)
TIMEOUT = Number("SAGEMAKER_MODEL_SERVER_TIMEOUT", float, 1, 86400)
PAYLOAD = Number("SAGEMAKER_MAX_PAYLOAD_IN_MB", int, 0, 100)
CONCURRENCY = Number("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", int, 0, MOST_CONCURRENT)
STRATEGY = ChoiceVariable("SAGEMAKER_BATCH_STRATEGY", STRATEGIES)


@dataclass(frozen=True)
class Target:
    """Changes to the model's own target policy; None changes nothing.

    Args:
        kind: greedy, epsilon_greedy or softmax.
        epsilon: of epsilon_greedy.
        temperature: of softmax.
    """

    kind: Literal["greedy", "epsilon_greedy", "softmax"] | None = None
    epsilon: float | None = None
    temperature: float | None = None

    def of(self, own: TargetPolicy, names: tuple[str, str, str] = VARIABLES) -> TargetPolicy:
        """The target policy that is wanted of a model with its own.

        Args:
            own: the model's.
            names: what the user calls kind, epsilon and temperature.

        Raises:
            InputError: a number is given for another kind of policy than the one that is wanted.
        """
        kind = self.kind or own.kind
        name_of_kind, *names_of_numbers = names
        numbers = ((self.epsilon, BELONGS_TO[EPSILON.name]), (self.temperature, BELONGS_TO[TEMPERATURE.name]))
        for name, (value, needed) in zip(names_of_numbers, numbers, strict=True):
            if value is not None and kind != needed:
                raise InputError(
                    f"{name} is {value:g}, but the target policy is {kind}.",
                    f"Give {name_of_kind} {needed} as well.",
                )
        return replace(
            own,
            kind=kind,
            epsilon=own.epsilon if self.epsilon is None else self.epsilon,
            temperature=own.temperature if self.temperature is None else self.temperature,
        )


@dataclass(frozen=True)
class ServingSettings:
    """All of it; the defaults are for one worker.

    Args:
        socket: path of the unix socket to listen at; None listens at a port of every address.
        port: which one.
        workers: processes.
        timeout: seconds after which a worker that computes one thing is taken for stuck.
        payload_mb: most mebibytes in a request's body; 0 allows any number.
        concurrency: requests that a client should have under way at once.
        strategy: how a batch transform should fill requests.
        target: changes to the model's target policy.
        reject: whether a bad record fails its whole request.
    """

    socket: Path | None = None
    port: int = DEFAULT_PORT
    workers: int = 1
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    payload_mb: int = DEFAULT_PAYLOAD_MB
    concurrency: int = REQUESTS_PER_WORKER
    strategy: str = STRATEGIES[0]
    target: Target = Target()
    reject: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], cores: int) -> ServingSettings:
        """Read the environment; a variable that is empty is not set.

        Args:
            environ: the environment.
            cores: that this process may use.

        Raises:
            InputError: a variable has a value that it cannot have.
        """
        workers = WORKERS.read(environ) or cores
        payload = PAYLOAD.read(environ)
        payload = DEFAULT_PAYLOAD_MB if payload is None else payload
        most = min(MOST_CONCURRENT, MOST_CONCURRENT_MB // payload if payload else MOST_CONCURRENT)
        own = min(workers * REQUESTS_PER_WORKER, most)
        timeout = TIMEOUT.read(environ)
        socket = environ.get(SERVE_SOCKET_VARIABLE)
        return cls(
            socket=Path(socket) if socket else None,
            port=PORT.read(environ) or DEFAULT_PORT,
            workers=workers,
            timeout=timeout or DEFAULT_TIMEOUT_SECONDS,
            payload_mb=payload,
            # 0 counts as unset (contract 133).
            concurrency=CONCURRENCY.read(environ) or own,
            strategy=STRATEGY.read(environ) or STRATEGIES[0],
            target=Target(
                TARGET_POLICY.read(environ),  # type: ignore[arg-type]  # one of KINDS
                EPSILON.read(environ),
                TEMPERATURE.read(environ),
            ),
            reject=BAD_RECORDS.read(environ) == REJECT,
        )

    @property
    def most_bytes(self) -> int | None:
        """Most bytes in a request's body; None allows any number."""
        return self.payload_mb * MEGABYTE or None

    def execution_parameters(self) -> dict[str, int | str]:
        """What ``GET /execution-parameters`` answers (contract 132)."""
        return {
            "MaxConcurrentTransforms": self.concurrency,
            "BatchStrategy": self.strategy,
            "MaxPayloadInMB": self.payload_mb,
        }


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use: its affinity, or less where its container has a quota of time."""
    allowed = len(os.sched_getaffinity(0))
    for quota_file, period_file in (("cpu.max", "cpu.max"), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota = (cgroup / quota_file).read_text().split()[0]
            period = (cgroup / period_file).read_text().split()[-1]
            # "max" and -1 mean none.
            if quota.isdigit():
                return max(1, min(allowed, round(int(quota) / int(period))))
        except (OSError, ValueError, IndexError, ZeroDivisionError):
            continue
    return allowed
