"""The local cloud under load: many jobs, many records, long logs, much output, large checkpoints.

Memory and descriptors of what lives on are held against themselves: what the last third of the looks found over what
the first third found. Times are held against the same with little of it, in turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from figures import Figure, beside_python, show, warm_cloud
from loadscripts import CHECKPOINT, FIGURES, HELLO, LINES, PRINTER, TRAINING
from residents import MB, Course, Residents

from launcher import RLEstimator
from launcher.jobs.training import Job
from launcher.local.host.home import HomePaths
from launcher.local.records.records import Records
from launcher.session.session import LocalSession

# Resident memory of a process moves by itself by so much.
STEADY = 1.05


class Jobs:
    """Runs small scripts as jobs of one cloud, in processes.

    Args:
        session: the cloud.
        folder: where scripts are written.
    """

    def __init__(self, session: LocalSession, folder: Path) -> None:
        assert session.home is not None
        self.session = session
        self.home = session.home
        self._folder = folder

    def start(self, name: str, script: str, **settings: object) -> Job:
        """Send a job; its name is that of the script and a number."""
        source = self._folder / name
        source.mkdir(exist_ok=True)
        (source / "main.py").write_text(script)
        estimator = RLEstimator(
            entry_point="main.py",
            source_dir=str(source),
            instance_type="local_process",
            hyperparameters=dict(settings),
            session=self.session,
        )
        return estimator.fit(wait=False)

    def run(self, name: str, script: str, **settings: object) -> Job:
        """The same, and wait for its end."""
        job = self.start(name, script, **settings)
        job.wait()
        return job

    def said(self, job: Job) -> list[str]:
        """The figures that a job's script printed at its end; what the platform says comes after it."""
        return next(line for line in job.logs(follow=False, tail=20) if line.startswith(FIGURES)).split()[1:]

    def residents(self) -> Residents:
        """What lives as long as the cloud."""
        return Residents.of(self.home)


def one_after_another(jobs: Jobs, count: int) -> None:
    """Jobs, each after the one before it."""
    jobs.run("hello", HELLO)
    residents, course, seconds = jobs.residents(), Course(), []
    for _ in range(count):
        started = time.perf_counter()
        jobs.run("hello", HELLO)
        seconds.append(time.perf_counter() - started)
        residents.wait_for_no_shim()
        course.looks.append(residents.look())
    third = max(1, count // 3)
    pace = statistics.median(seconds[-third:]) / statistics.median(seconds[:third])
    show_course(course, f"{count} jobs one after another")
    show(
        Figure(f"{count} jobs one after another: seconds a job, last third / first", pace, "x", 1.25),
        Figure(f"{count} jobs one after another: shims left", residents.wait_for_no_shim(), "", 0),
    )


def show_course(course: Course, what: str) -> None:
    """How the residents grew."""
    for name in course.looks[0]:
        memory, descriptors = course.growth(name)
        show(
            Figure(f"{what}: memory of the {name}, last / first third", memory, "x", STEADY),
            Figure(f"{what}: descriptors of the {name}, last / first third", descriptors, "x", STEADY),
        )


def at_once(jobs: Jobs, count: int, rounds: int) -> None:
    """Jobs at the same time, round after round."""
    residents, course = jobs.residents(), Course()
    with residents.peak_of_shims() as peak:
        for _ in range(rounds):
            started = [jobs.start("hello", HELLO) for _ in range(count)]
            for job in started:
                job.wait()
            residents.wait_for_no_shim()
            course.looks.append(residents.look())
    show_course(course, f"{count} jobs at once, {rounds} times")
    show(
        Figure(f"{count} jobs at once: most memory of one shim, its own", peak[0], "MB", 60),
        Figure(f"{count} jobs at once, {rounds} times: shims left", residents.wait_for_no_shim(), "", 0),
    )


def many_records(jobs: Jobs, few: Path, count: int, turns: int) -> None:
    """`ps` of a cloud with many jobs, beside that of one with few."""
    job = jobs.run("hello", HELLO)
    records = Records(HomePaths.of(jobs.home).records)
    try:
        model = records.get(job.name)
        for number in range(count):
            name = f"old-{number:06d}"
            at, arn = model.created_at - 1 - number, f"{model.arn}-{name}"
            records.create(dataclasses.replace(model, name=name, created_at=at, arn=arn))
    finally:
        records.close()
    for what in (("ps",), ("ps", "--name", "no-such"), ("show", job.name)):
        reference = ("show", next(iter(_names(few)))) if what[0] == "show" else what
        ratio = in_turns(partial(command, jobs.home, *what), partial(command, few, *reference), turns)
        show(Figure(f"`batchrl {what[0]}{' --name X' * (len(what) == 3)}`: {count:,} records / 1", ratio, "x", 1.3))


def _names(home: Path) -> Iterator[str]:
    records = Records(HomePaths.of(home).records)
    try:
        yield from (record.name for record in records.list())
    finally:
        records.close()


def in_turns(action: Callable[[], object], reference: Callable[[], object], turns: int) -> float:
    """Seconds of one over those of another that it takes turns with: the median of the turns."""
    ratios = []
    for _ in range(turns):
        took = []
        for each in (action, reference):
            started = time.perf_counter()
            each()
            took.append(time.perf_counter() - started)
        ratios.append(took[0] / took[1])
    return statistics.median(ratios)


def command(home: Path, *arguments: str) -> float:
    """Run ``batchrl`` and forget what it prints; its peak memory in MB."""
    environ = os.environ | {"BATCHRL_HOME": str(home)}
    null = subprocess.DEVNULL
    running = subprocess.Popen([beside_python("batchrl"), *arguments], env=environ, stdout=null, stderr=null)
    _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise SystemExit(f"batchrl {' '.join(arguments)} ended with {running.returncode}")
    return usage.ru_maxrss * 1024 / MB


def long_log(jobs: Jobs, lines: int, turns: int) -> None:
    """A job that prints many lines, and the commands that read them."""
    short = jobs.run("short", LINES, lines=10)
    with jobs.residents().peak_of_shims() as peak:
        long = jobs.run("long", LINES, lines=lines)
    started = time.perf_counter()
    memory = command(jobs.home, "logs", long.name)
    took = time.perf_counter() - started
    small = command(jobs.home, "logs", short.name)
    ratio = in_turns(
        lambda: command(jobs.home, "logs", long.name, "--tail", "20"),
        lambda: command(jobs.home, "logs", short.name, "--tail", "20"),
        turns,
    )
    show(
        Figure(f"{lines:,} lines: most memory of the shim, its own", peak[0], "MB", 60),
        Figure(f"`batchrl logs` of {lines:,} lines: seconds", took, "s", 30),
        Figure(f"`batchrl logs` of {lines:,} lines: memory beyond that of 10", memory - small, "MB", 20),
        Figure(f"`batchrl logs --tail 20` of {lines:,} lines / of 10", ratio, "x", 1.3),
    )


def printer(jobs: Jobs, megabytes: int, turns: int) -> None:
    """A job that prints as fast as it can, beside the same script into `cat`."""
    rates, alone, peaks = [], [], []
    for _ in range(turns):
        with jobs.residents().peak_of_shims() as peak:
            rates.append(float(jobs.said(jobs.run("printer", PRINTER, megabytes=megabytes))[0]))
        peaks.append(peak[0])
        alone.append(_printed_alone(megabytes))
    ratio = statistics.median(mine / other for mine, other in zip(rates, alone, strict=True))
    show(
        Figure("a job that prints: MB/s", statistics.median(rates), "MB/s", 100, at_least=True),
        Figure("a job that prints: MB/s / the same script piped into `cat` and a file", ratio, "x", 0.0, at_least=True),
        Figure("a job that prints: most memory of its shim, its own", max(peaks), "MB", 60),
    )


def _printed_alone(megabytes: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "main.py"
        script.write_text(PRINTER)
        piped = f'"{beside_python("python")}" "{script}" --megabytes {megabytes} | cat > "{folder}/out"'
        subprocess.run(piped, shell=True, check=True)
        with (Path(folder) / "out").open("rb") as out:
            out.seek(-200, os.SEEK_END)
            return float(out.read().split()[-1])


def large_checkpoint(jobs: Jobs, megabytes: int) -> None:
    """A checkpoint of a GB: when it is in the store, what the shim held, and whether it comes back whole."""
    with jobs.residents().peak_of_shims() as peak:
        job = jobs.run("checkpoint", CHECKPOINT, megabytes=megabytes)
    digest, rate = jobs.said(job)
    with tempfile.TemporaryDirectory() as folder:
        job.pull(folder, what="checkpoints")
        file = next(Path(folder).rglob("epoch_0001.pt"))
        found = subprocess.run(["sha256sum", str(file)], capture_output=True, text=True, check=True).stdout.split()[0]
    show(
        Figure(f"checkpoint of {megabytes:,} MB: comes back with another sha256", float(found != digest), "", 0),
        Figure(f"checkpoint of {megabytes:,} MB: most memory of the shim, its own", peak[0], "MB", 200),
        Figure("  (the disk takes what the script writes at, MB/s)", float(rate), "MB/s", 0, at_least=True),
    )


def training(jobs: Jobs, megabytes: int, turns: int) -> None:
    """What checkpoints that go to the store cost a training, beside the same that stay on disk."""
    shares = []
    for _ in range(turns):
        took = {}
        for kept in (False, True):
            job = jobs.run("training", TRAINING, megabytes=megabytes, published=int(kept))
            took[kept] = float(jobs.said(job)[0])
        shares.append(took[True] / took[False] - 1)
    what = f"training on one core, {megabytes} MB of checkpoint every 10 s: time that its upload costs"
    show(Figure(what, 100 * statistics.median(shares), "%", 2.0))


@contextmanager
def cloud() -> Iterator[Jobs]:
    """A cloud of its own, and a folder for scripts."""
    with warm_cloud() as session, tempfile.TemporaryDirectory() as folder:
        yield Jobs(session, Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ("jobs", "at-once", "records", "logs", "printer", "checkpoint", "training")
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(parts)}; all by default")
    parser.add_argument("--jobs", type=int, default=200, help="one after another (200)")
    parser.add_argument("--at-once", type=int, default=20, help="jobs at the same time (20)")
    parser.add_argument("--records", type=int, default=10_000, help="jobs in the database (10,000)")
    parser.add_argument("--lines", type=int, default=1_000_000, help="of a log (1,000,000)")
    parser.add_argument("--megabytes", type=int, default=1000, help="of output, and of a checkpoint (1,000)")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(parts):
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(parts)}")
    chosen = given.parts or parts
    with cloud() as jobs:
        if "jobs" in chosen:
            one_after_another(jobs, given.jobs)
        if "at-once" in chosen:
            at_once(jobs, given.at_once, rounds=6)
        if "logs" in chosen:
            long_log(jobs, given.lines, turns=5)
        if "printer" in chosen:
            printer(jobs, given.megabytes, turns=3)
        if "checkpoint" in chosen:
            large_checkpoint(jobs, given.megabytes)
        if "training" in chosen:
            training(jobs, 60, turns=3)
        if "records" in chosen:
            with cloud() as few:
                few.run("hello", HELLO)
                many_records(jobs, few.home, given.records, turns=7)


if __name__ == "__main__":
    main()
