"""Step 7 of the workflow: a trained policy over many states, through the product's own surface, in both executors."""

from __future__ import annotations

import json
import random

import pytest
from jobs import EXECUTORS, wait_until

from batchrl.contract.errors import InputError, JobFailed, JobStopped
from launcher import Transformer, TransformJob
from launcher.local.transform.counts import Counts

RANDOM = random.Random(7)
STATES = [[round(RANDOM.uniform(-0.2, 0.2), 4) for _ in range(4)] for _ in range(200)]


def json_lines(states) -> str:
    return "".join(json.dumps(state) + "\n" for state in states)


def records(folder, name="states.jsonl"):
    """The lines of one output."""
    return [json.loads(line) for line in (folder / f"{name}.out").read_text().splitlines()]


@pytest.fixture
def states(tmp_path):
    file = tmp_path / "states.jsonl"
    file.write_text(json_lines(STATES))
    return file


@pytest.mark.parametrize("instance_type", EXECUTORS)
def test_B160_E225_the_seeds_own_call_joins_inputs_and_predictions(trained, states, tmp_path, instance_type):
    model = trained.create_model()
    transformer = model.transformer(
        instance_count=1,
        instance_type=instance_type,
        output_path=f"s3://batchrl-local/seed-{instance_type}",
        assemble_with="Line",
        accept="application/jsonlines",
        strategy="SingleRecord",
    )
    job = transformer.transform(
        data=str(states),
        data_type="S3Prefix",
        content_type="application/jsonlines",
        split_type="Line",
        join_source="Input",
        logs=False,
    )
    report = job.pull(tmp_path / "out")
    assert report.files == ("states.jsonl.out",)
    lines = records(tmp_path / "out")
    assert [line["SageMakerInput"] for line in lines] == STATES
    for line in lines:
        assert set(line) == {"SageMakerInput", "SageMakerOutput"}
        (probabilities,) = line["SageMakerOutput"]["predictions"]
        assert len(probabilities) == 2
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-6)
        assert line["SageMakerOutput"]["action"] in (0, 1)
        assert isinstance(line["SageMakerOutput"]["value"], float)

    # One record a request or as many as fit: the answers are the same.
    many = model.transformer(instance_type=instance_type).transform(
        states, split_type="Line", join_source="Input", logs=False
    )
    many.pull(tmp_path / "many")
    for one, other in zip(lines, records(tmp_path / "many"), strict=True):
        assert other["SageMakerInput"] == one["SageMakerInput"]
        assert other["SageMakerOutput"]["action"] == one["SageMakerOutput"]["action"]
        assert other["SageMakerOutput"]["predictions"][0] == pytest.approx(one["SageMakerOutput"]["predictions"][0])
    assert "MULTI_RECORD" in "".join(many.logs(follow=False))
    assert many.model_name == job.model_name


@pytest.mark.parametrize("instance_type", EXECUTORS)
def test_B152_one_bad_object_fails_the_job_and_the_others_are_written(trained, tmp_path, instance_type):
    folder = tmp_path / "inputs"
    (folder / "sub").mkdir(parents=True)
    (folder / "good.jsonl").write_text(json_lines(STATES[:5]))
    (folder / "sub" / "good.jsonl").write_text(json_lines(STATES[5:8]))
    (folder / "bad.jsonl").write_text(json_lines(STATES[:2]) + "[0.1, 0.2]\n" + json_lines(STATES[:2]))

    transformer = trained.transformer(instance_type=instance_type, env={"BATCHRL_BAD_RECORDS": "reject"})
    with pytest.raises(JobFailed) as caught:
        transformer.transform(folder, split_type="Line", join_source="Input")

    assert "bad.jsonl" in caught.value.message
    assert "line 3" in caught.value.message
    assert "expected 4 features, got 2" in caught.value.message
    job = transformer.latest_transform_job
    assert job.status().status == "Failed"
    report = job.pull(tmp_path / "out")
    assert report.files == ("good.jsonl.out", "sub/good.jsonl.out")
    assert [line["SageMakerInput"] for line in records(tmp_path / "out", "sub/good.jsonl")] == STATES[5:8]


def test_a_bad_record_is_an_error_record_by_default(trained, tmp_path):
    file = tmp_path / "states.jsonl"
    file.write_text(json_lines(STATES[:1]) + "[0.1, 0.2]\nno json\n" + json_lines(STATES[1:2]))
    job = trained.transformer().transform(file, split_type="Line", logs=False)
    assert job.counts() == Counts(objects=1, failed=0, records=4, error_records=2)
    job.pull(tmp_path / "out")
    good, short, garbage, last = records(tmp_path / "out")
    assert good["action"] in (0, 1) and last["action"] in (0, 1)
    assert (short["line"], garbage["line"]) == (2, 3)
    assert "expected 4 features, got 2" in short["error"]


def test_B167_a_line_with_NaN_costs_only_itself_unless_inputs_are_joined(trained, command, tmp_path):
    file = tmp_path / "states.jsonl"
    file.write_text(json_lines(STATES[:2]) + "[NaN, 0, 0, 0]\n" + json_lines(STATES[2:4]))
    call = ("transform", str(file), "--model", trained.latest_job.name, "-o")

    answer = command(*call, str(tmp_path / "out"), check=False)
    assert answer.returncode == 2, answer.stdout + answer.stderr
    assert "1 of 5 records was not taken" in answer.stderr
    lines = records(tmp_path / "out")
    assert ["predictions" in line for line in lines] == [True, True, False, True, True]
    assert "there are no NaN and Infinity" in lines[2]["error"]

    joined = command(*call, str(tmp_path / "joined"), "--join", "input", check=False)
    assert joined.returncode == 1
    assert "states.jsonl: line 3: it is no valid JSON" in joined.stderr
    assert "as a join or a filter needs it" in joined.stderr


def test_B153_a_stopped_job_stores_nothing(trained, session, tmp_path):
    file = tmp_path / "states.jsonl"
    file.write_text(json_lines(STATES) * 1000)
    transformer = trained.transformer(strategy="SingleRecord", max_concurrent_transforms=1)
    job = transformer.transform(file, split_type="Line", wait=False)
    wait_until("it serves", lambda: any("SINGLE_RECORD" in line for line in job.logs(follow=False)))
    assert job.stop()
    with pytest.raises(JobStopped):
        job.wait(timeout=60)
    assert job.outputs() == []
    with pytest.raises(InputError, match="no outputs"):
        job.pull(tmp_path / "out")
    assert not job.stop()
    assert TransformJob.attach(job.name, session).status().status == "Stopped"


def test_a_second_transformer_piles_up_no_models(trained, session, states):
    names = {trained.transformer().transform(states, split_type="Line", logs=False).model_name for _ in range(2)}
    assert len(names) == 1
    (name,) = names
    assert name.startswith(trained.latest_job.name)
    assert session.sagemaker.describe_model(ModelName=name)["PrimaryContainer"]["ModelDataUrl"] == trained.model_data


def test_a_transformer_attaches_to_a_job_and_goes_on(trained, session, states):
    first = trained.transformer(env={"BATCHRL_TARGET_POLICY": "greedy"}).transform(
        states, split_type="Line", join_source="Input", logs=False
    )
    again = Transformer.attach(first.name, session)
    second = again.transform(states, split_type="Line", join_source="Input", logs=False)
    assert again.output_path == first.output_uri.rstrip("/")
    assert second.describe()["Environment"] == {"BATCHRL_TARGET_POLICY": "greedy"}


def test_the_command_line_runs_shows_and_downloads(trained, command, states, tmp_path):
    name = trained.latest_job.name
    answer = command(
        "transform",
        str(states),
        "--model",
        name,
        "--job-name",
        "by-hand",
        "-o",
        str(tmp_path / "out"),
        "--join",
        "input",
    )
    assert "[data-log] MaxConcurrentTransforms=" in answer.stdout
    assert "Transform job by-hand has ended well." in answer.stdout
    assert [line["SageMakerInput"] for line in records(tmp_path / "out")] == STATES

    rows = json.loads(command("ps", "--kind", "transform", "--json").stdout)
    (row,) = (row for row in rows if row["name"] == "by-hand")
    assert (row["status"], row["size_bytes"]) == ("Completed", (tmp_path / "out" / "states.jsonl.out").stat().st_size)
    assert "by-hand" in command("show", "by-hand").stdout
    assert command("wait", "by-hand").stdout == "by-hand: Completed\n"
    pulled = json.loads(command("pull", "by-hand", str(tmp_path / "out"), "--json").stdout)
    assert (pulled["files"], pulled["downloaded"]) == (["states.jsonl.out"], 0)

    plan = json.loads(command("transform", str(states), "--model", name, "--plan").stdout)
    again = command("transform", str(states), "--model", name, "--job-name", "by-hand", check=False)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert plan["model"]["PrimaryContainer"]["ModelDataUrl"] == trained.model_data


def test_rows_of_csv_are_joined_by_columns(trained, command, tmp_path):
    (tmp_path / "rows.csv").write_text("".join(",".join(map(str, state)) + "\n" for state in STATES[:3]))
    out = str(tmp_path / "out")
    command("transform", str(tmp_path / "rows.csv"), "--model", trained.latest_job.name, "-o", out, "--join", "input")
    rows = [line.split(",") for line in (tmp_path / "out" / "rows.csv.out").read_text().splitlines()]
    assert [[float(cell) for cell in row[:4]] for row in rows] == STATES[:3]
    assert [len(row) for row in rows] == [8] * 3  # and two probabilities, the action, the value
