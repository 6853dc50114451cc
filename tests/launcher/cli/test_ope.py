"""``batchrl ope``: data and policies from paths, S3 and jobs; tables, JSON, pictures, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Run, shell

from launcher.jobs.training import Job
from launcher.session.session import Session

LOG = """\
action,all_action_probabilities,episode_id,reward,state_feature_0,target_action_probabilities,target_q_values
0,"[0.5, 0.5]",A,1,0,"[0.8, 0.2]","[2, 1]"
1,"[0.5, 0.5]",A,0.5,0,"[0.6, 0.4]","[0.5, 0.8]"
1,"[0.5, 0.5]",B,2,0,"[0.7, 0.3]","[1, 0.5]"
"""
WIS = "Weighted Importance Sampling"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    return path


def test_the_columns_of_a_log_are_scored_without_a_cloud(run: Run, log: Path, home: Path, tmp_path: Path) -> None:
    picture, file = tmp_path / "ope.png", tmp_path / "new" / "ope.json"
    table = run("ope", str(log), "--plot", str(picture), "--output", str(file))

    assert table.code == 0, table.err
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert max(map(len, table.out.splitlines())) <= 80
    (line,) = (line for line in table.out.splitlines() if line.startswith("  WIS "))
    assert line.split()[1:4] == ["1.7", "[-1.1,", "4.4]"]
    assert line.endswith("no")
    assert "effective sample size is 1.8 of 2 episodes" in " ".join(table.out.split())

    as_json = run("ope", str(log), "--json")
    assert as_json.json() == json.loads(file.read_text())
    assert as_json.json()["policies"][0]["estimates"][WIS]["value"] == pytest.approx(1.6561702)
    assert as_json.json()["data"]["source"] == str(log)
    assert not home.exists()


def test_some_estimators_and_other_settings(run: Run, log: Path) -> None:
    report = run("ope", str(log), "--json", "--estimators", "is, WDR", "--discount", "0.5", "--resamples", "0").json()

    (policy,) = report["policies"]
    assert set(policy["estimates"]) == {"Importance Sampling", "Weighted Doubly Robust"}
    assert policy["estimates"]["Importance Sampling"]["value"] == pytest.approx((1.28 * 1.25 + 0.6 * 2) / 2)
    assert policy["estimates"]["Importance Sampling"]["bootstrap"] == [None, None]
    assert report["settings"]["discount"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.csv",), "nowhere.csv"),
        (("LOG", "--model", "nowhere/checkpoints"), "nowhere/checkpoints"),
        (("LOG", "--model", "policy.onnx"), "is an ONNX file"),
        (("LOG", "--policy", "greedy"), "--model"),
        (("LOG", "--policy", "best"), "--policy"),
        (("LOG", "--estimators", "wsi"), "wis"),
        (("LOG", "--confidence", "2"), "--confidence"),
        (("LOG", "--resamples", "many"), "--resamples"),
        (("LOG", "--plot", "ope.txt"), "ope.txt"),
        (("LOG", "--state-columns", "price"), "price"),
        (("LOG", "--episodes", "some"), "--episodes"),
        ((), "DATA"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_answered_in_words_and_nothing_is_written(
    arguments: tuple[str, ...], said: str, run: Run, log: Path, home: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))

    ended = run("ope", *(argument.replace("LOG", str(log)) for argument in arguments))

    assert ended.code == 2, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert sorted(tmp_path.rglob("*")) == before
    assert not home.exists()


@pytest.fixture
def cloud(cloud_home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("BATCHRL_HOME", str(cloud_home))
    session = Session.local()
    session.provide_bucket(session.default_bucket)
    return session


def test_data_lies_below_a_prefix_of_the_local_store(cloud: Session, run: Run, log: Path) -> None:
    bucket = cloud.default_bucket
    first, *rest = LOG.splitlines(keepends=True)
    cloud.s3.put_object(Bucket=bucket, Key="logs/one.csv", Body="".join([first, *rest[:2]]).encode())
    cloud.s3.put_object(Bucket=bucket, Key="logs/two.csv", Body="".join([first, rest[2]]).encode())

    whole = run("ope", f"s3://{bucket}/logs/", "--json")
    half = run("ope", f"s3://{bucket}/logs/one.csv", "--json")
    none = run("ope", f"s3://{bucket}/nothing/")

    assert whole.code == 0, whole.err
    assert whole.json()["data"]["source"] == f"s3://{bucket}/logs/"
    assert whole.json()["policies"] == run("ope", str(log), "--json").json()["policies"]
    assert half.json()["data"]["episodes"] == 1
    assert (none.code, none.out) == (2, "")
    assert "nothing lies there" in none.err


@pytest.fixture(scope="module")
def data(cloud_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the jobs ``job-a`` and ``job-b`` were trained on."""
    path = tmp_path_factory.mktemp("data") / "data.csv"
    environ = {"BATCHRL_HOME": str(cloud_home)}
    collect = ("collect", "--env", "CartPole-v0", "--num-envs", "20", "--episodes", "4", "--output", str(path))
    small = ("epochs=2", "reward_model.epochs=1", "ope.bootstrap_resamples=50", "agent.embedder=[8]")
    commands = [collect]
    for name, seed in (("job-a", 0), ("job-b", 1)):
        settings = (*small, "agent.middleware=[8]", f"seed={seed}")
        train = ("train", "--training", str(path), "--instance-type", "local_process", "--job-name", name)
        commands.append((*train, *(part for setting in settings for part in ("--set", setting))))
    for command in commands:
        ended = shell(*command, environ=environ, timeout_s=240)
        assert ended.code == 0, ended.err
    return path


def test_a_training_job_is_scored_by_its_name(cloud: Session, run: Run, data: Path) -> None:
    by_name = run("ope", str(data), "--model", "job-a", "--json", "--resamples", "50")

    assert by_name.code == 0, by_name.err
    report = by_name.json()
    assert [policy["source"] for policy in report["policies"]] == ["job-a", "job-a"]
    assert report["policies"][0]["facts"]["job_name"] == "job-a"
    assert report["scored"]["which"] == "the evaluation episodes of the run"
    url = Job.attach("job-a", cloud).checkpoint_uri
    by_url = run("ope", str(data), "--model", url, "--json", "--resamples", "50").json()
    assert [policy["estimates"] for policy in by_url["policies"]] == [p["estimates"] for p in report["policies"]]


def test_training_jobs_are_compared(cloud: Session, run: Run, data: Path, tmp_path: Path) -> None:
    evaluated = run(
        *("evaluate", "--job", "job-b", "--instance-type", "local_process", "--quiet"),
        *("--set", "min_episodes=2", "--set", "evaluate_steps=1", "--set", "num_envs=2", "--set", "gif=false"),
    )
    assert evaluated.code == 0, evaluated.err

    compared = run("compare", "job-a", "job-b", "--json")

    assert compared.code == 0, compared.err
    runs = {each["name"]: each for each in compared.json()["runs"]}
    Job.attach("job-a", cloud).pull(tmp_path, what="output", unpack=True)
    summary = json.loads((tmp_path / "output" / "data" / "training_summary.json").read_text())
    assert runs["job-a"]["epoch"] == summary["best"]["epoch"]
    assert runs["job-a"]["final"]["value"] == summary["estimates"]["score"]["value"]
    assert runs["job-a"]["mean_return"] is None
    assert runs["job-b"]["mean_return"] >= 1
    assert "job-a: cartpole-ddqn-bcq, epoch " in run("compare", "job-a", "job-b").out


def test_training_jobs_are_told_apart_on_the_same_data(cloud: Session, run: Run, data: Path) -> None:
    paired = run("compare", "job-a", "job-b", "--data", str(data), "--policy", "softmax", "--resamples", "50", "--json")

    assert paired.code == 0, paired.err
    assert sorted(policy["source"] for policy in paired.json()["policies"]) == ["job-a", "job-b"]
    assert paired.json()["baseline"] == "job-a"


def test_a_training_jobs_model_is_shown_and_exported(cloud: Session, run: Run, data: Path, tmp_path: Path) -> None:
    shown = run("model", "show", "job-a", "--json")

    assert shown.code == 0, shown.err
    model = shown.json()
    assert (model["job_name"], model["n_features"], model["source"]) == ("job-a", 4, "job-a")
    assert "code/serve.py" in model["files"]
    newest = run("model", "show", "-q")
    assert (newest.code, newest.out.startswith("job-")) == (0, True)
    by_url = run("model", "show", Job.attach("job-a", cloud).model_uri, "--json")
    assert by_url.json()["files"] == model["files"]

    own, latest = tmp_path / "own.tar.gz", tmp_path / "latest"
    assert run("model", "export", "job-a", str(own)).code == 0
    exported = run("model", "export", "job-a", str(latest), "--which", "latest", "--json")
    assert exported.code == 0, exported.err
    assert exported.json()["epoch"] == 2
    assert run("model", "show", str(own), "--json").json()["weights_sha256"] == model["weights_sha256"]
    assert json.loads((latest / "model.json").read_text())["selection"] == "the last complete epoch"
    nowhere = run("model", "show", "job-x")
    assert nowhere.code == 2
    assert "Did you mean 'job-" in nowhere.err
