"""An endpoint by its name: whether it is in service, its log, its end, on either cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from launcher.api.constants import ENDPOINT, ENDPOINT_GROUPS
from launcher.jobs import follow, waiting
from launcher.jobs.handle import Handle
from launcher.jobs.listing import JobSummary, Listing
from launcher.jobs.status import JobStatus
from launcher.session.answers import is_unknown, known
from launcher.session.session import Session

IN_SERVICE = "InService"
DELETING = "Deleting"
# While it is in one of these, it is on its way to another state.
UNDER_WAY = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", DELETING})
LISTING = Listing("list_endpoints", "Endpoints", "Endpoint", None, ENDPOINT)


@dataclass(frozen=True)
class EndpointStatus(JobStatus):
    """The state of an endpoint at one moment."""

    @property
    def ended(self) -> bool:
        """Whether waiting for it is over: it is in service, or will not be."""
        return self.status not in UNDER_WAY


@dataclass(frozen=True)
class Removed:
    """What was deleted with an endpoint.

    Args:
        config: its configuration; None for one that was not made for it.
        models: models that were made for it.
        kept: the others that it served.
    """

    config: str | None
    models: tuple[str, ...]
    kept: tuple[str, ...]


class Endpoint(Handle):
    """An endpoint by its name.

    Args:
        name: its name.
        session: the cloud that it is on.
        clock: time, for tests.
    """

    kind = ENDPOINT
    member = "Endpoint"
    noun = "endpoint"
    arrived = "come into service"
    is_short = True

    @property
    def log_group(self) -> str:
        """The log group of this endpoint alone (contract 117)."""
        return f"{ENDPOINT_GROUPS}{self.name}"

    @property
    def stream_prefix(self) -> str:
        """Empty: every stream of the group belongs to the endpoint."""
        return ""

    def logs(self, follow: bool = True, tail: int | None = None) -> Iterator[str]:
        """The lines of the log of its servers.

        Args:
            follow: whether to go on until it fails or is deleted; else what is there now.
            tail: of what is there now, only so many lines, the last ones; no more is read. Not with ``follow``.

        Raises:
            InputError: there is no such endpoint.
            Unreachable: the cloud did not answer for a long time.
        """
        self.describe()
        return waiting.log_lines(self, follow, self._clock, self._is_over, tail)

    def config(self) -> dict[str, Any]:
        """The answer of DescribeEndpointConfig for its configuration.

        Raises:
            InputError: there is no such endpoint, or its configuration was deleted.
        """
        name = self.describe()["EndpointConfigName"]
        client = self.session.sagemaker
        with self.session.reported(f"looking at the endpoint configuration {name}", client):
            answer: dict[str, Any] = client.describe_endpoint_config(EndpointConfigName=name)
            return answer

    def model_names(self) -> list[str]:
        """The models that it serves.

        Raises:
            InputError: as in ``config``.
        """
        return _models_of(self.config())

    def delete(self) -> Removed:
        """Delete the endpoint, and its configuration and its model where they bear its name, as ``deploy`` makes them.

        What has a name of its own was made for more than this endpoint, and stays.

        Raises:
            InputError: there is no such endpoint, or the cloud refuses.
            Unreachable: the cloud does not answer.
        """
        config = str(self.describe()["EndpointConfigName"])
        client = self.session.sagemaker
        with self.session.reported(f"deleting the endpoint {self.name}", client):
            models = _models_of(known(client.describe_endpoint_config, EndpointConfigName=config) or {})
            client.delete_endpoint(EndpointName=self.name)
            if config == self.name:
                known(client.delete_endpoint_config, EndpointConfigName=config)
            if self.name in models:
                known(client.delete_model, ModelName=self.name)
        own = tuple(name for name in models if name == self.name)
        return Removed(config if config == self.name else None, own, tuple(name for name in models if name not in own))

    def _is_over(self) -> bool:
        """Whether no line will come any more."""
        try:
            with follow.lost_is_broken():
                return self.status(raw_faults=True).status == "Failed"
        except botocore.exceptions.ClientError as error:
            if is_unknown(error):
                return True
            raise

    def _state(self, answer: dict[str, Any]) -> EndpointStatus:
        status = answer["EndpointStatus"]
        return EndpointStatus(status, status, None, answer.get("FailureReason"))


def list_endpoints(
    session: Session | None = None, status: str | None = None, name_contains: str | None = None, limit: int = 100
) -> list[JobSummary]:
    """The newest endpoints of a cloud, the newest first; as ``launcher.list_jobs``."""
    return LISTING.newest(session or Session.local(), status, name_contains, limit)


def _models_of(config: Mapping[str, Any]) -> list[str]:
    names = [variant.get("ModelName") for variant in config.get("ProductionVariants", ())]
    return list(dict.fromkeys(name for name in names if name))
