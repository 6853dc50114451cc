"""A model server whose behaviour is told by MODE in its environment: the ``code/serve.py`` of models in tests.

It needs nothing but Python. A line ``report`` is answered with what the server sees: arguments, environment, the tree.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(os.environ.get("BATCHRL_ML_ROOT", "/opt/ml"))
MODE = os.environ.get("MODE", "echo")
# A file outlives a server that dies: it tells whether this is the first one.
MARK = ROOT / "died"


def report() -> bytes:
    seen = {
        "argv": sys.argv,
        "parent": Path(f"/proc/{os.getppid() or 1}/cmdline").read_text().split("\0")[:-1],
        "environment": dict(os.environ),
        "model": sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "model").rglob("*") if path.is_file()),
        "uid": os.getuid(),
        "network": sorted(path.name for path in Path("/sys/class/net").iterdir()),
    }
    return json.dumps(seen).encode()


def answer(line: bytes) -> bytes:
    return report() if line.strip() == b'"report"' else json.dumps({"echo": json.loads(line)}).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/ping":
            self.reply(503 if MODE == "never-well" else 200, b"")
        elif self.path == "/execution-parameters" and MODE == "parameters":
            parameters = {"MaxConcurrentTransforms": 2, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 3}
            self.reply(200, json.dumps(parameters).encode())
        else:
            self.reply(404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        sys.stdout.write(f"asked for {len(body)} bytes\n")
        sys.stdout.flush()
        if b"bad" in body:
            self.reply(400, b'{"error": "line 1: bad", "line": 1}')
        elif b"poison" in body or (b"fatal" in body and not MARK.exists()):
            MARK.touch()
            os._exit(9)
        elif b"wait" in body:
            time.sleep(60)
        else:
            self.reply(200, b"\n".join(answer(line) for line in body.splitlines() if line.strip()) + b"\n")

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/jsonlines")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "client"

    def log_message(self, *arguments: object) -> None:
        return


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        path = os.environ.get("BATCHRL_SERVE_SOCKET")
        self.address_family = socket.AF_UNIX if path else socket.AF_INET
        super().__init__(path or ("0.0.0.0", 8080), Handler)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)


def main() -> None:
    if MODE == "dies":
        print("no such weights", flush=True)
        sys.exit(3)
    server = Server()
    stop = signal.SIG_IGN if MODE == "deaf" else lambda *_: threading.Thread(target=server.shutdown).start()
    signal.signal(signal.SIGTERM, stop)
    print("serving", flush=True)
    server.serve_forever(0.05)
    print("leaves", flush=True)


if __name__ == "__main__":
    main()
