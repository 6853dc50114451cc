"""Asking the engine over its socket: every way in which it may not answer has its own words."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from batchrl.contract.errors import InputError, Unreachable
from launcher.local.engine import status


@contextmanager
def answering(socket_path: Path, answers: Mapping[str, tuple[int, object]]) -> Iterator[None]:
    """An engine that gives fixed answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, {"message": "no such thing"}))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            return

        def address_string(self) -> str:
            return "unix"

    with socketserver.ThreadingUnixStreamServer(str(socket_path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def socket_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "e"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    return path


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "tcp://127.0.0.1:2375", "ssh://build@farm", "npipe:////./x"])
def test_a_remote_engine_is_refused_with_the_reason(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(InputError, match="cannot mount") as refused:
        status.engine_host()
    assert host in refused.value.message
    found = status.engine_status()
    assert not found.available
    assert host in found.reason


def test_without_a_setting_it_is_the_usual_socket() -> None:
    assert status.engine_host({}) == "unix:///var/run/docker.sock"
    assert status.engine_host({"DOCKER_HOST": ""}) == "unix:///var/run/docker.sock"


def test_an_engine_that_answers_is_available_with_its_version(socket_path: Path) -> None:
    with answering(socket_path, {"/version": (200, {"Version": "20.10.24"})}):
        assert status.engine_status() == status.EngineStatus(available=True, version="20.10.24")


def test_no_socket_means_no_engine(socket_path: Path) -> None:
    assert "no Docker engine runs" in status.engine_status().reason
    with pytest.raises(Unreachable, match="no Docker engine runs") as unreachable:
        status.find_image("batchrl:1")
    assert unreachable.value.exit_code == 3
    assert "local_process" in str(unreachable.value.hint)


def test_a_socket_that_was_left_behind_means_it_has_stopped(socket_path: Path) -> None:
    with answering(socket_path, {}):
        pass
    assert "has stopped" in status.engine_status().reason


def test_something_else_behind_the_socket_is_no_engine(socket_path: Path) -> None:
    with answering(socket_path, {"/version": (200, b"<html>")}):
        assert "does not answer as a Docker engine" in status.engine_status().reason


def test_an_engine_in_trouble_is_not_available(socket_path: Path) -> None:
    with answering(socket_path, {"/version": (503, {})}):
        assert "status 503" in status.engine_status().reason


def test_a_silent_engine_is_given_up(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "ANSWER_SECONDS", 0.1)
    import socket

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(socket_path))
        silent.listen()
        assert "did not answer within" in status.engine_status().reason


def test_images_are_found_by_name_and_told_apart_by_label(socket_path: Path) -> None:
    ours = {"Id": "sha256:1", "Size": 5, "Config": {"Labels": {"org.batchrl.image": "1"}}}
    foreign = {"Id": "sha256:2", "Size": 6, "Config": {"Labels": None}}
    answers = {"/images/batchrl:1/json": (200, ours), "/images/registry:5000/a/b@sha256:0/json": (200, foreign)}
    with answering(socket_path, answers):
        assert status.find_image("batchrl:1") == status.ImageFacts("sha256:1", 5, is_ours=True)
        assert status.find_image("registry:5000/a/b@sha256:0") == status.ImageFacts("sha256:2", 6, is_ours=False)
        assert status.find_image("nothing:1") is None


def test_a_broken_engine_is_not_taken_for_a_missing_image(socket_path: Path) -> None:
    with answering(socket_path, {"/images/a/json": (500, {})}), pytest.raises(Unreachable, match="status 500"):
        status.find_image("a")


@pytest.mark.parametrize(("runtimes", "has_one"), [({"runc": {}, "nvidia": {}}, True), ({"runc": {}}, False)])
def test_gpus_need_the_engines_nvidia_runtime(socket_path: Path, runtimes: dict[str, object], has_one: bool) -> None:
    with answering(socket_path, {"/info": (200, {"Runtimes": runtimes})}):
        assert status.has_nvidia_runtime() is has_one
