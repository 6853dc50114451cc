"""Kinds: bits flipped and ends cut off, of files on disk and of objects in the store."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from batchrl.contract import columns
from batchrl.contract.errors import BatchRLError
from batchrl.contract.layout import BEST_NAME, CHECKPOINT_PATTERN, LATEST_NAME, S3Url
from batchrl.contract.store import list_objects
from faults import targets
from faults.content import get
from faults.fault import Fault
from faults.findings import LOST, UNTRUE, TooLate
from faults.proxy import flipped
from faults.registry import add
from faults.training import Moment, Run, check_equal, check_status

Damage = Callable[[Fault, bytes], bytes]
# From here on there are checkpoints enough to fall back to.
LATER = range(4, 15)


def flip(fault: Fault, content: bytes) -> bytes:
    """One to three bits changed."""
    for _ in range(fault.random.randint(1, 3)):
        content = flipped(content, fault.random.random())
    return content


def cut(fault: Fault, content: bytes) -> bytes:
    """The end cut off, at times all of it."""
    return content[: int(len(content) * fault.random.uniform(0, 0.99))]


def _later(fault: Fault) -> Moment:
    return Moment("epoch", fault.random.choice(LATER), fault.random.uniform(0, 0.2))


def _killed(fault: Fault) -> Run:
    run = fault.training()
    run.until(_later(fault))
    if not targets.strike(run.script(), signal.SIGKILL):
        raise TooLate
    run.ended()
    return run


def _goes_on(fault: Fault, run: Run, at_least: int) -> None:
    """A run goes on past damaged checkpoints: no earlier than the newest good one, and to the same end."""
    again = run.again()
    check_status(again, ("Completed",))
    came_back = again.resumed_after()
    text = f"epoch {at_least} had a good checkpoint, and the run went on after epoch {came_back}"
    fault.findings.check(came_back >= at_least, LOST, text)
    check_equal(again, fault.reference)


def checkpoint_in_store(damage: Damage) -> Callable[[Fault], None]:
    """A kind: between a kill and the resumption the newest checkpoint in the store is damaged."""

    def make(fault: Fault) -> None:
        run = _killed(fault)
        client, newest = run.cloud.truth, run.announced()
        if newest < 2:
            raise TooLate
        url = run.prefix / CHECKPOINT_PATTERN.format(epoch=newest)
        client.put_object(Bucket=url.bucket, Key=url.key, Body=damage(fault, get(client, url)))
        _goes_on(fault, run, newest - 1)

    return make


def pointer_in_store(damage: Damage) -> Callable[[Fault], None]:
    """A kind: between a kill and the resumption ``latest.json`` or ``best.json`` is damaged in the store."""

    def make(fault: Fault) -> None:
        run = _killed(fault)
        client, newest = run.cloud.truth, run.announced()
        if not newest:
            raise TooLate
        url = run.prefix / fault.random.choice((LATEST_NAME, BEST_NAME))
        client.put_object(Bucket=url.bucket, Key=url.key, Body=damage(fault, get(client, url)))
        _goes_on(fault, run, newest)

    return make


def checkpoint_on_disk(damage: Damage) -> Callable[[Fault], None]:
    """A kind: the newest checkpoint is damaged on disk while the script is stopped, and the script is killed."""

    def make(fault: Fault) -> None:
        run = fault.training()
        run.until(_later(fault))
        script = run.script()
        if not targets.strike(script, signal.SIGSTOP):
            raise TooLate
        newest = run.epoch_on_disk()
        file = run.root / "checkpoints" / CHECKPOINT_PATTERN.format(epoch=newest)
        try:
            file.write_bytes(damage(fault, file.read_bytes()))
        except OSError:
            raise TooLate from None
        finally:
            targets.strike(script, signal.SIGKILL)
        check_status(run, ("Failed",), "SIGKILL|137")
        _goes_on(fault, run, newest - 1)

    return make


def result_in_store(
    which: Callable[[Run], S3Url], read: Callable[[Run, Path], object], damage: Damage
) -> Callable[[Fault], None]:
    """A kind: a published result is damaged in the store; whoever fetches it is told, and gets nothing damaged."""

    def make(fault: Fault) -> None:
        run = fault.training()
        check_status(run, ("Completed",))
        check_equal(run, fault.reference)
        client, url = run.cloud.truth, which(run)
        whole = get(client, url)
        damaged = damage(fault, whole)
        client.put_object(Bucket=url.bucket, Key=url.key, Body=damaged)
        folder = fault.lane.place()
        try:
            read(run, folder)
        except BatchRLError as error:
            fault.findings.note(f"told: {error}")
        else:
            fault.findings.check(damaged == whole, LOST, f"damaged {url.name} was taken for good")
        found = [path for path in folder.rglob("*") if path.is_file() and path.read_bytes() == damaged != whole]
        fault.findings.check(not found, LOST, f"a damaged copy lies in {found}")

    return make


def _model(run: Run) -> S3Url:
    assert run.job is not None
    return run.job.layout.model_archive


def _pull(run: Run, folder: Path) -> None:
    assert run.job is not None
    run.job.pull(folder, "model", unpack=True)


def _table(run: Run) -> S3Url:
    assert run.job is not None
    return run.job.layout.intermediate / columns.INTERMEDIATE_CSV


def _metrics(run: Run, folder: Path) -> None:
    assert run.job is not None
    run.job.metrics()


def input_in_store(part: str, damage: Damage) -> Callable[[Fault], None]:
    """A kind: what a job reads is damaged in the store before it starts; it fails in words, or is right."""

    def make(fault: Fault) -> None:
        first = fault.training()
        first.ended()
        client = first.cloud.truth
        place = S3Url.parse(f"{first.checkpoints}-out")
        (key,) = (key for key, _ in list_objects(client, place) if f"/{part}/" in key)
        url = S3Url(place.bucket, key)
        whole = get(client, url)
        client.put_object(Bucket=url.bucket, Key=url.key, Body=damage(fault, whole))
        again = Run(first.cloud, fault.findings, fault.dataset, first.checkpoints)
        for name, _ in list(list_objects(client, S3Url(place.bucket, f"{first.prefix.key}/"))):
            client.delete_object(Bucket=place.bucket, Key=name)
        again.start()
        record = check_status(again, ("Completed", "Failed"))
        if record.status == "Completed":
            check_equal(again, fault.reference)
        else:
            fault.findings.check("Traceback" not in again.log(), UNTRUE, f"a traceback: {again.log()[-500:]}")

    return make


for _name, _what, _damage in (("flip", "bits are flipped", flip), ("cut", "the end is cut off", cut)):
    add(
        f"{_name}-checkpoint-s3",
        "content",
        f"The newest checkpoint in S3, between kill and resumption: {_what}",
        checkpoint_in_store(_damage),
    )
    add(
        f"{_name}-pointer-s3",
        "content",
        f"`latest.json` or `best.json` in S3, between kill and resumption: {_what}",
        pointer_in_store(_damage),
    )
    add(
        f"{_name}-checkpoint-disk",
        "content",
        f"The newest checkpoint on disk, before the script is killed: {_what}",
        checkpoint_on_disk(_damage),
    )
    add(
        f"{_name}-model-s3",
        "content",
        f"`model.tar.gz` in S3, before it is pulled: {_what}",
        result_in_store(_model, _pull, _damage),
    )
    add(
        f"{_name}-csv-s3",
        "content",
        f"The csv of estimates in S3, before it is read: {_what}",
        result_in_store(_table, _metrics, _damage),
    )
    add(
        f"{_name}-dataset-s3",
        "content",
        f"The dataset in S3, before the job starts: {_what}",
        input_in_store("datasets", _damage),
    )
    add(
        f"{_name}-code-s3",
        "content",
        f"The archive of code in S3, before the job starts: {_what}",
        input_in_store("source", _damage),
    )
