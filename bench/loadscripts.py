"""The scripts of the jobs that ``load.py`` runs; what they measure is a line that begins with ``FIGURES``."""

from __future__ import annotations

FIGURES = "figures:"
HELLO = 'print("hello")\n'

_BEGIN = """
import argparse, hashlib, os, pathlib, sys, time

parser = argparse.ArgumentParser()
for name in ("lines", "megabytes", "published"):
    parser.add_argument(f"--{name}", type=int)
given, _ = parser.parse_known_args()
checkpoints = pathlib.Path(os.environ.get("SM_CHECKPOINT_DIR", "/opt/ml/checkpoints"))
"""

LINES = f"""{_BEGIN}
for number in range(given.lines):
    print("step", number, "loss 0.123456 return 98.7")
"""

# Blocks of lines of 100 bytes, as fast as they are taken; then MB/s.
PRINTER = f'''{_BEGIN}
block = (b"x" * 99 + b"\\n") * 640
started = time.perf_counter()
for _ in range(given.megabytes * 1_000_000 // len(block)):
    sys.stdout.buffer.write(block)
sys.stdout.flush()
print("{FIGURES}", given.megabytes / (time.perf_counter() - started))
'''

# A file of random bytes; its sha256, and the MB/s that the disk took.
CHECKPOINT = f'''{_BEGIN}
checkpoints.mkdir(parents=True, exist_ok=True)
seen, took = hashlib.sha256(), 0.0
with (checkpoints / "epoch_0001.pt.tmp").open("wb") as file:
    for _ in range(given.megabytes):
        block = os.urandom(1_000_000)
        seen.update(block)
        started = time.perf_counter()
        file.write(block)
        took += time.perf_counter() - started
(checkpoints / "epoch_0001.pt.tmp").rename(checkpoints / "epoch_0001.pt")
print("{FIGURES}", seen.hexdigest(), given.megabytes / took)
'''

# Matrix products on one core; every ten seconds or so a checkpoint. Seconds of the products alone.
TRAINING = f'''
import os
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
{_BEGIN}
import tempfile
import numpy as np
folder = checkpoints if given.published else pathlib.Path(tempfile.mkdtemp())
folder.mkdir(parents=True, exist_ok=True)
a, content = np.random.default_rng(0).normal(size=(512, 512)), os.urandom(given.megabytes * 1_000_000)
def work(seconds=None, products=None):
    started, done = time.perf_counter(), 0
    while (done < products) if products else (time.perf_counter() - started < seconds):
        a @ a
        done += 1
    return time.perf_counter() - started, done
_, products = work(seconds=10)
took = 0.0
for epoch in range(4):
    (folder / "epoch.tmp").write_bytes(content)
    (folder / "epoch.tmp").rename(folder / f"epoch_{{epoch:04d}}.pt")
    took += work(products=products)[0]
# Products a second, so that what the machine did in the first ten seconds does not count.
print("{FIGURES}", took / (4 * products))
'''
