"""Commands about models: transform, deploy, invoke, and what ps, show, logs, wait, stop, pull and rm do with them.

The cloud is one in memory; ``tests/e2e/test_transform.py`` runs the same commands on a real one.
"""

from __future__ import annotations

import datetime
import gzip
import io
import json
import sys
from pathlib import Path

import pytest
from command_line import Run
from serving_cloud import Cloud, FakeSession, answers, refused, request_of

from batchrl.contract.archive import pack
from batchrl.contract.hyperparameters import PROGRAM
from batchrl.contract.nofollow import JobFolder
from launcher.jobs.transform import TransformJob
from launcher.local.transform.counts import Counts
from launcher.session.session import Session

STATES = "[0.1, 0.0, 0.0, 0.0]\n[-0.1, 0.0, 0.0, 0.0]\n"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The cloud that all commands reach, with one trained job."""
    cloud = Cloud()
    cloud.add_job("my-job", HyperParameters={PROGRAM: "train.py"})
    cloud.answer = answers
    session = FakeSession(cloud)
    monkeypatch.setattr(Session, "local", staticmethod(lambda home=None: session))
    monkeypatch.setattr(Session, "for_instance_type", staticmethod(lambda kind: session))
    return cloud


@pytest.fixture
def states(tmp_path: Path) -> Path:
    path = tmp_path / "states.jsonl"
    path.write_text(STATES)
    return path


def test_where_no_model_is_named_it_is_told_which_one_is_meant(run: Run, cloud: Cloud, states: Path) -> None:
    cloud.add_job("newer", status="InProgress", HyperParameters={PROGRAM: "train.py"})
    cloud.add_job("broken", status="Failed", HyperParameters={PROGRAM: "train.py"})
    ended = run("transform", str(states), "--job-name", "mine")
    assert ended.code == 0, ended.err
    assert "No model was named: that of the newest training job, my-job" in ended.err


def test_a_folder_is_no_archive_and_the_way_to_one_is_told(run: Run, cloud: Cloud, tmp_path: Path) -> None:
    ended = run("deploy", str(tmp_path))
    assert ended.code == 2
    assert f"Pack it: batchrl model export {tmp_path} model.tar.gz" in ended.err
    assert cloud.sent == []


def test_a_list_that_was_cut_says_so(run: Run, cloud: Cloud) -> None:
    cloud.add_job("newer")
    assert "These are the newest 1" in run("ps", "-n", "1", "--no-sizes").err
    assert "These are the newest" not in run("ps", "-n", "2", "--no-sizes").err


def test_json_lines_of_states_need_no_options(run: Run, cloud: Cloud, states: Path) -> None:
    ended = run("transform", str(states), "--job-name", "mine")

    assert ended.code == 0, ended.err
    request = request_of(cloud)
    assert request["TransformInput"].pop("DataSource")["S3DataSource"]["S3Uri"].endswith("/states.jsonl")
    assert request["TransformInput"] == {"ContentType": "application/jsonlines", "SplitType": "Line"}
    assert request["TransformOutput"] == {
        "S3OutputPath": "s3://bucket/mine",
        "Accept": "application/jsonlines",
        "AssembleWith": "Line",
    }
    assert "DataProcessing" not in request  # a join would fail the file for one line that is no JSON
    assert request["TransformResources"] == {"InstanceType": "local_process", "InstanceCount": 1}
    assert "Outputs: s3://bucket/mine/ (0 files, 0 B)" in ended.out
    assert ended.out.endswith("Next:\n  batchrl pull mine\n  batchrl show mine\n")


def test_every_option_reaches_the_request(run: Run, cloud: Cloud) -> None:
    ended = run(
        *("transform", "s3://bucket/rows/", "--model", "my-job", "--content-type", "text/csv", "--no-wait"),
        *("--output-path", "s3://bucket/out", "--accept", "text/csv", "--split-type", "Line", "--join", "input"),
        *("--input-filter", "$[1:]", "--output-filter", "$[-1:]", "--strategy", "SingleRecord"),
        *("--max-payload", "5", "--max-concurrent", "2", "--timeout", "9", "--retries", "0"),
        *("--instance-type", "local_process", "--instance-count", "3", "--env", "A=b", "--tag", "team=rl"),
        *("--image", "other:2", "--role", "someone", "--isolated", "--job-name", "mine", "--quiet"),
    )

    assert (ended.code, ended.out) == (0, "mine\n"), ended.err
    request = request_of(cloud)
    assert request == {
        "TransformJobName": "mine",
        "ModelName": request["ModelName"],
        "MaxConcurrentTransforms": 2,
        "MaxPayloadInMB": 5,
        "BatchStrategy": "SingleRecord",
        "Environment": {"A": "b"},
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": 9, "InvocationsMaxRetries": 0},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/rows/"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": "s3://bucket/out", "Accept": "text/csv", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "local_process", "InstanceCount": 3},
        "DataProcessing": {"InputFilter": "$[1:]", "OutputFilter": "$[-1:]", "JoinSource": "Input"},
        "Tags": [{"Key": "team", "Value": "rl"}],
    }
    model = cloud.models[request["ModelName"]]
    assert model["PrimaryContainer"]["Image"] == "other:2"
    assert model["EnableNetworkIsolation"] is True
    assert model["ExecutionRoleArn"].endswith(":role/someone")


def test_outputs_are_downloaded_where_that_is_wanted(run: Run, cloud: Cloud, states: Path, tmp_path: Path) -> None:
    cloud.objects["mine/states.jsonl.out"] = b"answers"
    folder = tmp_path / "out"

    ended = run("transform", str(states), "--job-name", "mine", "-o", str(folder))

    assert ended.code == 0, ended.err
    assert (folder / "states.jsonl.out").read_bytes() == b"answers"
    assert f"  {folder / 'states.jsonl.out'}" in ended.out
    facts = run("transform", str(states), "--job-name", "mine2", "--json").json()
    assert facts["output"] == "s3://bucket/mine2/"
    assert facts["status"] == "Completed"


@pytest.mark.parametrize(
    "answers",
    [
        b'{"action":1}\n{"SageMakerInput":[1],"SageMakerOutput":{"error":"line 1: expected 4 features","line":1}}\n',
        b'{"action":1}\n{"error": "line 7: expected 4 features", "line": 7}\n',
        b'0.5,0.5,1,2.5,\n"error: line 9: expected 4 features, got 3",,,\n',
    ],
)
def test_some_error_records_end_with_exit_code_2_and_the_first(
    run: Run, cloud: Cloud, states: Path, tmp_path: Path, answers: bytes
) -> None:
    cloud.objects["mine/bad.jsonl.out"] = answers
    cloud.objects["mine/empty.jsonl.out"] = b""
    cloud.objects["mine/good.jsonl.out"] = b'{"action":1}\n'
    folder = tmp_path / "out"

    ended = run("transform", str(states), "--job-name", "mine", "-o", str(folder))

    assert ended.code == 2, ended.err
    assert f"1 of 3 records was not taken: {folder / 'bad.jsonl.out'} line 2: expected 4 features" in ended.err
    assert "ended well" not in ended.out
    pulled = run("pull", "mine", str(folder))
    assert pulled.code == 0
    assert f"Warning: 1 record holds an error in place of a prediction: {folder / 'bad.jsonl.out'} line 2" in pulled.err


def test_a_job_that_took_no_record_ends_with_exit_code_1_and_the_first(
    run: Run, cloud: Cloud, states: Path, tmp_path: Path
) -> None:
    error = b'{"error": "line 1: expected 4 features, got 9", "line": 1}\n'
    cloud.objects["mine/a.jsonl.out"] = error
    cloud.objects["mine/b.jsonl.out"] = error * 2
    folder = tmp_path / "out"

    ended = run("transform", str(states), "--job-name", "mine", "-o", str(folder), "--json")

    assert ended.code == 1
    assert ended.json()["error_records"] == 3
    said = f"none of the 3 records was taken: {folder / 'a.jsonl.out'} line 1: expected 4 features, got 9\n"
    assert said in ended.err
    assert "--input-filter" in ended.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("records", "bad", "code", "said"),
    [
        (1001, 0, 0, ""),
        (1001, 1000, 2, "1,000 of 1,001 records were"),
        (1, 1, 1, "the only record was not taken."),
    ],
)
def test_error_records_that_stay_in_the_store_are_known_from_what_the_job_counted(
    records: int, bad: int, code: int, said: str, run: Run, cloud: Cloud, states: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TransformJob, "counts", lambda job: Counts(2, 0, records, bad))

    ended = run("transform", str(states), "--job-name", "mine", "-q")

    assert ended.code == code, ended.err
    assert (ended.out, said in ended.err) == ("mine\n", True)


def test_where_nobody_counted_it_is_not_known_whether_there_are_error_records(
    run: Run, cloud: Cloud, states: Path
) -> None:
    line = "Objects: 1, with 1 records, 1 of them answered by an error record; failed: 0"
    cloud.lines["/aws/sagemaker/TransformJobs", "mine/i-1-1/data-log"] = [line]

    ended = run("transform", str(states), "--job-name", "mine", "--json")

    assert (ended.code, ended.json()["error_records"]) == (0, None)


def test_files_of_this_computer_have_their_own_names_in_the_log(run: Run, cloud: Cloud, states: Path) -> None:
    line = f"batchrl-local/datasets/{'0a' * 32}/sub/states.jsonl: line 3: no JSON"
    cloud.lines["/aws/sagemaker/TransformJobs", "mine/i-1-1/data-log"] = [line]

    assert "[data-log] sub/states.jsonl: line 3: no JSON\n" in run("transform", str(states), "--job-name", "mine").out


CONVERTED = """python -c 'import pandas; pandas.read_parquet("{0}.parquet").to_csv("{0}.csv", header=False, index"""


@pytest.mark.parametrize(
    ("files", "given", "said"),
    [
        (("st.parquet",), "st.parquet", CONVERTED.format("st")),
        (("st.parquet",), ".", CONVERTED.format("st")),
        (("a.csv", "b.csv", "c.py"), ".", "the folder . holds files of several kinds: 2 .csv, 1 .py."),
        (("a.states", "b.states"), ".", "the folder . holds 2 .states: their names do not tell"),
        ((), ".", "the folder . holds no file"),
        ((), "gone.parquet", "there is no file or folder"),
        (("a.states",), "a.states", "--content-type application/jsonlines"),
        ((), "s3://bucket/st.parquet", "is a Parquet file"),
    ],
)
def test_data_that_its_name_does_not_tell_is_refused_by_what_it_is(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], given: str, said: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in files:
        Path(name).write_bytes(b"PAR1")

    ended = run("transform", given)

    assert ended.code == 2
    assert said in ended.err
    assert not home.exists()


LOGGED = "action,state_feature_0,state_feature_1,reward\n1,0.1,0.2,1.0\n"


@pytest.mark.parametrize("compressed", [False, True])
def test_csv_with_a_header_is_refused_before_anything_is_sent(
    run: Run, cloud: Cloud, tmp_path: Path, compressed: bool
) -> None:
    path = tmp_path / f"a log.csv{'.gz' * compressed}"
    path.write_bytes(gzip.compress(LOGGED.encode()) if compressed else LOGGED.encode())

    ended = run("transform", str(path))

    assert ended.code == 2
    assert f"{path}: line 1 is a header" in ended.err
    assert f"{'zcat' if compressed else 'tail -n +2'} '{path}'" in ended.err
    assert "--input-filter '$[1:3]'" in ended.err
    assert (cloud.sent, cloud.calls) == ([], ["head_object"])  # of the model


@pytest.mark.parametrize("content", ["0.1,0.2\n0.3,0.4\n", "a,0.2\nb,0.4\n", "good film\nbad film\n", "a,b\n", ""])
def test_csv_without_a_header_is_sent(run: Run, cloud: Cloud, tmp_path: Path, content: str) -> None:
    (tmp_path / "rows.csv").write_text(content)

    assert run("transform", str(tmp_path / "rows.csv")).code == 0
    assert "create_transform_job" in cloud.operations()


def test_outputs_without_a_record_are_named(run: Run, cloud: Cloud, states: Path) -> None:
    for name in "abcd":
        cloud.objects[f"mine/{name}.jsonl.out"] = b""

    ended = run("transform", str(states), "--job-name", "mine")

    assert ended.code == 0
    said = "Note: a.jsonl.out, b.jsonl.out, c.jsonl.out and 1 more are empty: their inputs hold no record.\n"
    assert said in ended.err


def test_downloaded_predictions_without_errors_warn_of_nothing(
    run: Run, cloud: Cloud, states: Path, tmp_path: Path
) -> None:
    cloud.objects["mine/good.jsonl.out"] = b'{"action":1}\n'

    ended = run("transform", str(states), "--job-name", "mine", "-o", str(tmp_path / "out"), "--json")

    assert "Warning" not in ended.err
    assert ended.json()["error_records"] == 0


def test_a_plan_is_the_exact_requests_and_sends_nothing(run: Run, home: Path, states: Path, tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(b"tar"))

    ended = run("transform", str(states), "--model", str(archive), "--plan", "--instance-type", "local_process")

    assert ended.code == 0, ended.err
    plan = ended.json()
    assert plan["model"]["ModelName"] == plan["request"]["ModelName"]
    assert {upload["path"] for upload in plan["uploads"]} == {str(states), str(archive)}
    assert "Nothing was sent. 2 files" in ended.err
    assert not home.exists()


def test_a_job_that_fails_ends_with_exit_code_1_and_the_line(run: Run, cloud: Cloud, states: Path) -> None:
    cloud.states["bad"] = lambda: ("Failed", "ClientError: see the data log")
    cloud.lines["/aws/sagemaker/TransformJobs", "bad/i-1-1/data-log"] = ["bucket/x: line 3: no JSON"]

    ended = run("transform", str(states), "--job-name", "bad")

    assert ended.code == 1
    assert "ClientError: see the data log" in ended.err
    assert "line 3: no JSON" in ended.err
    assert "went well" not in ended.err


def test_B152_what_went_well_in_a_job_that_failed_is_told(run: Run, cloud: Cloud, states: Path) -> None:
    cloud.states["bad"] = lambda: ("Failed", "ClientError: 1 of 2 objects failed")
    cloud.objects["bad/good.jsonl.out"] = b"answers"

    ended = run("transform", str(states), "--job-name", "bad")

    assert ended.code == 1
    assert "Objects that went well: 1. Their outputs: batchrl pull bad" in ended.err


MISTAKES = [
    (("transform", "no-such-file.jsonl", "--model", "ARCHIVE"), "no-such-file.jsonl"),
    (("transform", "STATES", "--model", "no-such-file.tar.gz"), "no-such-file.tar.gz"),
    (("transform", "s3://b/in/", "--model", "ARCHIVE"), "--content-type application/jsonlines"),
    (("transform", "STATES", "--model", "ARCHIVE", "--join", "input", "--accept", "text/csv"), "make them equal"),
    (("transform", "STATES", "--model", "ARCHIVE", "--split-type", "line"), "--split-type"),
    (("transform", "STATES", "--model", "ARCHIVE", "--max-payload", "101"), "above 100"),
    (("transform", "STATES", "--model", "ARCHIVE", "--input-filter", "$..a"), "$..a"),
    (("transform", "STATES", "--model", "ARCHIVE", "--instance-type", "locl"), "local_process"),
    (("transform", "STATES", "--model", "ARCHIVE", "--instance-type", "local_debug"), "local_process"),
    (("transform", "STATES", "--model", "ARCHIVE", "--job-name", "a_b"), "'a-b'"),
    (("transform", "STATES", "--model", "ARCHIVE", "--env", "X"), "--env"),
    (("transform", "STATES", "--model", "ARCHIVE", "--env", "BATCHRL_TARGET_POLCY=greedy"), "BATCHRL_TARGET_POLICY?"),
    (("transform", "STATES", "--model", "ARCHIVE", "--env", "BATCHRL_TARGET_POLICY=gredy"), "greedy, epsilon_greedy"),
    (("deploy", "ARCHIVE", "--env", "BATCHRL_EPSILN=0.1"), "BATCHRL_EPSILON?"),
    (("transform", "STATES", "--model", "ARCHIVE", "--output-path", "/tmp/x"), "s3://"),
    (("transform", "STATES", "--model", "STATES"), "no gzip archive"),
    (("transform", "STATES", "--no-wait", "-o", "x"), "--output"),
    (("transform", "STATES", "--retries", "4"), "--retries"),
    (("transform",), "DATA"),
    (("deploy", "ARCHIVE", "--endpoint-name", "a_b"), "'a-b'"),
    (("deploy", "ARCHIVE", "--instance-type", "locl"), "local_process"),
    (("deploy", "no-such-file.tar.gz"), "no-such-file.tar.gz"),
    (("invoke",), "ENDPOINT"),
    (("invoke", "mine", "left"), "'left' is no state"),
    (("invoke", "mine", "3"), "'3' is no state"),
    (("invoke", "mine", "--file", "no-such-file"), "no-such-file"),
    (("invoke", "mine", "0.1", "0", "-0.2", "0"), 'Write them as a list in quotes: "[0.1, 0, -0.2, 0]"'),
    (("invoke", "mine", "[[1], [2]]"), "one state an argument"),
    (("invoke", "mine", "[1]", "--fil", "x"), "No such option '--fil'"),
    (("transform", "STATES", "--model", "policy.onnx"), "is an ONNX file"),
    (("deploy", "policy.onnx"), "is an ONNX file"),
    (("invoke", "mine", "[1]", "--file", "x"), "not both"),
    (("ps", "--kind", "jobs"), "--kind"),
    (("ps", "--status", "Inservce"), "inservice"),
]


@pytest.mark.parametrize(
    ("arguments", "said"), MISTAKES, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_a_wrong_description_starts_and_writes_nothing(
    arguments: tuple[str, ...], said: str, run: Run, states: Path, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.tar.gz").write_bytes(gzip.compress(b"tar"))
    before = sorted(tmp_path.rglob("*"))
    named = {"STATES": str(states), "ARCHIVE": str(tmp_path / "model.tar.gz")}

    ended = run(*[named.get(argument, argument) for argument in arguments])

    assert ended.code == 2, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not ended.out
    assert sorted(tmp_path.rglob("*")) == before
    assert not home.exists()


def test_B154_outputs_among_the_inputs_are_refused(run: Run, cloud: Cloud) -> None:
    ended = run("transform", "s3://bucket/in/", "--content-type", "text/csv", "--output-path", "s3://bucket/in/out")

    assert ended.code == 2
    assert "read as input" in ended.err
    assert cloud.sent == []


def test_the_model_of_a_job_that_has_none_is_refused(run: Run, cloud: Cloud, states: Path) -> None:
    cloud.add_job("running", "InProgress", archive=False)
    for arguments in (("transform", str(states), "--model", "running"), ("deploy", "running")):
        ended = run(*arguments)
        assert ended.code == 2
        assert "has not ended" in ended.err
    assert "Did you mean 'my-job'?" in run("deploy", "my-jbo").err
    cloud.jobs.clear()
    assert "name a model" in run("transform", str(states)).err
    assert cloud.sent == []


def test_an_endpoint_is_deployed_invoked_shown_and_deleted(run: Run, cloud: Cloud, states: Path) -> None:
    cloud.lines["/aws/sagemaker/Endpoints/mine", "AllTraffic/i-1"] = ["GET /ping"]
    deployed = run("deploy", "my-job", "--endpoint-name", "mine", "--env", "BATCHRL_EPSILON=0.1")
    assert deployed.code == 0, deployed.err
    assert "Endpoint mine is in service." in deployed.out
    assert "batchrl invoke mine --file states.jsonl" in deployed.out
    assert "batchrl rm mine" in deployed.out

    asked = run("invoke", "mine", "[0.1, 0, 0, 0]", "[-0.1, 0, 0, 0]")
    assert asked.code == 0, asked.err
    assert [json.loads(line)["action"] for line in asked.out.splitlines()] == [1, 0]
    assert run("invoke", "mine", "--file", str(states)).out == asked.out
    assert run("invoke", "mine", "--file", str(states), "-q").out == "1\n0\n"
    assert [answer["action"] for answer in run("invoke", "mine", "--file", str(states), "--json").json()] == [1, 0]

    shown = run("show", "mine")
    assert "endpoint  mine\n" in shown.out
    assert "InService" in shown.out
    assert "s3://bucket/my-job/output/model.tar.gz" in shown.out
    facts = run("show", "mine", "--json").json()
    assert facts["EndpointStatus"] == "InService"
    assert facts["Models"][0]["settings"] == {"BATCHRL_EPSILON": "0.1"}
    assert run("logs", "mine").out == "GET /ping\n"
    assert run("wait", "mine").out == "mine: InService\n"
    assert "batchrl rm mine" in run("stop", "mine").err
    assert "batchrl invoke mine" in run("pull", "mine").err

    gone = run("rm", "mine")
    assert gone.out == "Deleted the endpoint mine, its configuration and its model.\n"
    assert (cloud.models, cloud.configs, cloud.endpoints) == ({}, {}, {})
    assert run("invoke", "mine", "[1]").code == 2


@pytest.mark.parametrize(
    ("width", "example"),
    [(2, "'[0, 0]'"), (12, f"'[{', '.join('0' * 12)}]'"), (13, "--file states.jsonl"), (None, "--file states.jsonl")],
)
def test_a_deployment_names_a_state_of_the_right_width_where_it_is_short(
    run: Run, cloud: Cloud, tmp_path: Path, width: int | None, example: str
) -> None:
    content = tmp_path / "content"
    content.mkdir()
    policy = {"preferences": {"network": {"n_features": width}}} if width else {}
    (content / "model.json").write_text(json.dumps({"policy": policy}))
    pack(JobFolder(content), tmp_path / "model.tar.gz")
    cloud.objects["my-job/output/model.tar.gz"] = (tmp_path / "model.tar.gz").read_bytes()

    assert f"  batchrl invoke mine {example}\n" in run("deploy", "my-job", "--endpoint-name", "mine").out


def test_an_endpoint_that_fails_ends_with_exit_code_1(run: Run, cloud: Cloud) -> None:
    cloud.states["mine"] = lambda: ("Failed", "the server did not start")
    ended = run("deploy", "my-job", "--endpoint-name", "mine")
    assert ended.code == 1
    assert "the server did not start" in ended.err
    again = run("deploy", "my-job", "--endpoint-name", "mine")
    assert (again.code, "batchrl rm mine" in again.err) == (2, True)
    assert run("rm", "mine").code == 0


def test_a_state_that_is_not_taken_has_its_error_in_its_line(
    run: Run, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.add_job("other")
    run("deploy", "my-job", "--endpoint-name", "mine", "-q")
    cloud.answer = lambda body: answers(body, lambda row: len(row) != 4)
    monkeypatch.setattr(sys, "stdin", io.StringIO("[1, 2, 3, 4]\n[1, 2]\n\n"))

    ended = run("invoke", "mine")

    assert ended.code == 2
    first, second = map(json.loads, ended.out.splitlines())
    assert first["action"] == 1
    assert second == {"error": "line 2: expected 4 features, got 2", "line": 2}
    assert ended.err == "Error: 1 of 2 states were not taken; line 2: expected 4 features, got 2\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gap.jsonl", "[1]\n\n[2]\n", "line 2 is empty"),
        ("head.csv", "a,b\n1,2\n", "line 1: could not convert"),
        ("empty.jsonl", "\n", "no states to ask about"),
        ("bytes.jsonl", b"\xff\xfe", "is no text"),
    ],
)
def test_a_file_that_holds_no_states_is_refused_with_its_line(
    run: Run, cloud: Cloud, tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    ended = run("invoke", "mine", "--file", str(tmp_path / name))
    assert ended.code == 2
    assert said in ended.err
    assert cloud.invoked == []


def test_rows_of_csv_are_states(run: Run, cloud: Cloud, tmp_path: Path) -> None:
    run("deploy", "my-job", "--endpoint-name", "mine", "-q")
    (tmp_path / "states.csv").write_text("0.1,-2e-3\n-0.1,0\n")
    assert run("invoke", "mine", "-q", "--file", str(tmp_path / "states.csv")).out == "1\n0\n"
    assert cloud.invoked[0]["Body"] == b"[0.1,-0.002]\n[-0.1,0.0]\n"


def test_a_model_server_that_fails_ends_with_exit_code_1(run: Run, cloud: Cloud) -> None:
    run("deploy", "my-job", "--endpoint-name", "mine", "-q")

    def fail(body: bytes) -> bytes:
        raise refused("ModelError", status=424, OriginalStatusCode=500, OriginalMessage="boo")

    cloud.answer = fail
    ended = run("invoke", "mine", "[1]")
    assert ended.code == 1
    assert "answered 500: boo" in ended.err


def test_every_kind_is_listed_with_its_own(run: Run, cloud: Cloud, states: Path) -> None:
    run("transform", str(states), "--job-name", "a-transform", "-q")
    run("deploy", "my-job", "--endpoint-name", "an-endpoint", "-q")
    cloud.objects["a-transform/states.jsonl.out"] = b"12345"

    rows = {row["name"]: row for row in run("ps", "--json").json()}
    assert {name: row["kind"] for name, row in rows.items()} == {
        "my-job": "training",
        "a-transform": "transform",
        "an-endpoint": "endpoint",
    }
    assert rows["a-transform"]["size_bytes"] == 5
    assert rows["an-endpoint"]["size_bytes"] is None
    assert run("ps", "--kind", "endpoint", "-q").out == "an-endpoint\n"
    assert run("ps", "--status", "inservice", "-q").out == "an-endpoint\n"
    assert set(run("ps", "--status", "Completed", "-q").out.split()) == {"my-job", "a-transform"}
    assert "KIND" in run("ps").out


def test_a_transform_job_is_shown_pulled_and_kept(run: Run, cloud: Cloud, states: Path, tmp_path: Path) -> None:
    run("transform", str(states), "--job-name", "mine", "--max-payload", "5", "--join", "input", "-q")
    cloud.objects["mine/states.jsonl.out"] = b"answers"

    shown = run("show", "mine").out
    for part in (
        "transform job  mine",
        "status         Completed",
        "join: Input",
        "payload, MB: 5",
        "s3://bucket/mine/",
        "s3://bucket/my-job/output/model.tar.gz",
    ):
        assert part in shown, part
    assert run("show", "mine", "--json").json()["Places"]["output"] == "s3://bucket/mine/"

    pulled = run("pull", "mine", str(tmp_path / "out"), "--json").json()
    assert pulled["files"] == ["states.jsonl.out"]
    assert run("pull", "mine", "--what", "model").code == 2
    assert run("wait", "mine").out == "mine: Completed\n"
    cloud.fail["stop_transform_job"] = refused("ValidationException", "it is Completed")
    assert "had ended" in run("stop", "mine").out

    refusal = run("rm", "mine")
    assert refusal.code == 2
    assert "cannot be deleted" in refusal.err


def test_the_newest_job_of_either_kind_is_meant_where_none_is_named(run: Run, cloud: Cloud, states: Path) -> None:
    run("deploy", "my-job", "--endpoint-name", "mine", "-q")
    assert run("show", "-q").out == "my-job\n"
    run("transform", str(states), "--job-name", "newest", "-q")
    cloud.jobs["my-job"]["CreationTime"] -= datetime.timedelta(hours=1)
    assert run("show", "-q").out == "newest\n"
    assert run("show", "-q", "--kind", "endpoint").out == "mine\n"
    assert "there are no endpoints yet" in (cloud.endpoints.clear() or run("show", "--kind", "endpoint").err)


def test_a_name_of_several_kinds_has_to_be_told_apart(run: Run, cloud: Cloud) -> None:
    run("deploy", "my-job", "--endpoint-name", "my-job", "-q")

    for command in ("show", "logs", "wait", "stop", "pull", "rm"):
        ended = run(command, "my-job")
        assert ended.code == 2
        assert "a job and an endpoint are named 'my-job'" in ended.err
        assert "--kind endpoint" in ended.err
    assert run("rm", "my-job", "--kind", "endpoint").code == 0
    assert set(cloud.jobs) == {"my-job"}


def test_with_a_job_go_the_models_that_were_made_of_it(run: Run, cloud: Cloud, states: Path) -> None:
    run("transform", str(states), "-q")
    run("deploy", "my-job", "--endpoint-name", "mine", "-q")

    ended = run("rm", "my-job")

    assert ended.out.startswith("Deleted my-job and 1 model of it. Its results and checkpoints stay")
    assert set(cloud.models) == {"mine"}


def test_the_nearest_name_of_any_kind_is_suggested(run: Run, cloud: Cloud) -> None:
    run("deploy", "my-job", "--endpoint-name", "my-endpoint", "-q")
    ended = run("show", "my-endpiont")
    assert ended.code == 2
    assert "there is no job or endpoint named 'my-endpiont'" in ended.err
    assert "Did you mean 'my-endpoint'?" in ended.err
