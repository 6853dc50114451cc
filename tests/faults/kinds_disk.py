"""Kinds: a full disk, no descriptors, folders that cannot be written, and a cloud that has lost its own small files."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from disks import fill
from jobs import run_command

from faults import targets
from faults.clouds import Cloud
from faults.fault import Fault
from faults.findings import HUNG, LOST, UNTRUE, Given, TooLate, eventually
from faults.registry import add, kind
from faults.training import END_SECONDS, ENDED, Run
from launcher.local import cleanup

REMOUNT_SECONDS = 5.0
DISK_BYTES = 192 * 1024 * 1024
WHILE = ("running", "epoch", "epoch", "epoch", "uploading")
HONEST = ("Completed", "Failed")
NO_SPACE = "disk is full|No space left|database or disk is full|ended unexpectedly"


@contextlib.contextmanager
def small_disk(fault: Fault) -> Iterator[Cloud]:
    """A cloud on a small disk of its own (tmpfs)."""
    place = fault.lane.place()
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)], check=True)
    try:
        with fault.lane.extra(place / "cloud") as cloud:
            yield cloud
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
        with contextlib.suppress(OSError):
            place.rmdir()


def full(fault: Fault, low: float, high: float) -> None:
    """The disk is full for some seconds, then it has room again."""
    seconds = fault.random.uniform(low, high)
    with small_disk(fault) as place:

        def strike(run: Run) -> None:
            ballast = fill(place.folder.parent)
            try:
                fault.findings.note(f"full for up to {seconds:.1f} s")
                ended = threading.Event()
                for _ in range(int(seconds * 10)):
                    with contextlib.suppress(Exception, Given):
                        if run.record().status in ENDED:
                            break
                    ended.wait(0.1)
            finally:
                ballast.unlink()

        run = fault.training(place)
        fault.disturb(strike, moment=fault.moment(*WHILE), ends=HONEST, reasons=NO_SPACE, run=run)


@kind("full-disk-short", "disk", "The disk is full for up to 3 s", "small_disk")
def full_for_a_moment(fault: Fault) -> None:
    """A disk that is full for a moment."""
    full(fault, 0.3, 3.0)


@kind("full-disk-long", "disk", "The disk is full for 20 s, or until the job has ended", "small_disk")
def full_for_long(fault: Fault) -> None:
    """A disk that stays full."""
    full(fault, 20.0, 20.0)


def limited(
    what: int, find: Callable[[Run], int | None], allowed: Callable[[int], int], reasons: str
) -> Callable[[Fault], None]:
    """A kind: a process may have no more of something for a while.

    Args:
        what: a limit of the resource module's.
        find: the process.
        allowed: how much it may have, by its pid.
        reasons: what the reason of a failure holds.
    """

    def make(fault: Fault) -> None:
        seconds = fault.random.uniform(0.3, 3.0)

        def strike(run: Run) -> None:
            pid = find(run)
            if pid is None:
                raise TooLate
            try:
                soft, hard = resource.prlimit(pid, what)
                resource.prlimit(pid, what, (allowed(pid), hard))
                threading.Event().wait(seconds)
                resource.prlimit(pid, what, (soft, hard))
            except (ProcessLookupError, FileNotFoundError):
                fault.findings.note("it ended meanwhile")

        fault.findings.note(f"limited for {seconds:.1f} s")
        fault.disturb(strike, moment=fault.moment(*WHILE[:-1]), ends=HONEST, reasons=reasons)

    return make


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


VICTIMS: Sequence[tuple[str, str, Callable[[Run], int | None]]] = (
    ("script", "the script", Run.script),
    ("shim", "the job's shim", lambda run: run.record().shim_pid),
    ("server", "the API server", lambda run: targets.server(run.cloud.paths)),
    ("store", "the embedded store", lambda run: targets.store(run.cloud.paths)),
)
for _name, _what, _find in VICTIMS:
    add(
        f"descriptors-{_name}",
        "disk",
        f"{_what[0].upper()}{_what[1:]} may open no more files for up to 3 s (RLIMIT_NOFILE)",
        limited(resource.RLIMIT_NOFILE, _find, _open_files, "(?i)too many open files|descriptor|exit code|ended unexp"),
    )
for _name, _what, _find in VICTIMS[:2]:
    add(
        f"file-size-{_name}",
        "disk",
        f"Writes of {_what} fail for up to 3 s (RLIMIT_FSIZE): a full disk for whoever is not root",
        limited(resource.RLIMIT_FSIZE, _find, lambda pid: 0, "(?i)file too large|exit code|disk|ended unexpectedly"),
    )


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that nobody can write to, root neither: a mount of itself that is read-only."""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        # Refused as long as a file below it is open for writing, which another moment ends.
        remount = ["mount", "-o", "remount,bind,ro", str(folder)]
        if not eventually(lambda: subprocess.run(remount, capture_output=True).returncode == 0, REMOUNT_SECONDS):
            raise TooLate
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def not_writable(which: Callable[[Run], Path]) -> Callable[[Fault], None]:
    """A kind: a folder cannot be written to for a while."""

    def make(fault: Fault) -> None:
        seconds = fault.random.uniform(0.3, 4.0)

        def strike(run: Run) -> None:
            folder = which(run)
            if not folder.is_dir():
                raise TooLate
            with read_only(folder):
                threading.Event().wait(seconds)

        fault.disturb(
            strike,
            moment=fault.moment(*WHILE),
            ends=HONEST,
            reasons="(?i)read-only|exit code|cannot be written|readonly|ended unexpectedly",
        )
        cleanup.gc(fault.cloud.folder)

    return make


add(
    "read-only-checkpoints",
    "disk",
    "The folder of checkpoints is read-only for up to 4 s",
    not_writable(lambda run: run.root / "checkpoints"),
    "small_disk",
)
add(
    "read-only-job-folder",
    "disk",
    "The job's whole folder is read-only for up to 4 s; `cloud gc` then removes what could not be removed meanwhile",
    not_writable(lambda run: run.root.parent),
    "small_disk",
)


def deleted(which: Callable[[Run], Sequence[Path]]) -> Callable[[Fault], None]:
    """A kind: files of the cloud are deleted, and the next command comes."""

    def make(fault: Fault) -> None:
        def strike(run: Run) -> None:
            files = [file for file in which(run) if file.exists()]
            chosen = fault.random.sample(files, fault.random.randint(1, len(files))) if files else []
            fault.findings.note(f"deleted: {', '.join(file.name for file in chosen)}")
            for file in chosen:
                file.unlink(missing_ok=True)
            run.cloud.revive(fault.findings)
            _one_of_each(run, fault)

        fault.disturb(strike, moment=fault.moment("created", *WHILE))

    return make


def _one_of_each(run: Run, fault: Fault) -> None:
    servers = [one.pid for one in targets.of_home(run.cloud.paths) if targets.SERVER in one.command]
    fault.findings.note(f"API servers: {servers}")


add(
    "delete-sockets",
    "disk",
    "Sockets of the cloud are deleted",
    deleted(lambda run: sorted(run.cloud.paths.runtime.glob("*.sock"))),
)
add(
    "delete-pid-files",
    "disk",
    "`door.json`, `store.json` or both are deleted",
    deleted(lambda run: [run.cloud.paths.server_process, run.cloud.paths.store_process]),
)
add(
    "delete-lock-files",
    "disk",
    "`cloud.lock`, `door.lock` or both are deleted",
    deleted(lambda run: [run.cloud.paths.lock, run.cloud.paths.server_lock]),
)


def damaged_records(damage: Callable[[Fault, Path], None]) -> Callable[[Fault], None]:
    """A kind: the database of records is damaged while a job runs.

    Nothing can be known of the job from them then. Right is: whoever asks is told in words which file it is, the job's
    processes come to an end, and with the file out of the way a new job goes on from the checkpoints.
    """

    def make(fault: Fault) -> None:
        with fault.lane.extra(fault.lane.place()) as cloud:
            run = fault.training(cloud)
            run.until(fault.moment("epoch"))
            known, shim = run.announced(), run.shim()
            damage(fault, cloud.paths.records)
            done = run_command(cloud.folder, "ps", check=False)
            fault.findings.note(f"batchrl ps: {done.returncode} {done.stderr.strip()[:300]}")
            fault.findings.check("Traceback" not in done.stderr, UNTRUE, f"a traceback: {done.stderr[-400:]}")
            if done.returncode:
                told = "records" in done.stderr
                fault.findings.check(told, UNTRUE, f"the records are damaged, and the command says: {done.stderr}")
            gone = eventually(lambda: not run.processes() and not shim.alive, END_SECONDS)
            fault.findings.check(gone, HUNG, "the job runs on, and nothing can be known of it")
            cloud.end()
            for file in cloud.folder.glob("records.sqlite*"):
                file.rename(file.with_name(f"damaged-{file.name}"))
            known = max(known, run.announced()) if cloud.revive(fault.findings) else known
            again = run.again()
            again.ended()
            came_back = again.resumed_after()
            text = f"epoch {known} was announced, and the run went on after epoch {came_back}"
            fault.findings.check(came_back >= known, LOST, text)
            fault.judge(again, known)

    return make


def _flip_bytes(fault: Fault, records: Path) -> None:
    size = records.stat().st_size
    with records.open("r+b") as file:
        for _ in range(fault.random.randint(1, 40)):
            file.seek(fault.random.randrange(size))
            file.write(os.urandom(1))


def _truncate(fault: Fault, records: Path) -> None:
    os.truncate(records, int(records.stat().st_size * fault.random.uniform(0, 0.9)))


def _garbage(fault: Fault, records: Path) -> None:
    records.write_bytes(fault.random.randbytes(20_000))


add("records-flipped", "disk", "Up to 40 bytes of `records.sqlite` are changed", damaged_records(_flip_bytes))
add("records-truncated", "disk", "`records.sqlite` is cut short", damaged_records(_truncate))
add("records-garbage", "disk", "`records.sqlite` is overwritten with random bytes", damaged_records(_garbage))
