"""Training jobs of a tuning job, submitted to the API as any client does, and again while the API server is away."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import botocore.exceptions

from batchrl.contract.errors import InputError
from batchrl.contract.store import client_config
from launcher.api.errors import IN_USE
from launcher.api.tuning import TUNING_HEADER
from launcher.local.host.address import CloudAddress, Identity
from launcher.local.host.faults import client_fault
from launcher.local.host.home import HomePaths

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
CONNECT_SECONDS, ANSWER_SECONDS = 5, 60

log = logging.getLogger(__name__)


class Submission:
    """Creates the training jobs of one tuning job.

    Args:
        home: the data folder, which says where the API server listens: it may come back at another port.
        tuning_job: name of the tuning job.
        goes_on: whether to go on waiting for an API server that is away.
        sleep: waits so many seconds.
    """

    def __init__(
        self, home: HomePaths, tuning_job: str, goes_on: Callable[[], bool], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._home = home
        self._tuning_job = tuning_job
        self._goes_on = goes_on
        self._sleep = sleep

    def submit(self, request: Mapping[str, Any]) -> bool:
        """Create a training job; one that was created already, by a request whose answer was lost, is no error.

        Returns:
            False when the API server stayed away until there was no more reason to wait.

        Raises:
            JobFault: the API refuses the request.
        """
        pause, reported = FIRST_PAUSE, False
        while True:
            try:
                self._client(self._address()).create_training_job(**request)
                return True
            except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError, InputError) as error:
                why = str(error)
            except botocore.exceptions.ClientError as error:
                if error.response["ResponseMetadata"].get("HTTPStatusCode", 0) < 500:
                    if error.response["Error"]["Code"] == IN_USE:
                        return True
                    said = error.response["Error"]["Message"]
                    raise client_fault(f"the training job {request['TrainingJobName']} was refused: {said}") from error
                why = str(error)
            if not reported:
                log.warning("%s waits for the API server: %s", request["TrainingJobName"], why)
                reported = True
            if not self._goes_on():
                return False
            self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _address(self) -> CloudAddress:
        identity = Identity.read(self._home.cloud_file)
        if identity is None:
            raise InputError(f"{self._home.cloud_file} is gone.")
        return identity.address(self._home)

    @functools.lru_cache(maxsize=1)  # noqa: B019 - as old as this object, whose process is the tuning job's alone
    def _client(self, address: CloudAddress) -> Any:
        import boto3

        client = boto3.Session().client(
            "sagemaker",
            endpoint_url=address.api_url,
            region_name=address.region,
            aws_access_key_id=address.access_key,
            aws_secret_access_key=address.secret_key,
            config=client_config(
                proxies={},
                retries={"total_max_attempts": 1},
                connect_timeout=CONNECT_SECONDS,
                read_timeout=ANSWER_SECONDS,
            ),
        )

        def name_tuning_job(params: dict[str, Any], **_: Any) -> None:
            params["headers"][TUNING_HEADER] = self._tuning_job

        client.meta.events.register("before-call.sagemaker.CreateTrainingJob", name_tuning_job)
        return client
