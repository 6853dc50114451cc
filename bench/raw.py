"""Features as the log has them, beside plain numbers: what categories cost a model server and the reading of a log.

Serving: requests of JSON Lines answered in this process without HTTP (parsed, encoded, decided on, written), raw
records of two categories and five numbers beside a policy of seven numbers, as objects and as lists. Reading: files of
a million rows with five texts and ten numbers, to tensors, beside fifteen numbers. Both take turns, and the median of
the rounds' ratios of CPU time counts; its quartiles stand beside it.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.update({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
import torch
from figures import Figure, show

from batchrl.agents.model import PolicyModel, Scorer
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.target_policy import TargetPolicy
from batchrl.data.dataset import default_names
from batchrl.data.encoding import Encoding, RawColumn
from batchrl.data.loader import load_dataset
from batchrl.serving.invocation import Service
from batchrl.serving.predictor import Predictor
from presets.dataschema import DataSettings

RECORDS, ACTIONS = 5_000, 2
NUMBERS, CATEGORIES = 5, 2
LEVELS = ("basic", "gold", "platinum", "silver")
NETWORKS = {"256-512": ((256, 512), 1), "5 of 64-64": ((64, 64), 5)}
LEAST_SPEED, MOST_TIME = 0.7, 2.0
ROWS, TEXTS, FEATURES = 1_000_000, 5, 10
ROUNDS, FILE_ROUNDS = 21, 5


def ratios(one: Callable[[], object], other: Callable[[], object], rounds: int) -> list[float]:
    """CPU time of one thing by that of another, in turns; the first round warms up."""
    found = []
    for _ in range(rounds + 1):
        begun = time.process_time()
        one()
        between = time.process_time()
        other()
        found.append((between - begun) / (time.process_time() - between))
    return found[1:]


def spread(found: list[float]) -> str:
    low, _, high = statistics.quantiles(found, n=4)
    return f"    quartiles of {len(found)} rounds: {low:.2f} to {high:.2f}"


def service_of(name: str, n_features: int, encoding: Encoding | None, columns: tuple[str, ...] = ()) -> Service:
    hidden, ensemble = NETWORKS[name]
    network = Network(NetworkShape(n_features, ACTIONS, hidden, ensemble), torch.Generator().manual_seed(0))
    scorer = Scorer(network, 10.0)
    model = PolicyModel(scorer, scorer, TargetPolicy(), None, "most_likely")
    predictor = Predictor(model, model.target, default_names(ACTIONS))
    return Service(predictor, encoding=encoding, columns=columns)


def answered(service: Service, body: bytes) -> None:
    if b"error" in service.answer("application/jsonlines", "", body).body:
        raise SystemExit("a record was not taken")


def serving(rounds: int) -> None:
    """Records a second of raw records, as a share of those of plain numbers."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(RECORDS, NUMBERS + CATEGORIES)).round(4)
    names = tuple(f"number_{at}" for at in range(NUMBERS))
    texts = tuple(f"category_{at}" for at in range(CATEGORIES))
    plain = (*names, *texts)
    codes = rng.integers(len(LEVELS), size=(RECORDS, CATEGORIES))
    kinds = [RawColumn(name, "number") for name in names] + [RawColumn(name, "category", LEVELS) for name in texts]
    encoding = Encoding.fitted(kinds, np.concatenate([numbers[:, :NUMBERS], codes], axis=1))
    raw = [
        dict(zip(plain, (*row[:NUMBERS], *(LEVELS[code] for code in own)), strict=True))
        for row, own in zip(numbers.tolist(), codes.tolist(), strict=True)
    ]
    bodies = [
        b"".join(orjson.dumps(one) + b"\n" for one in records)
        for records in (raw, [dict(zip(plain, row, strict=True)) for row in numbers.tolist()], numbers.tolist())
    ]
    # As the server does: else the collector would look at all of torch's objects while lines are parsed.
    gc.collect()
    gc.freeze()
    for name in NETWORKS:
        encoded = service_of(name, len(encoding.names), encoding)
        numeric = service_of(name, len(plain), None, plain)

        for what, body in (("objects", bodies[1]), ("lists", bodies[2])):
            found = ratios(partial(answered, numeric, body), partial(answered, encoded, bodies[0]), rounds)
            told = f"raw records a second, of numbers as {what}, {name}"
            show(Figure(told, statistics.median(found), "x", LEAST_SPEED, at_least=True))
            print(spread(found), flush=True)


def reading(folder: Path, rounds: int) -> None:
    """Time from a file with texts to tensors, by that of a file of numbers."""
    rng = np.random.default_rng(0)
    shared = {
        "action": rng.integers(0, 2, ROWS),
        "propensity": np.full(ROWS, 0.5),
        "episode_id": np.repeat(np.arange(ROWS // 20), 20),
        "reward": rng.normal(size=ROWS).round(3),
        **{f"x{at}": rng.normal(size=ROWS).round(4) for at in range(FEATURES)},
    }
    levels = pa.array(LEVELS)
    texts = {f"z{at}": levels.take(pa.array(rng.integers(len(LEVELS), size=ROWS))) for at in range(TEXTS)}
    numbers = {f"z{at}": rng.normal(size=ROWS).round(4) for at in range(TEXTS)}
    for name, more in (("texts", texts), ("numbers", numbers)):
        pyarrow.csv.write_csv(pa.table({**shared, **more}), folder / f"{name}.csv")
    columns = tuple(f"x{at}" for at in range(FEATURES)) + tuple(f"z{at}" for at in range(TEXTS))
    settings = DataSettings(state_columns=columns)
    found = ratios(
        lambda: load_dataset(folder / "texts.csv", settings),
        lambda: load_dataset(folder / "numbers.csv", settings),
        rounds,
    )
    told = f"CSV of a million rows with {TEXTS} texts, {FEATURES} numbers, beside {TEXTS + FEATURES} numbers"
    show(Figure(told, statistics.median(found), "x", MOST_TIME))
    print(spread(found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of the requests ({ROUNDS})")
    parser.add_argument("--file-rounds", type=int, default=FILE_ROUNDS, help=f"of the files ({FILE_ROUNDS})")
    options = parser.parse_args()
    torch.set_num_threads(1)
    serving(options.rounds)
    with tempfile.TemporaryDirectory(prefix="batchrl-bench-") as folder:
        reading(Path(folder), options.file_rounds)


if __name__ == "__main__":
    main()
