"""Jobs as containers of a Docker engine (contract A1, A2, A15)."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker.errors
import docker.types
import requests.exceptions

from batchrl.contract.errors import InputError
from batchrl.contract.paths import PLATFORM_ROOT, JobPaths
from launcher.local.engine.image import default_image
from launcher.local.engine.status import IMAGE_LABEL
from launcher.local.executors.address import ServerAddress
from launcher.local.executors.base import DOCKER, Program, direct_loopback
from launcher.local.executors.client import Client, Engine, EngineUnusable
from launcher.local.executors.confinement import Identity, limits, refuse_root
from launcher.local.executors.network import SERVER_PORT, Network, remove_networks
from launcher.local.executors.ownership import give, open_to_caller, open_to_everybody
from launcher.local.host.faults import JobFault, client_fault, internal_fault
from launcher.local.host.home import HomePaths
from launcher.local.host.jobrules import JobRules, machine_memory
from launcher.local.host.sockets import SocketBridge, loopback_ports

__all__ = ["DockerExecutor", "EngineUnusable", "remove_containers"]

JOB_LABEL = "org.batchrl.job"
HOME_LABEL = "org.batchrl.home"
INSTANCE_LABEL = "org.batchrl.instance"

# What `docker logs` can show of a running job; the job's own log is the one in its data folder.
ENGINE_LOG = docker.types.LogConfig(type="local", config={"max-size": "10m", "max-file": "1", "compress": "false"})
COMMAND_NOT_FOUND = 127
# Runs a program of somebody's own in an image of batchrl's.
RUN = ("python3", "-m", "batchrl.boot", "run")
ENGINE_RESTART_SECONDS = 60.0
# A PID 1 that does not handle SIGTERM after this long never will (seconds).
HANDLER_SECONDS = 5.0

log = logging.getLogger(__name__)


class DockerExecution:
    """One container.

    Args:
        engine: where it runs.
        container: its id.
        output: its attached output, from the first byte.
        bridge: its way to API server and store.
        network: the way to it.
        address: where it listens, if it is a model server and has not ended at once.
        return_files: lets the caller have the files that it wrote; None where they are the caller's already.
    """

    def __init__(
        self,
        engine: Engine,
        container: str,
        output: Iterator[bytes],
        bridge: SocketBridge,
        network: Network,
        address: ServerAddress | None,
        return_files: Callable[[], None] | None,
    ) -> None:
        self._engine = engine
        self._container = container
        self._output = output
        self._bridge = bridge
        self._network = network
        self.address = address
        self._return_files = return_files

    @property
    def handle(self) -> str:
        """The container's id."""
        return self._container

    def output(self) -> Iterator[bytes]:
        """Chunks of what the container writes, until it ends."""
        return self._output

    def wait(self) -> int:
        """The container's exit code; an engine that is restarted meanwhile is waited for."""
        deadline: float | None = None
        while True:
            try:
                return int(self._engine.patient_client().wait(self._container)["StatusCode"])
            except (requests.exceptions.RequestException, docker.errors.DockerException) as error:
                deadline = deadline or time.monotonic() + ENGINE_RESTART_SECONDS
                if isinstance(error, docker.errors.NotFound) or time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def terminate(self) -> None:
        """Send SIGTERM, once the program can have installed its handler."""
        self._await_handler()
        self._signal("SIGTERM")

    def kill(self) -> None:
        """Send SIGKILL."""
        self._signal("SIGKILL")

    def remove(self) -> bool:
        """Remove the container; whether the kernel ended it for want of memory."""
        state: dict[str, Any] = {}
        try:
            with contextlib.suppress(docker.errors.NotFound):  # somebody removed it
                state = self._engine.client.inspect_container(self._container)["State"]
            _remove(self._engine.client, self._container)
            self._network.remove(self._engine.client)
        finally:
            self._bridge.close()
        if self._return_files is not None:
            try:
                self._return_files()
            except OSError as error:
                log.warning("files of the job keep their owner: %s", error)
        return bool(state.get("OOMKilled"))

    def _await_handler(self) -> None:
        """The kernel drops a SIGTERM for a PID 1 that has no handler yet, and nobody would send another."""
        try:
            pid = int(self._engine.client.inspect_container(self._container)["State"]["Pid"])
        except docker.errors.NotFound:
            return
        deadline = time.monotonic() + HANDLER_SECONDS
        while not handles_sigterm(pid) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _signal(self, name: str) -> None:
        try:
            self._engine.client.kill(self._container, name)
        except docker.errors.APIError as error:
            log.info("%s was not sent to %s: %s", name, self._container, error.explanation)


class DockerExecutor:
    """Runs programs in containers of one engine."""

    name = DOCKER

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def connect(cls) -> DockerExecutor:
        """An executor for this machine's engine.

        Raises:
            EngineUnusable: there is none.
        """
        return cls(Engine.find())

    def start(self, program: Program) -> DockerExecution:
        """Start a program.

        Raises:
            JobFault: no image, no program in it, no GPU, no way to an isolated server.
        """
        rules = _rules(program.home)
        named, program = program.image, replace(program, image=rules.image_for(program.image, default_image()))
        config = self._image_config(program.image, named)
        # An image of batchrl's can run as any uid, and knows the way to API server and store.
        ours = (config.get("Labels") or {}).get(IMAGE_LABEL) == "1"
        identity = Identity.of_ours(self._engine) if ours else Identity()
        client = self._engine.client
        _remove_earlier(program, client)
        ports = {} if program.isolated else loopback_ports(program.endpoints)
        with contextlib.ExitStack() as undo:
            bridge = SocketBridge(program.home, program.name, ports)
            undo.callback(bridge.close)
            try:
                network = Network.of(self._engine, program, _container_name(program), _labels(program))
                undo.callback(network.remove, client)
                container = self._create(_led(program) if ours else program, bridge, network, identity, rules)
                undo.callback(_remove, client, container)
                if not ours and not self._engine.rootless:
                    refuse_root(client, container, program.image, str(config.get("User") or ""), rules)
                if identity.lent is not None:
                    give(program.root, identity.lent, identity.lent)
                elif not ours:
                    open_to_everybody(program.root)
                # Attached before the start, so that no line can be missed.
                output = self._engine.patient_client().attach(container, stdout=True, stderr=True, stream=True)
                client.start(container)
                address = network.address(client, container) if program.serves else None
            except docker.errors.APIError as error:
                raise _start_fault(str(error.explanation or error)) from error
            undo.pop_all()
        return DockerExecution(
            self._engine, container, output, bridge, network, address, self._returning(program, ours, identity, rules)
        )

    def _returning(
        self, program: Program, ours: bool, identity: Identity, rules: JobRules
    ) -> Callable[[], None] | None:
        """What lets the caller have the files of a program that has ended; None where nothing is needed."""
        if identity.lent is not None:
            return functools.partial(give, program.root, os.getuid(), os.getgid())
        if not ours and (os.getuid() != 0 or self._engine.rootless):
            return functools.partial(open_to_caller, self._engine.client, program.image, program.root, rules)
        return None

    def _image_config(self, image: str, named: str) -> dict[str, Any]:
        """What an image says about itself: labels, user; ``named`` is how the request calls it."""
        try:
            return self._engine.client.inspect_image(image).get("Config") or {}  # type: ignore[no-untyped-call]
        except docker.errors.ImageNotFound as error:
            instead = "" if image == named else f", where '{named}' is named"
            raise client_fault(
                f"image '{image}' was not found by the engine at {self._engine.url}{instead}. "
                "Build it with 'batchrl image build', or fetch it with 'docker pull'."
            ) from error

    def _create(
        self, program: Program, bridge: SocketBridge, network: Network, identity: Identity, rules: JobRules
    ) -> str:
        client = self._engine.client
        environ = dict(program.environment) | bridge.variables
        environ |= direct_loopback(environ)
        if self._engine.nvidia_by_default and not program.wants_gpus:
            environ.setdefault("NVIDIA_VISIBLE_DEVICES", "void")
        container: dict[str, Any] = client.create_container(
            program.image,
            name=_container_name(program),
            entrypoint=program.entrypoint,
            command=program.arguments,
            environment=environ,
            user=identity.user,
            labels=_labels(program),
            ports=[SERVER_PORT] if network.published else None,
            host_config=client.create_host_config(
                mounts=_mounts(program, bridge),
                network_mode=network.mode,
                port_bindings=network.port_bindings,
                shm_size=half_of_memory(),
                log_config=ENGINE_LOG,
                userns_mode="host" if self._engine.remapped else None,
                device_requests=self._gpus(program),
                **limits(rules),
            ),
        )
        return str(container["Id"])

    def _gpus(self, program: Program) -> list[docker.types.DeviceRequest] | None:
        """All GPUs for an instance type with GPUs; none where ``ml.*`` was asked of a machine that has none."""
        if not program.wants_gpus:
            return None
        if self._engine.nvidia:
            return [docker.types.DeviceRequest(count=-1, capabilities=[["gpu"]])]
        if program.instance_type.startswith("ml."):
            log.warning("%s has GPUs on AWS; this engine has no NVIDIA runtime", program.instance_type)
            return None
        raise client_fault(
            f"instance type '{program.instance_type}' needs GPUs, and the engine at {self._engine.url} has no NVIDIA "
            "runtime. Install the NVIDIA container toolkit, or use instance type 'local'."
        )


def _led(program: Program) -> Program:
    """A program that batchrl's own image leads to API server and store, where it would not find the way itself."""
    if not program.names_places or not program.entrypoint:
        return program
    return replace(program, entrypoint=[*RUN, *program.entrypoint])


def handles_sigterm(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process has a handler for SIGTERM; True for one that cannot be looked at, or is gone."""
    try:
        status = (proc / str(pid) / "status").read_text()
    except OSError:
        return True
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def _start_fault(text: str) -> JobFault:
    """A program that cannot be executed is the image's fault (contract 5), all else is the engine's."""
    if "executable file not found" in text or "exec:" in text or "exec format error" in text:
        return JobFault(f"AlgorithmError: the container cannot be started: {text}, exit code: {COMMAND_NOT_FOUND}")
    return internal_fault(f"the container cannot be started: {text}")


def remove_containers(home: HomePaths, key: str) -> None:
    """Remove the containers of a job that nobody owns any more; an engine that does not answer is no error.

    Args:
        home: the data folder.
        key: of the job (``JobRecord.key``).
    """
    with contextlib.suppress(EngineUnusable, requests.exceptions.RequestException, docker.errors.APIError):
        client = Engine.find().client
        labels = [f"{JOB_LABEL}={key}", f"{HOME_LABEL}={home.root}"]
        for container in client.containers(all=True, filters={"label": labels}):
            try:
                _remove(client, container["Id"])
            except docker.errors.APIError as error:
                log.warning("the container %s of %s could not be removed: %s", container["Id"], key, error.explanation)
        remove_networks(client, labels)


def _rules(home: HomePaths) -> JobRules:
    try:
        return JobRules.read(home.job_rules)
    except InputError as error:
        raise client_fault(error.message) from error


def _remove_earlier(program: Program, client: Client) -> None:
    """Remove what an earlier start of the same instance left: its name is needed."""
    labels = [f"{name}={text}" for name, text in _labels(program).items()]
    for container in client.containers(all=True, filters={"label": labels}):
        _remove(client, container["Id"])
    remove_networks(client, labels)


def _remove(client: Client, container: str) -> None:
    with contextlib.suppress(docker.errors.NotFound):
        client.remove_container(container, force=True, v=True)


def _container_name(program: Program) -> str:
    """A name for people; two clouds may have jobs of one name."""
    digest = hashlib.sha256(os.fsencode(program.home.root)).hexdigest()[:8]
    return f"batchrl-{program.name}-{digest}"


def _labels(program: Program) -> dict[str, str]:
    return {JOB_LABEL: program.key, HOME_LABEL: str(program.home.root), INSTANCE_LABEL: str(program.instance)}


def _mounts(program: Program, bridge: SocketBridge) -> list[docker.types.Mount]:
    mounts = [_bind(program.root, PLATFORM_ROOT)]
    paths = JobPaths(program.root)
    mounts += [_bind(paths.local(folder), folder, read_only=True) for folder in program.read_only]
    if program.outside is not None:
        inside, folder = program.outside
        mounts.append(_bind(folder, inside))
    return [*mounts, *(_bind(path, inside) for inside, path in bridge.mounts.items())]


def _bind(source: Path, target: str, *, read_only: bool = False) -> docker.types.Mount:
    return docker.types.Mount(target=target, source=str(source), type="bind", read_only=read_only)


def half_of_memory() -> int:
    """Size of /dev/shm in bytes: the engine's default of 64 MB breaks data loaders (contract 121)."""
    return machine_memory() // 2
