"""The list a page at a time: every entry once, in order, and no more asked than a page needs."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from jobs import run_command

from launcher.console.joblist import LOOKED_AT, ROWS, Place, Scripts, Wanted, read_list
from launcher.local.host.home import HomePaths
from launcher.local.records import states
from launcher.local.records.jobrecord import JobRecord
from launcher.local.records.records import Records
from launcher.session.session import LocalSession

STORED = 700
OF_A_TRAINING = {
    "HyperParameters": {"sagemaker_program": '"own.py"'},
    "AlgorithmSpecification": {"TrainingImage": "batchrl:0.1.0", "TrainingInputMode": "File"},
    "RoleArn": "arn:aws:iam::000000000000:role/batchrl",
    "OutputDataConfig": {"S3OutputPath": "s3://results/place"},
    "ResourceConfig": {"InstanceType": "local_process", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


def record(name: str, kind: str, at: float) -> JobRecord:
    """An ended job as the API server keeps it, of a script of somebody's own."""
    request = OF_A_TRAINING if kind == "training" else {}
    arn = f"arn:aws:sagemaker:us-east-1:000000000000:{kind}-job/{name}"
    ended = {"status": states.COMPLETED, "secondary_status": states.COMPLETED, "ended_at": at + 1, "started_at": at}
    return JobRecord(name, kind, arn, request, at, at, **ended)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSession]:
    """Hundreds of jobs of two kinds, many of them of the same second, some of the same instant."""
    home = tmp_path_factory.mktemp("many")
    run_command(home, "cloud", "up")
    records, draw, now = Records(HomePaths.of(home).records), random.Random(1), time.time() - 1000
    for number in range(STORED):
        at = float(int(now)) - draw.choice((0.0, 0.25, 0.5)) - draw.randrange(60)
        records.create(record(f"job-{draw.randrange(10**9)}-{number}", draw.choice(("training", "processing")), at))
    records.close()
    yield LocalSession(home)
    run_command(home, "cloud", "down")
    shutil.rmtree(home)


def pages(session: LocalSession, scripts: Scripts, wanted: Wanted) -> Iterator[list[tuple[str, str]]]:
    """The pages of a list from a place on."""
    after: Place | None = wanted.after
    while True:
        found = read_list(session, Wanted(wanted.kind, wanted.status, wanted.name, after), scripts)
        yield [(one.kind, one.name) for one in found.rows]
        if found.older is None:
            return
        after = Place.read(str(found.older))
        assert after == found.older


def test_every_entry_comes_once_and_in_order(many: LocalSession) -> None:
    found = [entry for page in pages(many, Scripts(), Wanted()) for entry in page]
    assert len(found) == len(set(found)) == STORED
    records = Records(HomePaths.of(many.home).records)
    times = {(one.kind, one.name): one.created_at for one in records.list()}
    records.close()
    assert set(times) == set(found)
    created = [times[entry] for entry in found]
    assert created == sorted(created, reverse=True)


def test_what_is_made_and_deleted_meanwhile_neither_repeats_nor_hides(many: LocalSession) -> None:
    records = Records(HomePaths.of(many.home).records)
    before = {(one.kind, one.name) for one in records.list()}
    each = pages(many, Scripts(), Wanted(kind="processing"))
    first = next(each)
    records.create(record("made-meanwhile", "processing", time.time()))
    rest = [entry for page in each for entry in page]
    records.delete("made-meanwhile", "processing")
    records.close()
    assert sorted(first + rest) == sorted(entry for entry in before if entry[0] == "processing")


def test_a_page_asks_for_a_page_and_for_each_job_once(many: LocalSession) -> None:
    asked: Counter[str] = Counter()
    count = asked.update
    events = many.sagemaker.meta.events
    events.register("before-call.sagemaker", lambda model, **_: count([model.name]), unique_id="count")
    scripts = Scripts()
    assert len(read_list(many, Wanted(), scripts).rows) == ROWS
    lists = {name: times for name, times in asked.items() if name.startswith("List")}
    assert set(lists.values()) == {1} and len(lists) == 5
    assert asked["DescribeTrainingJob"] <= ROWS + 1
    asked.clear()
    read_list(many, Wanted(), scripts)
    assert asked["DescribeTrainingJob"] == 0
    asked.clear()
    # Nothing of the kind is there: it stops after so many, and says where to go on.
    found = read_list(many, Wanted(kind="evaluation"), Scripts())
    events.unregister("before-call.sagemaker", unique_id="count")
    assert not found.rows and asked["DescribeTrainingJob"] <= LOOKED_AT


@pytest.mark.parametrize("text", [None, "", "x", "1~2", "1~2~3~4", "x~1~n", f"{'9' * 40}~0~n", "-1~x~n", "nan~0~n"])
def test_a_place_that_nobody_wrote_is_the_beginning(text: str | None) -> None:
    assert Place.read(text) is None
