"""Each diagnosis from an event file, a record and a log that were made for it; test_real_jobs.py has real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launcher.api.constants import ENDPOINT, TRAINING, TRANSFORM
from launcher.diagnosis import ends, running, slowness
from launcher.diagnosis.facts import Facts, Living, Source
from launcher.diagnosis.local import facts_of, find_record
from launcher.diagnosis.report import Report, diagnose
from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import (
    CheckpointsFinished,
    CheckpointUploaded,
    CutShort,
    DiskLow,
    Event,
    EventsDropped,
    FolderPublished,
    InputDownloaded,
    MemoryLow,
    MetricDropped,
    OutOfMemory,
    ProgramEnded,
    ProgramStarted,
    ServerBegan,
    ShimLost,
    SignalSent,
    StopRequested,
    StoreAnswered,
    StoreFailed,
    Usage,
)
from launcher.local.events.processes import Process
from launcher.local.host.home import HomePaths
from launcher.local.host.processes import ProcessId
from launcher.local.logs.joblogs import StreamWriter
from launcher.local.records import states
from launcher.local.records.records import JobRecord, Records

BEGAN = 1_700_000_000.0
REQUEST: dict[str, Any] = {"AlgorithmSpecification": {"TrainingImage": "mine:1"}, "ResourceConfig": {}}
Step = tuple[float, Event]


class Home:
    """A data folder with one job in it, whose time is made up."""

    def __init__(self, folder: Path, kind: str = TRAINING) -> None:
        self.folder = folder
        self.paths = HomePaths.of(folder)
        self.paths.create()
        self.kind = kind
        self.records = Records(self.paths.records)
        request = REQUEST | ({"ProductionVariants": [], "Models": {}} if kind == ENDPOINT else {})
        self.records.create(JobRecord.new("job", kind, "arn:job", request, BEGAN, "Preparing"))

    @property
    def record(self) -> JobRecord:
        return find_record("job", None, self.folder)

    def move(self, at: float, status: str, reason: str | None = None) -> None:
        columns = {"failure_reason": reason} if reason else {}
        self.records.transition("job", status, f"is {status}", BEGAN + at, self.kind, **columns)

    def tell(self, *steps: Step) -> None:
        for at, event in steps:
            EventFile(self.paths.job(self.record.key).events, clock=lambda at=at: BEGAN + at).add(event)

    def log(self, *lines: tuple[float, str]) -> None:
        for at, line in lines:
            writer = StreamWriter(
                self.paths.job(self.record.key).log_file("algo-1"), lambda at=at: int(1000 * (BEGAN + at))
            )
            writer.write(line)
            writer.close()

    def report(self, now: float = 1000, **changes: Any) -> Report:
        return diagnose(self.facts(now, **changes))

    def facts(self, now: float = 1000, **changes: Any) -> Facts:
        from dataclasses import replace

        facts = facts_of(self.record, self.folder, lambda: BEGAN + now, lambda seconds: None)
        return replace(facts, **changes)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def ran(seconds: float, code: int, rss: int = 10**8, kills: int = 0) -> list[Step]:
    """A program that ran until ``seconds``."""
    return [(1, ProgramStarted("process", "999999999", 1)), (seconds, ProgramEnded(1, code, seconds, rss, kills))]


def failed(home: Home, reason: str, *steps: Step, at: float = 100) -> Report:
    home.move(1, states.TRAINING)
    home.tell(*steps)
    home.move(at, states.FAILED, reason)
    return home.report()


ALGORITHM = "AlgorithmError: "
FAILURES: list[tuple[str, str, list[Step], str, str]] = [
    (
        "shim_died",
        "InternalServerError: the process that ran the job ended unexpectedly; its log is x",
        [(90, ShimLost(77))],
        "found its shim gone",
        "shim",
    ),
    (
        "image_missing",
        "ClientError: image 'mine:1' was not found by the engine at unix:///x.",
        [],
        "mine:1",
        "mine:1 is not there",
    ),
    (
        "no_engine",
        "ClientError: instance type 'local' runs jobs in containers, and no container engine can be used: x.",
        [],
        "no container engine",
        "container",
    ),
    (
        "not_startable",
        "AlgorithmError: /no/such cannot be started: No such file or directory, exit code: 127",
        [],
        "/no/such",
        "was not found",
    ),
    (
        "not_startable",
        "AlgorithmError: /x cannot be started: Exec format error, exit code: 127",
        [],
        "Exec format",
        "no program for this machine",
    ),
    ("not_startable", "AlgorithmError: /x cannot be started: Permission denied, exit code: 127", [], "denied", "chmod"),
    (
        "requirements_failed",
        ALGORITHM + "requirements.txt could not be installed: pip ended with exit code 1., exit code: 2",
        ran(50, 2),
        "pip",
        "could not be installed",
    ),
    (
        "input_missing",
        "ClientError: channel 'training': download of s3://b/k: no S3 objects found under S3 URL 's3://b/k'.",
        [],
        "s3://b/k",
        "not there",
    ),
    (
        "disk_full",
        "ClientError: channel 'training': its objects hold 9 bytes, the disk of /x has 1 free.",
        [(50, DiskLow(1000, "/x"))],
        "1.0 kB were free",
        "disk was full",
    ),
    (
        "disk_full",
        ALGORITHM + "OSError: [Errno 28] No space left on device: 'x', exit code: 1",
        ran(50, 1),
        "Errno 28",
        "full",
    ),
    (
        "out_of_memory",
        ALGORITHM + ", exit code: 137",
        [*ran(50, 137), (51, OutOfMemory(1))],
        "engine says",
        "out of memory",
    ),
    (
        "out_of_memory",
        ALGORITHM + "The script was ended by SIGKILL; the machine may have run out of memory., exit code: 137",
        ran(50, 137, 10**9, 1),
        "the kernel ended 1 processes",
        "out of memory",
    ),
    ("out_of_memory", ALGORITHM + "MemoryError\n  x, exit code: 1", ran(50, 1), "MemoryError", "out of memory"),
    (
        "killed",
        ALGORITHM + "The script was ended by SIGKILL; the machine may have run out of memory., exit code: 137",
        ran(50, 137),
        "exit code 137",
        "SIGKILL, which came from outside",
    ),
    ("killed", ALGORITHM + "The script was ended by SIGSEGV., exit code: 139", ran(50, 139), "139", "native code"),
    (
        "store_unreachable",
        "InternalServerError: upload of the job's artifacts: http://x does not answer.",
        [
            *ran(50, 0),
            (60, StoreFailed("PutObject", "Could not connect")),
            (99, FolderPublished("model", 0, 39, "x does not answer")),
        ],
        "no answer came after that",
        "store did not answer",
    ),
    (
        "entry_point_missing",
        ALGORITHM + "the entry point 'x.py' is not in the code; its folder holds y.py., exit code: 2",
        ran(5, 2),
        "x.py",
        "not in its code",
    ),
    (
        "script_failed",
        ALGORITHM + "ValueError: bad\n  line 3, exit code: 1",
        ran(50, 1),
        "exit code 1",
        "ValueError: bad",
    ),
    ("script_failed", ALGORITHM + ", exit code: 3", ran(50, 3), "exit code 3", "it wrote nothing"),
    ("refused", "ClientError: InstanceCount 2: the local cloud runs jobs on one host.", [], "", "InstanceCount 2"),
    ("internal", "InternalServerError: KeyError: 'x'", [], "", "KeyError"),
    ("no_capacity", "CapacityError: Unable to provision requested ML compute capacity.", [], "provision", "no machine"),
    ("unknown", "something else", [], "", "something else"),
]


@pytest.mark.parametrize(("code", "reason", "steps", "evidence", "said"), FAILURES)
def test_a_failure_has_its_cause_its_evidence_and_a_remedy(home, code, reason, steps, evidence, said):
    report = failed(home, reason, *steps)
    assert report.verdict.code == code
    assert evidence in " ".join(report.verdict.evidence)
    assert said in report.verdict.said
    assert report.verdict.remedy


def test_an_outage_that_is_over_is_not_the_cause(home):
    steps = [*ran(50, 1), (20, StoreFailed("PutObject", "HTTP 503")), (25, StoreAnswered(3, 5.0))]
    assert failed(home, "ClientError: InstanceCount 2 is too many.", *steps).verdict.code == "refused"


def test_a_scripts_own_time_out_is_not_the_stores_fault(home):
    report = failed(home, ALGORITHM + "TimeoutError: timed out, exit code: 1", *ran(50, 1))
    assert report.verdict.code == "script_failed"


def test_a_kill_of_ours_is_no_kill_from_outside(home):
    reason = ALGORITHM + "The script was ended by SIGKILL., exit code: 137"
    report = failed(home, reason, *ran(50, 137), (49, SignalSent("SIGKILL", 1)))
    assert report.verdict.code == "script_failed"


def test_the_last_lines_of_the_log_are_evidence_of_a_failed_script(home):
    home.log((40, "epoch 7"), (50, "ValueError: bad"))
    report = failed(home, ALGORITHM + "ValueError: bad, exit code: 1", *ran(50, 1))
    assert report.verdict.evidence[-2:] == ("log: epoch 7", "log: ValueError: bad")


def test_most_of_the_memory_taken_and_a_kill_are_out_of_memory(home):
    home.move(1, states.TRAINING)
    home.tell(*ran(50, 137, rss=900))
    home.move(100, states.FAILED, ALGORITHM + ", exit code: 137")
    assert home.report(memory=1000).verdict.code == "out_of_memory"
    assert home.report(memory=10_000).verdict.code == "killed"


def test_the_time_limit(home):
    home.move(1, states.TRAINING)
    home.log((30, "still here"))
    home.tell(
        (1, ProgramStarted("process", "999999999", 1)), (60, CutShort("limit", 59)), (60, SignalSent("SIGTERM", 1))
    )
    home.move(60, states.STOPPING)
    home.move(61, states.UPLOADING)
    home.move(62, states.MAX_RUNTIME_EXCEEDED)
    verdict = home.report().verdict
    assert verdict.code == "max_runtime"
    told = " ".join(verdict.evidence)
    assert "MaxRuntimeInSeconds (59 s)" in told and "SIGTERM" in told and "30 s before that" in told


@pytest.mark.parametrize(("agent", "name"), [
    ("aws-cli/2.1 md/x", "the AWS CLI"), ("Boto3/1.4 batchrl", "batchrl"), ("curl/8", "a client of the API"),
])  # fmt: skip
def test_who_stopped_it(home, agent, name):
    home.move(1, states.TRAINING)
    home.tell((50, StopRequested(agent)), (50.1, SignalSent("SIGTERM", 1)))
    for at, status in ((51, states.STOPPING), (52, states.UPLOADING), (53, states.STOPPED)):
        home.move(at, status)
    verdict = home.report().verdict
    assert verdict.code == "stopped" and name in verdict.said
    assert agent in verdict.evidence[0]


def test_a_job_that_went_well_says_so(home):
    home.move(1, states.TRAINING)
    home.tell(*ran(50, 0))
    home.move(51, states.UPLOADING)
    home.move(52, states.COMPLETED)
    report = home.report()
    assert (report.verdict.code, report.notes, report.source) == ("completed", (), Source.EVENTS.value)
    assert [phase.status for phase in report.phases] == ["Starting", "Training", "Uploading", "Completed"]


def test_a_transform_jobs_refused_records_and_a_server_that_does_not_come_up(tmp_path):
    home = Home(tmp_path / "home", TRANSFORM)
    home.move(5, states.TRANSFORMING)
    home.move(9, states.FAILED, "ClientError: 1 of 2 objects could not be transformed: s3://b/x: line 3")
    assert home.report().verdict.code == "records_refused"
    other = Home(tmp_path / "other", TRANSFORM)
    other.tell((1, ProgramStarted("process", "999999999", 1)))
    other.move(9, states.FAILED, ALGORITHM + "the model server ended with exit code 1 before it answered /ping.")
    assert other.report().verdict.code == "server_unwell"


def test_spot_interruptions(home):
    home.move(1, states.TRAINING)
    home.move(5, states.INTERRUPTED)
    home.move(6, states.FAILED, "it was interrupted")
    assert home.report().verdict.code == "interrupted"


def living(*states_: str, share: float = 0.0, cpu: float = 10.0) -> Living:
    processes = [Process(100 + at, 1, state, cpu, 10**6) for at, state in enumerate(states_)]
    names = {one.pid: "python3 script.py" for one in processes}
    return Living(processes, share, cpu, {one.pid: "futex_wait_queue" for one in processes}, names)


def in_training(home: Home) -> None:
    home.move(1, states.TRAINING)
    home.tell((2, ProgramStarted("process", "999999999", 1)))


def test_no_output_and_no_processor_time_is_a_hang_and_says_where_it_waits(home):
    in_training(home)
    home.log((10, "epoch 1"))
    home.tell((400, Usage(1, 2, 10**6, 10**6, 9.9, 10, 390, 10**12, 10**12)))
    verdict = home.report(shim_lives=True, living=living("S", "S")).verdict
    assert verdict.code == "hung"
    told = " ".join(verdict.evidence)
    assert "no output for 16 min 30 s" in told and "10.0 s of processor time" in told
    assert "stands still at least since then" in told
    assert "a lock, or another thread" in told and "python3 script.py" in told and "log: epoch 1" in told


def test_no_output_and_busy_is_no_hang(home):
    in_training(home)
    home.log((10, "epoch 1"))
    assert home.report(shim_lives=True, living=living("R", share=0.9)).verdict.code == "busy_silent"


def test_no_output_of_processes_that_cannot_be_seen_is_not_called_well(home):
    own_shim(home)
    in_training(home)
    home.log((10, "epoch 1"))
    assert home.report().verdict.code == "silent"


def test_a_job_that_writes_is_healthy(home):
    in_training(home)
    home.log((990, "epoch 1"))
    home.tell((991, CheckpointUploaded("ck/1", 1)))
    verdict = home.report(shim_lives=True, living=living("S")).verdict
    assert verdict.code == "healthy"
    assert "its last output came 10 s ago" in verdict.evidence and "a checkpoint was stored 9 s ago" in verdict.evidence


def test_stopped_processes_are_suspended(home):
    in_training(home)
    verdict = home.report(shim_lives=True, living=living("T", "T")).verdict
    assert verdict.code == "suspended" and "kill -CONT 100 101" in verdict.remedy
    assert home.report(shim_lives=True, living=living("S", "S", "T")).verdict.code != "suspended"


def test_a_shim_that_is_gone_is_told_before_anybody_noticed(home):
    in_training(home)
    home.records.claim("job", 2**22 + 5, 1)
    assert home.report().verdict.code == "shim_died_now"


def test_a_job_without_a_shim_waits_for_one(home):
    assert home.report(5).verdict.code == "not_begun"


def own_shim(home: Home) -> None:
    own = ProcessId.of(__import__("os").getpid())
    assert own is not None
    home.records.claim("job", own.pid, own.started_at)


def test_a_store_that_does_not_answer_now(home):
    own_shim(home)
    in_training(home)
    home.tell((990, StoreFailed("PutObject", "HTTP 503")))
    verdict = home.report().verdict
    assert verdict.code == "store_away" and "since 10 s" in verdict.said
    home.tell((995, StoreAnswered(3, 5.0)))
    assert home.report().verdict.code != "store_away"


@pytest.mark.parametrize(("status", "code"), [(states.DOWNLOADING, "downloading"), (states.STOPPING, "stopping")])
def test_phases_that_pass(home, status, code):
    own_shim(home)
    home.move(5, status)
    assert home.report(8).verdict.code == code


def test_results_that_are_being_stored(home):
    own_shim(home)
    in_training(home)
    home.move(50, states.UPLOADING)
    assert home.report(60).verdict.code == "storing"


def test_requirements_that_are_being_installed_and_were(home):
    own_shim(home)
    in_training(home)
    home.log((2, "Installing what requirements.txt asks for."), (3, "Collecting torch"))
    assert home.report(90).verdict.code == "installing"
    home.log((60, "Successfully installed torch"), (61, "epoch 1"))
    report = home.report(90)
    assert report.verdict.code == "healthy"
    (note,) = [note for note in report.notes if note.code == "requirements_dominate"]
    assert "64 %" in note.said and "58 s" in note.said


def test_an_endpoints_server_that_starts(tmp_path):
    home = Home(tmp_path / "home", ENDPOINT)
    own_shim_of = ProcessId.of(__import__("os").getpid())
    home.records.claim("job", own_shim_of.pid, own_shim_of.started_at, ENDPOINT)
    home.tell((1, ProgramStarted("process", "999999999", 1)))
    assert home.report(50).verdict.code == "server_starting"
    home.move(60, states.IN_SERVICE)
    assert home.report(70).verdict.code == "healthy"
    home.tell(
        (61, ProgramEnded(1, 137, 60, 0, 0)), (62, ProgramStarted("process", "9", 1)), (63, ProgramEnded(1, 1, 1, 0, 0))
    )
    assert "server_restarted" in [note.code for note in home.report(70).notes]


def done(home: Home, *steps: Step) -> list[str]:
    """Codes of the notes of a job of 100 s that went well."""
    home.move(1, states.TRAINING)
    home.tell(*ran(60, 0), *steps)
    home.move(99, states.UPLOADING)
    home.move(100, states.COMPLETED)
    return [note.code for note in home.report().notes]


NOTES: list[tuple[str, list[Step]]] = [
    ("inputs_dominate", [(50, InputDownloaded("training", 2000, 2000, 50.0))]),
    (
        "uploads_dominate",
        [(99, FolderPublished("model", 10**9, 40.0, None))],
    ),
    ("checkpoints_lag", [(50, CheckpointUploaded("ck", 1)), (75, CheckpointsFinished(15.0, None))]),
    ("store_outages", [(50, StoreFailed("PutObject", "HTTP 503")), (55, StoreAnswered(3, 5.0))]),
    ("not_saved", [(99, FolderPublished("model", 0, 2.0, "the store refuses it"))]),
    ("memory_low", [(50, MemoryLow(1000, 1000))]),
    ("disk_low", [(50, DiskLow(1000, "/x"))]),
    ("metrics_dropped", [(50, MetricDropped("metric 'loss': takes too long"))]),
    ("server_replaced", [(50, ServerBegan(1, "2"))]),
    ("events_missing", [(50, EventsDropped(3, "No space left on device"))]),
]


@pytest.mark.parametrize(("code", "steps"), NOTES)
def test_what_took_the_time_or_ran_low_is_a_note(home, code, steps):
    assert done(home, *steps) == [code]


def test_results_that_are_on_disk_alone_are_recovered_first(home):
    home.paths.job("job").ml.mkdir(parents=True)
    report = failed(home, "InternalServerError: x does not answer.", (90, FolderPublished("model", 0, 9, "x")))
    assert report.verdict.code == "store_unreachable" and "`batchrl recover job`" in report.verdict.remedy
    assert f"its files are kept in {home.paths.job('job').ml}" in report.verdict.evidence
    assert "`batchrl recover job`" in report.notes[-1].remedy


def test_results_that_were_recovered_are_saved(home):
    again = [(200, FolderPublished("model", 10, 1.0, None))]
    assert done(home, (99, FolderPublished("model", 0, 2.0, "the store refuses it")), *again) == []


def test_a_start_that_takes_most_of_the_time(home):
    home.move(60, states.TRAINING)
    home.tell(*ran(99, 0))
    home.move(99, states.UPLOADING)
    home.move(100, states.COMPLETED)
    assert [note.code for note in home.report().notes] == ["start_dominates"]


def test_a_job_of_an_older_version_is_told_from_its_record(home):
    home.move(1, states.TRAINING)
    home.move(50, states.FAILED, ALGORITHM + "ValueError: bad, exit code: 1")
    report = home.report()
    assert report.verdict.code == "script_failed" and report.source == Source.RECORD.value


def test_every_code_of_the_tables_is_tested():
    """The tables above and these tests name the same diagnoses."""
    named = {name for table in (ends, running, slowness) for name in _codes(table.__doc__ or "")}
    tested = Path(__file__).read_text()
    made = {"completed"} | {rule.__name__ for table in (ends, running, slowness) for rule in table.RULES}
    assert named <= made | {"healthy"}, named - made
    assert {name for name in made if f'"{name}"' not in tested} == set()


def _codes(text: str) -> list[str]:
    return [
        word.strip("`,")
        for word in text.split()
        if word.startswith("``") and "_SECONDS" not in word and "SHARE" not in word
    ]
