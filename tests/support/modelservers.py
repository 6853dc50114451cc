"""Small models without a training, and real model servers on this machine."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from batchrl.agents.masks import ActionMask, Fallback
from batchrl.agents.model import PolicyModel, Scorer
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.target_policy import TargetPolicy
from batchrl.checkpoints.export import export_model

SERVE = Path(__file__).parents[2] / "entrypoints" / "serve.py"
JSON_LINES, JSON, CSV = "application/jsonlines", "application/json", "text/csv"
DEADLINE = 60.0
FACTS = {
    "job_name": "a-job",
    "preset": "generic-discrete",
    "seed": 0,
    "algorithm": "one-step",
    "discount": 0.99,
    "data_sha256": "d" * 64,
    "preprocessing": {"state_columns": ["x", "y", "z"], "scaling": "none", "dtype": "float32"},
    "epoch": 3,
    "selection": "the last complete epoch",
}


def network(
    n_features: int,
    n_outputs: int,
    hidden: tuple[int, ...] = (8,),
    ensemble: int = 1,
    scaled: bool = False,
    seed: int = 0,
) -> Network:
    """A network with random weights."""
    scaling = (torch.linspace(-1, 1, n_features), torch.linspace(0.5, 2, n_features)) if scaled else (None, None)
    generator = torch.Generator().manual_seed(seed)
    return Network(NetworkShape(n_features, n_outputs, hidden, ensemble), generator, *scaling)


def policy_model(
    n_features: int = 3,
    n_actions: int = 2,
    hidden: tuple[int, ...] = (8,),
    values: bool = True,
    target: TargetPolicy | None = None,
    mask: ActionMask | None = None,
    fallback: Fallback = "most_likely",
) -> PolicyModel:
    """A policy with random weights, whose values are its preferences."""
    scorer = Scorer(network(n_features, n_actions, hidden), 2.0)
    return PolicyModel(scorer, scorer if values else None, target or TargetPolicy(), mask, fallback)


def exported(folder: Path, model: PolicyModel) -> Path:
    """The model, exported into a folder."""
    export_model(folder, model, FACTS, "{}")
    return folder


def states(n: int, n_features: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, n_features)).astype(np.float32)


def as_lines(rows: np.ndarray) -> bytes:
    """States as JSON Lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows.tolist())


def parsed(body: bytes) -> list[Any]:
    """Lines of JSON, as values."""
    assert body == b"" or body.endswith(b"\n")
    return [json.loads(line) for line in body.splitlines()]


@dataclass(frozen=True)
class Reply:
    """An answer of HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass
class ModelServer:
    """A server that is running.

    Args:
        process: its first process.
        place: its port, or the path of its unix socket.
        log: what it wrote.
    """

    process: subprocess.Popen[bytes]
    place: int | Path
    log: Path
    _connections: list[http.client.HTTPConnection] = field(default_factory=list)

    def connection(self, timeout: float = DEADLINE) -> http.client.HTTPConnection:
        """A connection of its own, which ends with the test."""
        if isinstance(self.place, Path):
            made: http.client.HTTPConnection = _UnixConnection(self.place, timeout)
        else:
            made = http.client.HTTPConnection("127.0.0.1", self.place, timeout=timeout)
        self._connections.append(made)
        return made

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
        timeout: float = DEADLINE,
    ) -> Reply:
        """One request on a connection of its own."""
        connection = self.connection(timeout)
        connection.request(method or ("GET" if body is None else "POST"), path, body, dict(headers or {}))
        with contextlib.closing(connection):
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())

    def invoke(self, body: bytes, content_type: str = JSON_LINES, accept: str | None = None) -> Reply:
        given = {"Content-Type": content_type} | ({"Accept": accept} if accept else {})
        return self.ask("/invocations", body, given)

    @property
    def workers(self) -> list[int]:
        """Pids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def wait_until_ready(self) -> None:
        """Until ``/ping`` is answered."""
        deadline = time.monotonic() + DEADLINE
        while True:
            with contextlib.suppress(OSError):
                if self.ask("/ping", timeout=2).status == 200:
                    return
            said = self.log.read_text()
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}: {said}"
            assert time.monotonic() < deadline, f"no /ping within {DEADLINE:.0f} s: {said}"
            time.sleep(0.02)

    def stop(self, signum: int = signal.SIGTERM, timeout: float = DEADLINE) -> int:
        """Ask it to end; returns its exit code."""
        self.process.send_signal(signum)
        return self.process.wait(timeout)

    def close(self) -> None:
        """End it in any case, with all that it started."""
        for connection in self._connections:
            connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    model: Path,
    folder: Path,
    environ: Mapping[str, str] | None = None,
    place: int | Path | None = None,
    ready: bool = True,
) -> ModelServer:
    """Start ``serve.py`` as a process of its own.

    Args:
        model: folder of the model.
        folder: where its log goes.
        environ: beside this process's environment.
        place: a port, or the path of a unix socket; None for a free port.
        ready: whether to wait until it answers.
    """
    place = free_port() if place is None else place
    where = {"BATCHRL_SERVE_SOCKET": str(place)} if isinstance(place, Path) else {"SAGEMAKER_BIND_TO_PORT": str(place)}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(SERVE), "--model", str(model)],
            env=os.environ | where | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = ModelServer(process, place, log)
    if ready:
        try:
            server.wait_until_ready()
        except BaseException:
            server.close()
            raise
    return server


@contextlib.contextmanager
def running(
    model: Path, folder: Path, environ: Mapping[str, str] | None = None, place: int | Path | None = None
) -> Iterator[ModelServer]:
    """A server that is ready, and ended afterwards."""
    server = start(model, folder, environ, place)
    try:
        yield server
    finally:
        server.close()
