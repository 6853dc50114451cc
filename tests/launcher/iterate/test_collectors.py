"""Scripts that are run, and who answers for the policy that plays in them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from api_servers import eventually
from serving_cloud import Cloud, FakeSession, answers, refused

from batchrl.contract import columns
from batchrl.contract.errors import BatchRLError, DamagedContent, InputError, JobFailed
from launcher import Job, Model
from launcher.iterate import collectors
from launcher.jobs.status import JobStatus
from launcher.library import answering
from launcher.library.scripts import script_path
from launcher.local.host.processes import ProcessId
from presets.loop import CollectSettings

Rows = Sequence[Sequence[float]]
PLAY = ["--env", "CartPole-v0", "--num-envs", "6", "--episodes", "2", "--seed", "5", "--with-ends"]


class Leaning:
    """Pushes to the side that the pole leans to, mostly."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def action_probabilities(self, states: Rows) -> Rows:
        self.asked.append(len(states))
        return [[0.125, 0.875] if row[2] > 0 else [0.875, 0.125] for row in states]


def test_the_launcher_answers_for_the_policy_of_the_script(tmp_path: Path) -> None:
    answers = Leaning()
    printed = answering.run(script_path("collect.py"), [*PLAY, "--json", "--output", str(tmp_path / "a.csv")], answers)
    frame = pd.read_csv(tmp_path / "a.csv")
    assert json.loads(printed)["episodes"] == 12
    # Every row was asked for, and no other.
    assert sum(answers.asked) == len(frame)
    leans = frame[f"{columns.STATE_FEATURE_PREFIX}2"] > 0
    logged = frame[columns.ALL_ACTION_PROBABILITIES]
    assert set(logged[leans]) == {"[0.125, 0.875]"} and set(logged[~leans]) == {"[0.875, 0.125]"}


def test_who_cannot_answer_ends_the_script_with_the_reason(tmp_path: Path) -> None:
    class Fails:
        def action_probabilities(self, states: Rows) -> Rows:
            raise JobFailed("the endpoint has gone", "Start another one.")

    with pytest.raises(JobFailed, match="the endpoint has gone"):
        answering.run(script_path("collect.py"), [*PLAY, "--output", str(tmp_path / "a.csv")], Fails())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_answering_ends_the_script(tmp_path: Path) -> None:
    class Interrupted:
        def action_probabilities(self, states: Rows) -> Rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answering.run(script_path("collect.py"), [*PLAY, "--output", str(tmp_path / "a.csv")], Interrupted())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("program", "error", "code", "says"),
    [
        ("import sys; print('Error: no\\nDo that.', file=sys.stderr); sys.exit(2)", InputError, 2, "no\nDo that."),
        ("import sys; print('Error: bad', file=sys.stderr); sys.exit(3)", BatchRLError, 3, "bad"),
        ("raise RuntimeError('broken')", BatchRLError, 1, "ended with exit code 1: .*broken"),
        ("import sys; sys.exit(5)", BatchRLError, 5, "it said nothing"),
        ("import os; os.kill(os.getpid(), 9)", BatchRLError, 70, "exit code -9"),
    ],
)
def test_a_script_that_fails_says_why(
    tmp_path: Path, program: str, error: type[BatchRLError], code: int, says: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(program)
    with pytest.raises(error, match=f"(?s){says}") as caught:
        answering.run(script, [])
    assert caught.value.exit_code == code


def test_a_script_that_prints_more_than_a_pipe_holds_does_not_hang(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys; sys.stdout.write('x' * 10**6); sys.stderr.write('y' * 10**6)")
    assert len(answering.run(script, [])) == 10**6


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_script_does_not_outlive_the_command_that_was_killed(tmp_path: Path, number: int) -> None:
    """It would go on writing into a folder that the next command has swept."""
    script, told = tmp_path / "script.py", tmp_path / "pid"
    script.write_text(f"import os, time\nopen({str(told)!r}, 'w').write(f'{{os.getpid()}}.')\ntime.sleep(600)")
    # What runs in the background of a shell ignores SIGHUP, and so would its children.
    program = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "from pathlib import Path\nfrom launcher.library import answering\n"
        f"answering.run(Path({str(script)!r}), [])"
    )
    command = subprocess.Popen([sys.executable, "-c", program])
    eventually(lambda: told.exists() and told.read_text().endswith("."))
    child = ProcessId.of(int(told.read_text()[:-1]))
    assert child is not None
    assert child.alive
    command.send_signal(number)
    command.wait()
    eventually(lambda: not child.alive)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, {"BATCHRL_TARGET_POLICY": "epsilon_greedy", "BATCHRL_EPSILON": "0.1"}),
        (
            {"target_policy": "softmax", "temperature": 0.25},
            {"BATCHRL_TARGET_POLICY": "softmax", "BATCHRL_TEMPERATURE": "0.25"},
        ),
    ],
)
def test_a_model_server_is_told_how_to_soften(settings: dict[str, Any], told: dict[str, str]) -> None:
    assert collectors.environment(CollectSettings(**settings)) == told


def line(state: object, probabilities: object = (0.25, 0.75), **more: object) -> str:
    answer = {"predictions": [probabilities], "action": 1, "value": 1.5, "mask": None, **more}
    return json.dumps({"SageMakerInput": state, "SageMakerOutput": answer})


STATES = [[0.1, 2.0], [3.0, -4.0]]


def test_a_transform_jobs_answers_are_read_in_the_order_of_the_states() -> None:
    text = f"{line(STATES[0], [0.1, 0.9])}\n{line([3, -4], [0.6, 0.4])}\n"
    assert collectors.read_answers(text, STATES, "job") == [[0.1, 0.9], [0.6, 0.4]]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([line(STATES[0])], "2 states with 1 lines"),
        ([line(STATES[1]), line(STATES[0])], r"line 1: it answers \[3.0, -4.0\]"),
        ([line(STATES[0]), '{"predictions": [[0.5, 0.5]]}'], "line 2: no joined record"),
        ([line(STATES[0]), "not json"], "line 2: no joined record"),
        ([line(STATES[0], [0.5, 0.6]), line(STATES[1])], "do not sum to 1"),
        ([line(STATES[0]), json.dumps({"SageMakerInput": STATES[1], "SageMakerOutput": {"error": "NaN"}})], "NaN"),
    ],
)
def test_answers_that_are_none_are_refused(lines: list[str], says: str) -> None:
    with pytest.raises(DamagedContent, match=says):
        collectors.read_answers("\n".join(lines), STATES, "job")


class FakeTransformJob:
    """Answers every state of its input file."""

    def __init__(self, name: str, lines: list[str]) -> None:
        self.name, self.lines = name, lines

    def status(self) -> JobStatus:
        return JobStatus("Completed", "Completed")

    def wait(self, timeout: float | None = None, logs: object = False, check: bool = True) -> JobStatus:
        return self.status()

    def stop(self) -> bool:
        return False

    def pull(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "states.jsonl.out").write_text("\n".join(line(json.loads(text)) for text in self.lines))


def test_a_time_step_is_one_transform_job_and_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: dict[str, FakeTransformJob] = {}
    started: list[str] = []

    def find(self: Any, name: str) -> Any:
        return jobs.get(name)

    def start(self: Any, name: str, lines: Path) -> Any:
        started.append(name)
        jobs[name] = FakeTransformJob(name, lines.read_text().splitlines())
        return jobs[name]

    monkeypatch.setattr(collectors.ByTransform, "_find", find)
    monkeypatch.setattr(collectors.ByTransform, "_start", start)
    said: list[str] = []
    first = collectors.ByTransform("loop-r02-collect", None, said.append)  # type: ignore[arg-type]
    assert first.action_probabilities(STATES) == [[0.25, 0.75]] * 2
    assert first.action_probabilities(STATES[:1]) == [[0.25, 0.75]]
    assert started == ["loop-r02-collect-00000", "loop-r02-collect-00001"]
    assert said == ["transform job loop-r02-collect-00000: 2 live environments"]

    again = collectors.ByTransform("loop-r02-collect", None, said.append)  # type: ignore[arg-type]
    again.action_probabilities(STATES)
    again.action_probabilities(STATES[:1])
    again.action_probabilities(STATES)
    assert started[2:] == ["loop-r02-collect-00002"]


def test_the_transform_jobs_that_are_there_must_have_answered_these_states(monkeypatch: pytest.MonkeyPatch) -> None:
    other = FakeTransformJob("x", [json.dumps(STATES[1])])
    monkeypatch.setattr(collectors.ByTransform, "_find", lambda self, name: other)
    with pytest.raises(DamagedContent, match="was asked about"):
        collectors.ByTransform("x", None, print).action_probabilities(STATES[:1])  # type: ignore[arg-type]


class Killed(BaseException):
    """What kill -9 is to the process."""


class Mortal(Cloud):
    """A cloud whose client may be killed before any change that it asks for; nothing of it asks for more then.

    Args:
        at: before which change; 0 for none.
    """

    def __init__(self, at: int = 0) -> None:
        super().__init__()
        self.at = at
        self.add_job("train")
        self.answer = answers

    def _change(self, operation: str, request: dict[str, Any]) -> None:
        if self.at and len(self.sent) >= self.at - 1:
            raise Killed
        super()._change(operation, request)

    def made(self) -> list[str]:
        return [operation for operation in self.operations() if operation.startswith("create")]


def model_on(cloud: Cloud) -> Model:
    return Model.of_job(Job("train", FakeSession(cloud)))


MAKING = ["create_model", "create_endpoint_config", "create_endpoint"]
CHANGES = 9  # what may be left is deleted, all is made, all is deleted


def test_an_endpoint_is_made_once_and_removed_when_the_episodes_are_there() -> None:
    cloud = Mortal()
    for _ in range(2):
        with collectors.endpoint("e", model_on(cloud), print) as answering:
            assert list(answering.action_probabilities(STATES)) == [[0.25, 0.75]] * 2
    assert cloud.made() == MAKING and list(cloud.endpoints) == ["e"]
    for _ in range(2):
        collectors.remove_endpoint("e", FakeSession(cloud))
    assert (cloud.models, cloud.configs, cloud.endpoints) == ({}, {}, {})


@pytest.mark.parametrize("fault", [KeyboardInterrupt, InputError("no"), RuntimeError])
def test_an_endpoint_is_removed_where_collecting_does_not_end_well(fault: BaseException) -> None:
    cloud = Mortal()
    with pytest.raises(BaseException), collectors.endpoint("e", model_on(cloud), print):  # noqa: B017
        raise fault
    assert (cloud.models, cloud.configs, cloud.endpoints) == ({}, {}, {})


def test_an_endpoint_that_fails_does_not_block_the_next_run() -> None:
    cloud = Mortal()
    cloud.states["e"] = lambda: ("Failed", "no weights")
    with pytest.raises(JobFailed, match="no weights"), collectors.endpoint("e", model_on(cloud), print):
        pass
    assert (cloud.models, cloud.configs, cloud.endpoints) == ({}, {}, {})


def collect(cloud: Cloud) -> None:
    """Ask at an endpoint, and take it down."""
    with collectors.endpoint("e", model_on(cloud), print) as answering:
        assert list(answering.action_probabilities(STATES)) == [[0.25, 0.75]] * 2
    collectors.remove_endpoint("e", FakeSession(cloud))


@pytest.mark.parametrize("at", range(1, CHANGES + 1))
def test_killed_while_an_endpoint_is_made_or_removed_the_next_run_leaves_nothing(at: int) -> None:
    cloud = Mortal(at)
    with pytest.raises(Killed):
        collect(cloud)
    cloud.at = 0
    collect(cloud)
    assert (cloud.models, cloud.configs, cloud.endpoints) == ({}, {}, {})


@pytest.mark.parametrize("at", range(1, CHANGES + 1))
def test_killed_while_an_endpoint_is_made_or_removed_it_can_still_be_removed(at: int) -> None:
    """Where the episodes are on disk, the next run does not collect any more."""
    cloud = Mortal(at)
    with pytest.raises(Killed):
        collect(cloud)
    cloud.at = 0
    collectors.remove_endpoint("e", FakeSession(cloud))
    assert (cloud.models, cloud.configs, cloud.endpoints) == ({}, {}, {})


def test_an_endpoint_is_killed_at_every_change_there_is() -> None:
    cloud = Mortal(CHANGES + 1)
    collect(cloud)
    assert cloud.made() == MAKING


def test_an_endpoint_that_is_going_is_waited_for_and_made_anew() -> None:
    cloud = Mortal()
    model_on(cloud).deploy(endpoint_name="e")
    looks: list[str] = []

    def going() -> tuple[str, str | None]:
        looks.append("look")
        if len(looks) == 3:
            del cloud.endpoints["e"]
            cloud.states["e"] = lambda: ("InService", None)
            raise refused("ValidationException", 'Could not find endpoint "e".')
        return "Deleting", None

    cloud.states["e"] = going
    collect(cloud)
    assert cloud.made() == MAKING * 2
