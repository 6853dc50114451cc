"""The connection to a cloud: the local one, or Amazon SageMaker. Nothing else of the client knows which it is.

Credentials are kept apart. A local session takes address and keys from the local cloud alone and reads neither the AWS
environment nor AWS's configuration files nor proxies; an AWS session refuses an endpoint on loopback that its
environment names, unless the credentials there are the local cloud's.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from batchrl.contract.errors import InputError, Unreachable
from batchrl.contract.layout import S3Url
from batchrl.contract.store import Client, client_config, ensure_bucket, reported, s3_client
from launcher.api import servicemodel
from launcher.api.instances import is_aws_type
from launcher.local.host.address import ACCOUNT_ID, BUCKET, REGION, Identity
from launcher.local.host.home import HomePaths

if TYPE_CHECKING:
    import boto3

    from launcher.local.host.address import CloudAddress

AWS_ATTEMPTS = 5
LOCAL_ATTEMPTS = 2
# A local cloud that has answered is taken to be up for so long.
LOOK_SECONDS = 2.0
REGION_VARIABLE = "AWS_REGION"


class Session(ABC):
    """Clients of one cloud, made when they are first used.

    Attributes:
        is_local: whether it is the local cloud.
        home: the local cloud's data folder; None for the default one, and on AWS.
    """

    is_local: bool
    home: Path | None = None

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}

    @staticmethod
    def local(home: Path | str | None = None) -> LocalSession:
        """The local cloud of a data folder; it is started when the first client is used, not before.

        Args:
            home: the data folder; None for ``$BATCHRL_HOME`` or the default.
        """
        return LocalSession(home)

    @staticmethod
    def aws(
        boto_session: boto3.Session | None = None, region: str | None = None, endpoint_url: str | None = None
    ) -> AwsSession:
        """Amazon SageMaker, with the credentials that boto3 finds.

        Args:
            boto_session: where region and credentials come from.
            region: instead of the session's; without both it is ``$AWS_REGION``, ``$AWS_DEFAULT_REGION`` or the
                configuration's.
            endpoint_url: one server for all services, instead of AWS's own.
        """
        return AwsSession(boto_session, region, endpoint_url)

    @staticmethod
    def for_instance_type(instance_type: str) -> Session:
        """The cloud that runs a type: ``ml.*`` is AWS's, all others are local."""
        return AwsSession() if is_aws_type(instance_type) else LocalSession()

    @property
    def sagemaker(self) -> Client:
        """Client of the SageMaker API."""
        return self._client("sagemaker")

    @property
    def s3(self) -> Client:
        """Client of the object store."""
        return self._client("s3")

    @property
    def logs(self) -> Client:
        """Client of the CloudWatch Logs API."""
        return self._client("logs")

    @property
    def runtime(self) -> Client:
        """What invokes endpoints."""
        return self._client("sagemaker-runtime")

    def _client(self, service: str) -> Client:
        if service not in self._clients:
            self._clients[service] = self._make_client(service)
        return self._clients[service]

    @property
    @abstractmethod
    def region(self) -> str:
        """Name of the region."""

    @property
    @abstractmethod
    def account_id(self) -> str:
        """The twelve digits of the account."""

    @property
    @abstractmethod
    def default_bucket(self) -> str:
        """The bucket that is used when none is named."""

    @abstractmethod
    def _make_client(self, service: str) -> Client:
        """A new client of one service."""

    @abstractmethod
    def revive(self) -> None:
        """After a connection broke: make sure that the cloud is there, and connect anew."""

    def reported(self, what: str, client: Client | None = None) -> AbstractContextManager[None]:
        """Turn botocore's faults inside the block into ours, naming the endpoint; see ``contract.store.reported``."""
        return reported(what, client)

    def provide_bucket(self, bucket: str) -> None:
        """Create the default bucket where it does not exist; other buckets are their owners' affair."""
        if bucket == self.default_bucket:
            with self.reported(f"creating the bucket {bucket}", self.s3):
                ensure_bucket(self.s3, bucket)


class LocalSession(Session):
    """See ``Session.local``."""

    is_local = True

    def __init__(self, home: Path | str | None = None) -> None:
        super().__init__()
        self.home = Path(home) if home is not None else None
        self._address: CloudAddress | None = None
        self._looked = 0.0

    @property
    def address(self) -> CloudAddress:
        """Where the cloud listens; starts it if need be."""
        if self._address is None:
            from launcher.local import cloud

            self._address = cloud.ensure_up(self.home)
        return self._address

    @property
    def region(self) -> str:
        """The local cloud's region; asking for it starts nothing."""
        return self._address.region if self._address else REGION

    @property
    def account_id(self) -> str:
        """The local cloud's account."""
        return ACCOUNT_ID

    @property
    def default_bucket(self) -> str:
        """The bucket that results go to unless a job says otherwise."""
        return BUCKET

    @contextmanager
    def reported(self, what: str, client: Client | None = None) -> Iterator[None]:
        """As ``Session.reported``; where the cloud is away because of its records, the fault names them."""
        try:
            with reported(what, client):
                yield
        except Unreachable:
            from launcher.local import cloud

            cloud.check_records(self.home)
            raise

    def revive(self) -> None:
        """Start the local cloud again if it is gone, and find it at a new address."""
        known, self._address = self._address, None
        if known != self.address:
            self._clients.clear()

    def _client(self, service: str) -> Client:
        """A client of a cloud that is up: it leaves when nobody needs it, and a session may live for days."""
        if self._address is not None and time.monotonic() - self._looked > LOOK_SECONDS:
            from launcher.local import cloud

            if not cloud.is_up(self.home):
                self.revive()
            self._looked = time.monotonic()
        return super()._client(service)

    def _make_client(self, service: str) -> Client:
        cloud = self.address
        place: Any = cloud.store if service == "s3" else cloud
        endpoint_url = cloud.store.endpoint_url if service == "s3" else cloud.api_url
        settings: dict[str, Any] = {"s3": {"addressing_style": "path"}}
        if service != "s3":
            settings = {"retries": {"mode": "standard", "total_max_attempts": LOCAL_ATTEMPTS}}
        if _is_loopback(endpoint_url):
            settings["proxies"] = {}
        return _sealed_session().client(
            service,  # type: ignore[call-overload]
            endpoint_url=endpoint_url,
            aws_access_key_id=place.access_key,
            aws_secret_access_key=place.secret_key,
            aws_session_token=place.session_token if service == "s3" else None,
            region_name=place.region,
            config=client_config(**settings),
        )


class AwsSession(Session):
    """See ``Session.aws``."""

    is_local = False

    def __init__(
        self, boto_session: boto3.Session | None = None, region: str | None = None, endpoint_url: str | None = None
    ) -> None:
        super().__init__()
        self._boto = boto_session
        self._region = region
        self._endpoint_url = endpoint_url
        self._account: str | None = None

    @property
    def boto_session(self) -> boto3.Session:
        """The boto3 session behind the clients."""
        if self._boto is None:
            import boto3

            with self.reported("reading the AWS configuration"):
                # boto3 itself knows AWS_DEFAULT_REGION alone; the other SDKs and the CLI of AWS read AWS_REGION first.
                self._boto = boto3.Session(region_name=os.environ.get(REGION_VARIABLE) or None)
        return self._boto

    @property
    def region(self) -> str:
        """The configured region; InputError where there is none."""
        region = self._region or self.boto_session.region_name or os.environ.get(REGION_VARIABLE)
        if not region:
            raise InputError(
                "no AWS region is configured.", "Set AWS_REGION, or run: aws configure set region <region>"
            )
        return str(region)

    @property
    def account_id(self) -> str:
        """The account of the credentials, asked of STS once."""
        if self._account is None:
            client = self.client("sts")
            with self.reported("looking up the AWS account", client):
                self._account = str(client.get_caller_identity()["Account"])
        return self._account

    @property
    def default_bucket(self) -> str:
        """The bucket that SageMaker's own SDK uses by default."""
        return f"sagemaker-{self.region}-{self.account_id}"

    def revive(self) -> None:
        """AWS needs nobody to start it; botocore connects anew by itself."""

    def client(self, service: str) -> Client:
        """A client of any service of AWS."""
        return self._client(service)

    def _make_client(self, service: str) -> Client:
        with self.reported(f"connecting to {service}"):
            if service == "s3" and self._endpoint_url:
                client = s3_client(self.boto_session, self._endpoint_url, region_name=self.region)
            else:
                client = self.boto_session.client(
                    service,  # type: ignore[call-overload]
                    region_name=self.region,
                    endpoint_url=self._endpoint_url,
                    config=client_config(retries={"mode": "standard", "total_max_attempts": AWS_ATTEMPTS}),
                )
        if self._endpoint_url is None and _is_loopback(client.meta.endpoint_url):
            self._refuse_foreign_credentials(client.meta.endpoint_url)
        return client

    def _refuse_foreign_credentials(self, endpoint_url: str) -> None:
        """AWS's credentials never go to loopback: only those of ``batchrl cloud env`` may."""
        if _has_local_keys(self.boto_session):
            return
        raise InputError(
            f"the environment points AWS at {endpoint_url}, with credentials that are not the local cloud's.",
            "Unset AWS_ENDPOINT_URL, or take all variables from: batchrl cloud env",
        )


@functools.cache
def _sealed_session() -> boto3.Session:
    """A boto3 session that sees no environment variable and no configuration file of AWS's; clients share it."""
    import boto3
    import botocore.session

    known = botocore.session.Session.SESSION_VARIABLES
    sealed = {name: (key, None, default, convert) for name, (key, _, default, convert) in known.items()}
    for name in ("config_file", "credentials_file"):
        sealed[name] = (None, None, os.devnull, None)
    core = botocore.session.Session(session_vars=sealed)
    core.register_component("data_loader", servicemodel.loader())
    return boto3.Session(botocore_session=core)


def _is_loopback(endpoint_url: str) -> bool:
    host = urlsplit(endpoint_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def session_of(url: S3Url) -> Session:
    """The cloud that a bucket lies in: the local cloud's own bucket, or AWS."""
    return Session.local() if url.bucket == BUCKET else Session.aws()


def session_from(given: object) -> Session:
    """A session from what a user gave as one, where nothing else tells the cloud.

    Args:
        given: ours, a boto3 session or a session of SageMaker's SDK (the cloud that their credentials open), or None
            for the local cloud.
    """
    if given is None:
        return Session.local()
    return given if isinstance(given, Session) else _cloud_of(_boto_session(given))


def resolve_session(session: object, instance_type: str) -> Session:
    """The session that a user named, or the one that the instance type asks for.

    Args:
        session: ours, a boto3 session, a session of SageMaker's SDK, or None.
        instance_type: decides when ``session`` is None.

    Raises:
        InputError: the session is of no known kind, or is AWS's while the type is local.
    """
    on_aws = is_aws_type(instance_type)
    if session is None:
        return Session.for_instance_type(instance_type)
    if not isinstance(session, Session):
        boto_session = _boto_session(session)
        session = _cloud_of(boto_session) if on_aws else Session.local()
    if not session.is_local and not on_aws:
        raise InputError(
            f"instance_type '{instance_type}' runs on this computer, but the session is AWS's.",
            "Leave the session out, or choose an ml.* type.",
        )
    return session


def _cloud_of(boto_session: Any) -> Session:
    """The cloud that the credentials of a boto3 session open: the local one's open nothing else."""
    return Session.local() if _has_local_keys(boto_session) else Session.aws(boto_session)


def _has_local_keys(boto_session: Any) -> bool:
    try:
        identity = Identity.read(HomePaths.of().cloud_file)
    except InputError:  # there is no local cloud that could be meant
        return False
    credentials = boto_session.get_credentials()
    return identity is not None and credentials is not None and bool(credentials.access_key == identity.access_key)


def _boto_session(given: object) -> Any:
    """The boto3 session that something is or holds.

    Raises:
        InputError: it is none.
    """
    boto_session: Any = getattr(given, "boto_session", given)
    if not hasattr(boto_session, "get_credentials"):
        raise InputError(
            f"session: a {type(given).__name__} is no session.",
            "Give launcher.Session.local(), launcher.Session.aws(), or a boto3.Session.",
        )
    return boto_session
