"""The fault-injecting proxy before a small server: each mode does what its name says."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from faults.proxy import MODES, FaultProxy, flipped

BODY = b"0123456789" * 100
LISTING = (
    b"<ListBucketResult><KeyCount>2</KeyCount><Contents><Key>old</Key></Contents>"
    b"<Contents><Key>a/new</Key></Contents></ListBucketResult>"
)


class Store(BaseHTTPRequestHandler):
    """Answers a body or a listing, and remembers what it got."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, bytes]]

    def log_message(self, *arguments: object) -> None:
        """Nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.headers["Host"], body))
        content = b"" if self.command == "PUT" else LISTING if "list-type" in self.path else BODY
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = _answer  # noqa: N815


@pytest.fixture
def seen() -> list[tuple[str, str, bytes]]:
    return []


@pytest.fixture
def proxy(seen: list[tuple[str, str, bytes]]) -> Iterator[FaultProxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Seeing", (Store,), {"seen": seen}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    proxy = FaultProxy(f"http://127.0.0.1:{server.server_address[1]}")
    yield proxy
    proxy.close()
    server.shutdown()
    server.server_close()


def ask(proxy: FaultProxy, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=20)
    try:
        connection.request(method, path, body or None, {"Host": "signed.example"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_all_passes_unchanged_until_something_is_injected(proxy, seen) -> None:
    assert ask(proxy, "GET", "/b/k") == (200, BODY)
    assert ask(proxy, "PUT", "/b/k", b"content") == (200, b"")
    assert ask(proxy, "HEAD", "/b/k") == (200, b"")
    assert seen == [
        ("GET", "signed.example", b""),
        ("PUT", "signed.example", b"content"),
        ("HEAD", "signed.example", b""),
    ]
    proxy.inject("503", 1.0, 0)
    proxy.heal()
    assert ask(proxy, "GET", "/b/k") == (200, BODY)


@pytest.mark.parametrize(
    ("mode", "status", "code"), [("500", 500, b"Internal"), ("503", 503, b"Slow"), ("expired", 403, b"Expired")]
)
def test_refusals_do_not_reach_the_store(proxy, seen, mode, status, code) -> None:
    injection = proxy.inject(mode, 1.0, 0)
    found, body = ask(proxy, "GET", "/b/k")
    assert found == status and code in body
    assert ask(proxy, "HEAD", "/b/k") == (status, b"")
    assert not seen and injection.hits == 2


@pytest.mark.parametrize(("mode", "reaches"), [("reset", False), ("lost-answer", True)])
def test_connections_are_reset_before_or_after_the_store(proxy, seen, mode, reaches) -> None:
    proxy.inject(mode, 1.0, 0)
    with pytest.raises(ConnectionResetError):
        ask(proxy, "PUT", "/b/k", b"content")
    assert bool(seen) == reaches


def test_a_body_is_cut_short(proxy) -> None:
    proxy.inject("short-body", 1.0, 0)
    with pytest.raises(http.client.IncompleteRead):
        ask(proxy, "GET", "/b/k")
    assert ask(proxy, "GET", "/b?list-type=2")[1] == LISTING


def differing_bits(one: bytes, other: bytes) -> int:
    assert len(one) == len(other)
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


def test_one_bit_is_changed_either_way(proxy, seen) -> None:
    proxy.inject("wrong-download", 1.0, 0)
    assert differing_bits(ask(proxy, "GET", "/b/k")[1], BODY) == 1
    proxy.inject("wrong-upload", 1.0, 0)
    ask(proxy, "PUT", "/b/k", BODY)
    assert differing_bits(seen[-1][2], BODY) == 1
    assert flipped(b"", 0.5) == b""


def test_a_list_lags(proxy) -> None:
    ask(proxy, "PUT", "/b/a/new", b"content")
    proxy.inject("lagging-list", 1.0, 0)
    listing = ask(proxy, "GET", "/b?list-type=2&prefix=")[1]
    assert b"old" in listing and b"new" not in listing and b"<KeyCount>1<" in listing


def test_a_stall_waits_and_goes_on(proxy) -> None:
    proxy.inject("stall", 1.0, 0)
    began = time.monotonic()
    assert ask(proxy, "GET", "/b/k") == (200, BODY)
    assert time.monotonic() - began >= 1.0


def test_a_share_is_hit_and_the_seed_says_which(proxy) -> None:
    def statuses() -> list[int]:
        proxy.inject("503", 0.3, 42)
        return [ask(proxy, "GET", "/b/k")[0] for _ in range(60)]

    assert statuses() == statuses()
    assert 5 < statuses().count(503) < 35


def test_every_mode_is_tried_by_a_kind() -> None:
    from faults import registry

    assert {f"s3-{mode}" for mode in MODES} <= set(registry.load())
