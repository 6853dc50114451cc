"""Logged data from files to tensors: a million transitions from CSV and from Parquet, and many more than fit memory.

Numbers are unique in every row; the probabilities are one text throughout, as a fixed policy logs them, or vary from
row to row, as those of a learnt policy do.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import torch
from figures import Figure, show

from batchrl.data.loader import load_dataset
from presets.dataschema import DataSettings

TRANSITIONS = 1_000_000
FEATURES = 4
CSV_SECONDS = 3.0
PARQUET_SECONDS = 0.4
MAPPED_GB = 4.0
ARRAYS = ("states", "actions", "rewards", "next_states", "terminal", "behavior_policy")
BATCH, BATCHES = 128, 10_000


def log(transitions: int, seed: int, first_episode: int = 0, fixed: bool = False) -> pa.Table:
    """Rows in the shape of random CartPole's: episodes of about 22 steps, two actions, four features."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(10, 35, size=transitions // 10)
    episodes = np.repeat(np.arange(first_episode, first_episode + len(lengths)), lengths)[:transitions]
    chance = np.full(transitions, 0.5) if fixed else rng.uniform(0.1, 0.9, transitions)
    policy = np.stack([chance, 1 - chance], axis=1)
    columns = {
        "action": (rng.random(transitions) > chance).astype(np.int64),
        "all_action_probabilities": pa.FixedSizeListArray.from_arrays(pa.array(policy.ravel()), 2).cast(
            pa.list_(pa.float64())
        ),
        "episode_id": episodes,
        "reward": rng.normal(size=transitions),
        "cumulative_rewards": np.zeros(transitions),
        **{f"state_feature_{i}": rng.normal(size=transitions).astype(np.float32) for i in range(FEATURES)},
    }
    return pa.table(columns)


def with_texts(table: pa.Table) -> pa.Table:
    """The same with the probabilities as the text of a csv."""
    name = "all_action_probabilities"
    texts = pa.array([str(row) for row in table.column(name).to_pylist()], pa.string())
    return table.set_column(table.column_names.index(name), name, texts)


def tensors(path: Path, settings: DataSettings) -> dict[str, torch.Tensor]:
    """What training learns from."""
    data = load_dataset(path, settings).dataset
    return {name: torch.from_numpy(getattr(data, name)) for name in ARRAYS}


def median_times(action: Callable[[], object], repeats: int = 7) -> tuple[float, float]:
    """Medians of wall and CPU time, in seconds; on a busy machine the second one says more."""
    wall, cpu = [], []
    for _ in range(repeats):
        started, worked = time.perf_counter(), time.process_time()
        action()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - worked)
    return statistics.median(wall), statistics.median(cpu)


def formats(folder: Path) -> None:
    """Seconds from a file to tensors."""
    for kind, fixed in (("vary", False), ("are alike", True)):
        table = log(TRANSITIONS, seed=0, fixed=fixed)
        texts = with_texts(table)
        pyarrow.csv.write_csv(texts, folder / "log.csv")
        pq.write_table(table, folder / "log.parquet")
        pq.write_table(texts, folder / "texts.parquet")
        for name, what, wanted in (
            ("log.csv", "CSV of 1 million", CSV_SECONDS),
            ("log.parquet", "Parquet of 1 million", PARQUET_SECONDS),
            ("texts.parquet", "Parquet with text lists", CSV_SECONDS),
        ):
            path = folder / name
            wall, cpu = median_times(partial(tensors, path, DataSettings()))
            show(Figure(f"{what}, probabilities {kind} ({cpu:.2f} s of CPU time)", wall, "s", wanted))
            path.unlink()


class PeakMemory(threading.Thread):
    """Looks again and again how much memory of this process no file backs; ``gb`` is the most that was seen."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.gb = 0.0

    def run(self) -> None:
        while True:
            lines = Path("/proc/self/status").read_text().splitlines()
            kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
            self.gb = max(self.gb, kilobytes * 1024 / 1e9)
            time.sleep(0.02)


def mapped(folder: Path) -> None:
    """Load a folder and draw minibatches, with arrays in mapped files and a limit of the memory for anything else."""
    resource.setrlimit(resource.RLIMIT_DATA, (int(MAPPED_GB * 1e9),) * 2)
    peak = PeakMemory()
    peak.start()
    torch.set_num_threads(1)
    start = time.perf_counter()
    found = tensors(folder, DataSettings())
    loaded = time.perf_counter() - start
    transitions = len(found["actions"])
    generator = torch.Generator().manual_seed(0)
    for _ in range(BATCHES):
        chosen = torch.randint(transitions, (BATCH,), generator=generator)
        for values in found.values():
            values.index_select(0, chosen)
    drawn = time.perf_counter() - start - loaded
    print(
        f"  {transitions:,} transitions: loaded in {loaded:.1f} s, {BATCHES:,} minibatches of {BATCH} in {drawn:.1f} s"
    )
    show(Figure("the same, storage auto: most memory that no file backs", peak.gb, "GB", MAPPED_GB))


def mapped_apart(folder: Path, transitions: int) -> None:
    """``mapped`` in a process of its own, which has not made the data."""
    pieces = 10
    for piece in range(pieces):
        rows = log(transitions // pieces, seed=piece, first_episode=piece * transitions)
        pq.write_table(rows, folder / f"{piece}.parquet")
    subprocess.run([sys.executable, __file__, "--load", str(folder)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mapped", type=int, default=20_000_000, help="transitions of the mapped part; 0 for none")
    parser.add_argument("--load", type=Path, metavar="FOLDER", help="only load this folder, mapped")
    chosen = parser.parse_args()
    if chosen.load:
        mapped(chosen.load)
        return
    print(f"  load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="batchrl-bench-") as folder:
        formats(Path(folder))
        if chosen.mapped:
            mapped_apart(Path(folder), chosen.mapped)


if __name__ == "__main__":
    main()
