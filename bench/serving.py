"""The model server: its speed beside the forward pass alone, and many clients at once.

Speed: one worker on one core, one client on another, HTTP on loopback; a request is 60,000 lines of CartPole states.
The bound is what the answer cannot do without: the network's forward pass on the same rows and orjson's parsing of the
same lines, on the same core, with one thread. Both take turns, and the median of the rounds' ratios counts. The network
is the seed's (256 and 512 units); that of the preset generic-discrete (five of 64 and 64) is so small that writing the
answer takes longer than computing it.

Clients: each sends requests of 1 to 50 lines in all three formats, one after the other on a connection of its own, and
looks at every answer. Memory is what the server's processes have together (Rss), averaged over five seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.client
import itertools
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Before torch is imported, for the bound; the server sets its own.
os.environ.update({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})

import numpy as np
import orjson
import torch
from figures import Figure, median_seconds, show

from batchrl.agents.model import PolicyModel, Scorer
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.target_policy import TargetPolicy
from batchrl.checkpoints.export import export_model

SERVE = Path(__file__).parents[1] / "entrypoints" / "serve.py"
ROWS, FEATURES, ACTIONS = 60_000, 4, 2
NETWORKS = {"256-512": ((256, 512), 1), "5 of 64-64": ((64, 64), 5)}
SEEDS = "256-512"
ROUNDS = 15
CLIENTS, SECONDS, WARM_UP = 200, 60.0, 10.0
AVERAGED = 5.0
LINES_AT_MOST = 50
HEAD = "POST /invocations HTTP/1.1\r\nHost: server\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"


def policy_of(name: str) -> PolicyModel:
    hidden, ensemble = NETWORKS[name]
    network = Network(NetworkShape(FEATURES, ACTIONS, hidden, ensemble), torch.Generator().manual_seed(0))
    scorer = Scorer(network, 10.0)
    return PolicyModel(scorer, scorer, TargetPolicy(), None, "most_likely")


@contextmanager
def served(policy: PolicyModel, workers: int) -> Iterator[tuple[int, int]]:
    """A server of the policy; gives its port and its first process."""
    with tempfile.TemporaryDirectory(prefix="batchrl-bench-") as folder:
        export_model(Path(folder) / "model", policy, {"preset": "bench"}, "{}")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        environ = {"SAGEMAKER_BIND_TO_PORT": str(port), "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers)}
        command = [sys.executable, str(SERVE), "--model", str(Path(folder) / "model")]
        process = subprocess.Popen(command, env=os.environ | environ, stdout=subprocess.DEVNULL)
        try:
            while process.poll() is None:
                try:
                    ask(http.client.HTTPConnection("127.0.0.1", port, timeout=5), "/ping")
                except OSError:
                    time.sleep(0.05)
                else:
                    break
            yield port, process.pid
        finally:
            process.terminate()
            if process.wait(30) != 0:
                raise SystemExit(f"the server ended with exit code {process.returncode}")


def ask(connection: http.client.HTTPConnection, path: str, body: bytes | None = None) -> bytes:
    headers = {"Content-Type": "application/jsonlines"}
    connection.request("GET" if body is None else "POST", path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path} gave {answer.status}: {content[:200]!r}")
    return content


def share_of_bound(name: str, rounds: int) -> float:
    """The bound's time as a share of the server's, median of the rounds."""
    policy = policy_of(name)
    states = np.random.default_rng(0).normal(size=(ROWS, FEATURES)).astype(np.float32)
    body = b"".join(orjson.dumps(row) + b"\n" for row in states.tolist())
    cores = sorted(os.sched_getaffinity(0))
    # As the server does: else the collector would look at all of torch's objects while lines are parsed.
    gc.collect()
    gc.freeze()

    def parse() -> None:
        orjson.loads(b"[" + body[:-1].replace(b"\n", b",") + b"]")

    os.sched_setaffinity(0, cores[:1])
    try:
        with served(policy, workers=1) as (port, _):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            shares, server, forward, parsing = [], [], [], []
            for _ in range(rounds + 1):
                os.sched_setaffinity(0, cores[-1:])
                server.append(median_seconds(lambda: ask(connection, "/invocations", body), 1))
                # The server's core, where it has nothing to do now.
                os.sched_setaffinity(0, cores[:1])
                forward.append(median_seconds(lambda: policy.preferences(states), 1))
                parsing.append(median_seconds(parse, 1))
                shares.append((forward[-1] + parsing[-1]) / server[-1])
    finally:
        os.sched_setaffinity(0, cores)
    # The first round warms up.
    per_row = [1e6 * statistics.median(times[1:]) / ROWS for times in (server, forward, parsing)]
    print(f"  {name}: server {per_row[0]:.2f} us a row, forward {per_row[1]:.2f}, parsing {per_row[2]:.2f}", flush=True)
    return statistics.median(shares[1:])


class Client(asyncio.Protocol):
    """Sends requests without a pause and counts answers that are not what they should be.

    Args:
        requests: bytes to send, each with the number of records in it.
        until: monotonic time of the last request.
    """

    def __init__(self, requests: Iterator[tuple[bytes, int, str]], until: float) -> None:
        self._requests, self._until = requests, until
        self._received = bytearray()
        self.answers = self.errors = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        self.answers += 1
        self.errors += not head.startswith(b"HTTP/1.1 200 ") or self._records(bytes(body)) != self._wanted
        self._received.clear()
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.errors += 1
            self.ended.set_result(None)

    def _send(self) -> None:
        if time.monotonic() >= self._until:
            self.ended.set_result(None)
            self._transport.close()
            return
        request, self._wanted, self._kind = next(self._requests)
        self._transport.write(request)

    def _records(self, body: bytes) -> int:
        return len(json.loads(body)["actions"]) if self._kind == "application/json" else body.count(b"\n")


def requests_of(number: int) -> list[tuple[bytes, int, str]]:
    """Some requests, other ones for each client."""
    source = random.Random(number)
    made = []
    for kind in ("application/jsonlines", "text/csv", "application/json"):
        for size in (1, 1, source.randint(2, LINES_AT_MOST)):
            rows = [[source.gauss(0, 1) for _ in range(FEATURES)] for _ in range(size)]
            lines = [json.dumps(row) for row in rows]
            if kind == "application/json":
                body = json.dumps({"instances": rows})
            else:
                body = "\n".join(line.strip("[]") if kind == "text/csv" else line for line in lines) + "\n"
            made.append(((HEAD.format(kind, len(body)) + body).encode(), size, kind))
    source.shuffle(made)
    return made


def megabytes_of(pid: int) -> float:
    """Memory of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in (str(pid), *children))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def many_clients(
    port: int, pid: int, clients: int, seconds: float
) -> tuple[int, int, Sequence[tuple[float, float]]]:
    """Answers, errors, and the server's memory by the time since the start."""
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    made = []
    for number in range(clients):
        endless = itertools.cycle(requests_of(number))
        _, client = await loop.create_connection(lambda: Client(endless, began + seconds), "127.0.0.1", port)  # noqa: B023
        made.append(client)
    memory = []
    while time.monotonic() < began + seconds:
        memory.append((time.monotonic() - began, megabytes_of(pid)))
        await asyncio.sleep(0.5)
    await asyncio.wait_for(asyncio.gather(*(client.ended for client in made)), 30)
    return sum(client.answers for client in made), sum(client.errors for client in made), memory


def growth(memory: Sequence[tuple[float, float]]) -> float:
    """By how much the last seconds are above those after the warm-up, in percent."""
    last = memory[-1][0]
    early = [used for moment, used in memory if WARM_UP <= moment < WARM_UP + AVERAGED]
    late = [used for moment, used in memory if moment > last - AVERAGED]
    return 100 * (statistics.mean(late) / statistics.mean(early) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of the speed ({ROUNDS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of the clients, 16 or more ({SECONDS:g})")
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"at once ({CLIENTS})")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in NETWORKS:
        share = share_of_bound(name, options.rounds)
        if name == SEEDS:
            what = "server alone: share of torch forward on the same rows plus orjson parsing"
            show(Figure(what, share, "x", 0.6, at_least=True))
        else:
            print(f"  {name}: {100 * share:.0f} % of the bound", flush=True)
    with served(policy_of(SEEDS), workers=len(os.sched_getaffinity(0))) as (port, pid):
        answers, errors, memory = asyncio.run(many_clients(port, pid, options.clients, options.seconds))
    print(f"  {answers / options.seconds:.0f} requests/s, {memory[-1][1]:.0f} MB in the end", flush=True)
    what = f"{options.clients} concurrent clients for {options.seconds:g} s"
    show(
        Figure(f"{what}: errors", errors, "", 0), Figure(f"{what}: more memory than after 10 s", growth(memory), "%", 1)
    )


if __name__ == "__main__":
    main()
