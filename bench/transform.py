"""Batch transform on this computer: what a small job costs, a million lines, one record a request.

The single records are sent to the same kind of server as by the local mode of SageMaker's SDK: one request after the
other, on urllib3's pooled connections, with that request's headers.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import urllib3
from figures import Figure, cannot, show, warm_cloud

from batchrl.contract.records import from_json
from launcher import Model, RLEstimator, Transformer
from launcher.api.constants import ENDPOINT, TRANSFORM
from launcher.local.engine.image import default_image, engine_status, present
from launcher.local.executors.address import ServerAddress
from launcher.local.host.home import HomePaths
from launcher.local.records.records import Records
from launcher.session.session import LocalSession

JSON_LINES = "application/jsonlines"
MANY_LINES = 1_000_000
MORE_LINES = 10_000_000
SINGLE_LINES = 40_000
SEQUENTIAL_LINES = 4_000
REPEATS = 5
TURNS = 3


def states(path: Path, count: int) -> Path:
    """States of CartPole as JSON lists, one a line."""
    rows = np.random.default_rng(0).normal(0, 0.2, (count, 4)).astype(np.float32)
    with path.open("w") as file:
        for start in range(0, count, 100_000):
            block = rows[start : start + 100_000].astype(np.float64).round(8).tolist()
            file.write("".join(f"{json.dumps(row)}\n" for row in block))
    return path


def trained(session: LocalSession, folder: Path) -> str:
    """The model of the seed's own preset, after one epoch: an S3 URL."""
    data = folder / "cartpole.csv"
    collect = Path(__file__).resolve().parents[1] / "entrypoints" / "collect.py"
    options = ["--env", "CartPole-v0", "--num-envs", "20", "--episodes", "5", "--output", str(data)]
    subprocess.run([sys.executable, str(collect), *options], check=True, stdout=subprocess.DEVNULL)
    estimator = RLEstimator(
        preset="cartpole-ddqn-bcq",
        hyperparameters={"epochs": 1},
        instance_type="local_process",
        session=session,
    )
    return estimator.fit(str(data), logs=False).model_uri


def transformer(model: Model, strategy: str) -> Transformer:
    return model.transformer(
        instance_count=1, instance_type="local", strategy=strategy, assemble_with="Line", accept=JSON_LINES
    )


@contextmanager
def peak_of_the_driver(home: Path, name: str) -> Iterator[list[float]]:
    """The most memory, in MB, that the process behind a transform job had while the block ran."""
    records, ended, peak = Records(HomePaths.of(home).records), threading.Event(), [0.0]

    def look() -> None:
        while not ended.wait(0.05):
            record = records.find(name, TRANSFORM)
            if record is None or record.shim_pid is None:
                continue
            try:
                status = Path(f"/proc/{record.shim_pid}/status").read_text()
            except OSError:
                continue
            line = next((line for line in status.splitlines() if line.startswith("VmHWM")), "0 0 kB")
            peak[0] = max(peak[0], int(line.split()[1]) / 1000)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
        records.close()


def fixed_cost(model: Model, folder: Path) -> None:
    """A whole job of three records, again and again."""
    few, runs = states(folder / "few.jsonl", 3), []
    one = transformer(model, "SingleRecord")
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        one.transform(str(few), content_type=JSON_LINES, split_type="Line", join_source="Input", logs=False)
        runs.append(time.perf_counter() - started)
    show(Figure("transform job of 3 records, containers, warm cloud: median", statistics.median(runs[1:]), "s", 3))
    print(f"  (least {min(runs[1:]):.2f} s, most {max(runs[1:]):.2f} s)")


def many_lines(model: Model, session: LocalSession, folder: Path) -> None:
    """A million lines, from the upload to the outputs in S3; and ten million, for the memory."""
    seconds, peak, size = through(model, session, folder, MANY_LINES)
    show(
        Figure(f"{MANY_LINES:,} JSON lines, MultiRecord, join Input, containers, end to end", seconds, "s", 60),
        Figure(f"the same: most memory of the driver, input {size / 1e6:.0f} MB", peak, "MB", 300),
    )
    seconds, peak, size = through(model, session, folder, MORE_LINES)
    show(Figure(f"{MORE_LINES:,} lines: most memory of the driver, input {size / 1e6:.0f} MB", peak, "MB", 300))
    print(f"  ({seconds:.0f} s)")


def through(model: Model, session: LocalSession, folder: Path, count: int) -> tuple[float, float, int]:
    """So many lines through a transform job: its seconds, the driver's peak in MB and the bytes of the input."""
    file, name = states(folder / f"{count}.jsonl", count), f"lines-{count}"
    many = transformer(model, "MultiRecord")
    with peak_of_the_driver(Path(session.home or ""), name) as peak:
        started = time.perf_counter()
        job = many.transform(
            str(file), content_type=JSON_LINES, split_type="Line", join_source="Input", job_name=name, logs=False
        )
        seconds = time.perf_counter() - started
    job.pull(folder / name)
    output, size = folder / name / f"{file.name}.out", file.stat().st_size
    with output.open() as lines:
        predicted = sum('"SageMakerOutput":{"predictions"' in line for line in lines)
    if predicted != count:
        raise SystemExit(f"{predicted} of {count} lines have a prediction")
    file.unlink()
    output.unlink()
    return seconds, peak[0], size


def sequential_rate(session: LocalSession, endpoint: str, lines: list[bytes]) -> float:
    """Records a second, one request after the other as the SDK's local mode sends them."""
    records = Records(HomePaths.of(session.home).records)
    address = from_json(ServerAddress, records.get(endpoint, ENDPOINT).servers[0].address)
    records.close()
    pool, url = urllib3.PoolManager(), f"http://{address.host}:{address.port}/invocations"
    headers = {"Content-type": JSON_LINES, "Accept": JSON_LINES}
    started = time.perf_counter()
    for line in lines:
        answer = pool.request("POST", url, body=line, preload_content=False, headers=headers)
        if answer.status != 200:
            raise SystemExit(f"the server answers {answer.status}")
        answer.read()
        answer.close()
    return len(lines) / (time.perf_counter() - started)


def single_rate(one: Transformer, file: Path) -> float:
    """Records a second of a transform job with one record a request, from its first request to its end."""
    job = one.transform(str(file), content_type=JSON_LINES, split_type="Line", join_source="Input", logs=False)
    known = job.describe()
    seconds: float = (known["TransformEndTime"] - known["TransformStartTime"]).total_seconds()
    return SINGLE_LINES / seconds


def single_records(model: Model, session: LocalSession, folder: Path) -> None:
    """Both ways in turns, on servers of one image."""
    file = states(folder / "single.jsonl", SINGLE_LINES)
    lines = file.read_bytes().splitlines(keepends=True)[:SEQUENTIAL_LINES]
    predictor = model.deploy(instance_type="local")
    try:
        rates = []
        for _ in range(TURNS):
            sequential = sequential_rate(session, predictor.endpoint_name, lines)
            single = single_rate(transformer(model, "SingleRecord"), file)
            print(f"  one after the other {sequential:,.0f}/s, transform job {single:,.0f}/s", flush=True)
            rates.append(single / sequential)
    finally:
        predictor.delete_endpoint()
    show(Figure("SingleRecord, against sequential requests to the same server", statistics.median(rates), "x", 5, True))


def main() -> None:
    status = engine_status()
    if not status.available or not present(default_image()):
        return cannot("batch transform in containers", status.reason or f"no image {default_image()}: make image")
    with warm_cloud() as session, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = Model(trained(session, folder), instance_type="local", session=session)
        fixed_cost(model, folder)
        many_lines(model, session, folder)
        single_records(model, session, folder)
    return None


if __name__ == "__main__":
    main()
