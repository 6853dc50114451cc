"""Where a local cloud listens and what opens it: cloud.json, and settings.json for a store of the user's own."""

from __future__ import annotations

import json
import os
import secrets
import socket
import stat
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract.errors import InputError
from batchrl.contract.files import write_atomically
from launcher.local.host.home import HomePaths

if TYPE_CHECKING:
    import boto3

    from batchrl.contract.store import Client

REGION = "us-east-1"
ACCOUNT_ID = "000000000000"
BUCKET = "batchrl-local"
ROLE_NAME = "batchrl-local"
ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/{ROLE_NAME}"
HOST = "127.0.0.1"
# How loopback is written where no proxy is to be asked, and where that is said.
LOOPBACK_NAMES = "127.0.0.1,localhost"
NO_PROXY_VARIABLES = ("NO_PROXY", "no_proxy")


class DamagedFile(InputError):
    """A file of the data folder does not hold what this product writes there."""


_ALPHABET = string.ascii_uppercase + string.digits


@dataclass(frozen=True)
class StoreAddress:
    """The object store.

    Args:
        endpoint_url: its S3 endpoint.
        region: its region.
        access_key, secret_key, session_token: what opens it.
        embedded: whether it is the local cloud's own.
    """

    endpoint_url: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    embedded: bool = True

    def client(self, session: boto3.Session | None = None) -> Client:
        """An S3 client of the store.

        Args:
            session: where loaded service models are kept; a new one by default.
        """
        from batchrl.contract.store import s3_client

        return s3_client(
            session,
            self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.session_token,
        )


@dataclass(frozen=True)
class CloudAddress:
    """One local cloud.

    Args:
        home: its data folder.
        api_url: endpoint of SageMaker, Logs, STS, IAM and ECR; S3 requests to it reach the store too.
        region: region of its ARNs.
        access_key, secret_key: its credentials; they open the embedded store as well.
        store: its object store.
        account_id: account of its ARNs.
        bucket: the bucket that is always there.
    """

    home: Path
    api_url: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    store: StoreAddress
    account_id: str = ACCOUNT_ID
    bucket: str = BUCKET

    @property
    def s3_url(self) -> str:
        """The S3 endpoint that takes this cloud's own credentials and the keys of its jobs.

        It is the embedded store, which knows them. An external one does not: the API server stands before it.
        """
        return self.store.endpoint_url if self.store.embedded else self.api_url


# What the file calls the API server's port: clients and servers of version 0.1.0 read and write the same file.
_PORT_ON_DISK = "door_port"


@dataclass(frozen=True)
class Identity:
    """What a data folder chose once: ports and credentials (cloud.json)."""

    api_port: int
    store_port: int
    access_key: str
    secret_key: str = field(repr=False)

    @classmethod
    def create(cls) -> Identity:
        """New ports and random credentials."""
        api_port, store_port = free_ports(2)
        access_key = "BATCHRL" + "".join(secrets.choice(_ALPHABET) for _ in range(13))
        return cls(api_port, store_port, access_key, secrets.token_hex(20))

    @classmethod
    def read(cls, path: Path) -> Identity | None:
        """What cloud.json says, or None where there is none.

        Raises:
            InputError: the file belongs to another user, can be read by others, or (DamagedFile) holds something else.
        """
        try:
            with path.open(errors="replace") as file:
                info = os.fstat(file.fileno())
                text = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(
                f"{path} cannot be read: {error.strerror}.", "Set BATCHRL_HOME to your own folder."
            ) from error
        if info.st_uid != os.getuid():
            raise InputError(
                f"{path} belongs to another user (uid {info.st_uid}).", "Set BATCHRL_HOME to a folder of your own."
            )
        if stat.S_IMODE(info.st_mode) & 0o077:
            raise InputError(f"{path} holds credentials and can be read by other users.", f"Run: chmod 600 '{path}'")
        try:
            known = json.loads(text)
            found = cls(api_port=known.pop(_PORT_ON_DISK), **known)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _damaged(path, error) from error
        if not found._is_sound():
            raise _damaged(path, "ports are numbers, keys are text")
        return found

    def _is_sound(self) -> bool:
        ports = (self.api_port, self.store_port)
        return all(type(port) is int and 0 < port < 65536 for port in ports) and all(
            isinstance(key, str) and key for key in (self.access_key, self.secret_key)
        )

    def write(self, path: Path) -> None:
        """Write the file, readable by its owner alone."""
        values = asdict(self)
        text = json.dumps({_PORT_ON_DISK: values.pop("api_port"), **values}, indent=1)
        write_atomically(path, text, shared=True, private=True)

    def with_ports(self, api_port: int | None = None, store_port: int | None = None) -> Identity:
        """The same identity with other ports; None keeps one."""
        return replace(self, api_port=api_port or self.api_port, store_port=store_port or self.store_port)

    def address(self, paths: HomePaths) -> CloudAddress:
        """The whole address.

        Raises:
            InputError: the credentials of an external store cannot be found.
        """
        settings = StoreSettings.read(paths.settings)
        store = (
            settings.resolve()
            if settings
            else StoreAddress(f"http://{HOST}:{self.store_port}", REGION, self.access_key, self.secret_key)
        )
        api_url = f"http://{HOST}:{self.api_port}"
        return CloudAddress(paths.root, api_url, REGION, self.access_key, self.secret_key, store)


@dataclass(frozen=True)
class StoreSettings:
    """An object store of the user's own. Its secrets are looked up when they are needed and stored nowhere.

    Args:
        endpoint_url: its S3 endpoint.
        region: its region.
        profile: profile of the AWS configuration files with its credentials.
        variables: else, names of the environment variables with access key, secret key and, if any, session token.
    """

    endpoint_url: str
    region: str = REGION
    profile: str | None = None
    variables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.endpoint_url.startswith(("http://", "https://")):
            raise InputError(f"'{self.endpoint_url}' is no endpoint.", "Write http://host:port or https://host.")
        if bool(self.profile) == bool(self.variables):
            raise InputError(
                "an object store takes its credentials from a profile or from variables: name one of them."
            )
        if self.variables and len(self.variables) not in (2, 3):
            raise InputError("name the variables with access key, secret key and, if there is one, session token.")

    @classmethod
    def read(cls, path: Path) -> StoreSettings | None:
        """What settings.json says; None for the embedded store."""
        try:
            values: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise _no_settings(path, error) from error
        try:
            return cls(**(values | {"variables": tuple(values["variables"])}))
        except (TypeError, KeyError, AttributeError) as error:
            raise _no_settings(path, error) from error

    def write(self, path: Path) -> None:
        """Write the file, readable by its owner alone."""
        write_atomically(path, json.dumps(asdict(self), indent=1), shared=True, private=True)

    def resolve(self, environ: Mapping[str, str] | None = None) -> StoreAddress:
        """The store's address with its credentials.

        Raises:
            InputError: they cannot be found.
        """
        environ = os.environ if environ is None else environ
        if self.variables:
            missing = [name for name in self.variables if not environ.get(name)]
            if missing:
                raise InputError(
                    f"the credentials of the object store {self.endpoint_url} are missing: "
                    f"not set: {', '.join(missing)}.",
                    "Set what is missing, or name a profile: batchrl cloud up --store URL --store-profile PROFILE",
                )
            keys: list[str | None] = [environ[name] for name in self.variables]
            return self._address(keys[0], keys[1], keys[2] if len(keys) > 2 else None)
        return self._from_profile()

    def _from_profile(self) -> StoreAddress:
        import botocore.exceptions
        import botocore.session

        try:
            session = botocore.session.Session(profile=self.profile)
            credentials = session.get_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise InputError(f"profile '{self.profile}' of the object store: {error}") from error
        if credentials is None:
            raise InputError(f"profile '{self.profile}' of the object store holds no credentials.")
        keys = credentials.get_frozen_credentials()
        return self._address(keys.access_key, keys.secret_key, keys.token)

    def _address(self, access_key: str | None, secret_key: str | None, token: str | None) -> StoreAddress:
        return StoreAddress(self.endpoint_url, self.region, access_key or "", secret_key or "", token, embedded=False)


def _damaged(path: Path, why: object) -> DamagedFile:
    return DamagedFile(f"{path} is damaged: {why}.", "Remove it: the next start makes another, with new credentials.")


def _no_settings(path: Path, why: object) -> DamagedFile:
    return DamagedFile(
        f"{path}, which names the object store, is damaged: {why}.",
        "Run: batchrl cloud up --store URL (or --store embedded)",
    )


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens at now."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    try:
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
