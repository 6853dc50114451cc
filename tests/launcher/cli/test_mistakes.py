"""Users' mistakes: exit code 2, what is wrong and what would be right; no traceback, and nothing started or written."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Run

import presets

DATA = "episode_id,action,all_action_probabilities,reward,cumulative_rewards,state_feature_0\n" + "".join(
    f'{episode},{step % 2},"[0.5, 0.5]",1.0,0.0,0.{step}\n' for episode in range(4) for step in range(3)
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text(DATA)
    return path


TRAIN = ("train", "--instance-type", "local_process")
MISTAKES = [
    ((), "no data"),
    (("--training", "no-such-file.csv"), "no-such-file.csv"),
    (("--training", "DATA", "--preset", "cartpole-ddqn-bqc"), "cartpole-ddqn-bcq"),
    (("--training", "DATA", "--preset", "cartpole-ddqn-bcq-env"), "kind 'train'"),
    (("--training", "DATA", "--set", "epoch=3"), "epochs"),
    (("--training", "DATA", "--set", "epochs=many"), "epochs"),
    (("--training", "DATA", "--set", "=1"), "--set"),
    (("--training", "DATA", "--instance-type", "locl"), "local_process"),
    (("--training", "DATA", "--job-name", "a_b"), "'a-b'"),
    (("--training", "DATA", "--job-name", "x" * 64), "63"),
    (("--training", "DATA", "--job-name", ""), ""),
    (("--training", "DATA", "--job-name", "../../etc"), "etc"),
    (("--training", "DATA", "--job-name", "a\nb"), ""),
    (("--training", "DATA", "--entry-point", "trian.py"), "train.py"),
    (("--training", "DATA", "--source-dir", "no-such-folder"), "no-such-folder"),
    (("--training", "DATA", "--input", "training=DATA"), "training"),
    (("--training", "DATA", "--input", "x"), "--input"),
    (("--training", "DATA", "--env", "X"), "--env"),
    (("--training", "DATA", "--env", "X=1", "--env", "X=2"), "given twice"),
    (("--training", "DATA", "--tag", "=x"), "--tag"),
    (("--training", "DATA", "--max-wait", "10"), "max_wait"),
    (("--training", "DATA", "--spot"), "max_wait"),
    (("--training", "DATA", "--max-run", "0"), "--max-run"),
    (("--training", "DATA", "--debug-port", "70000"), "--debug-port"),
    (("--training", "DATA", "--output-path", "/tmp/x"), "s3://"),
    (("--training", "DATA", "--output-path", "s3://b/x//y"), "empty part"),
    (("--training", "DATA", "--instance-count", "two"), "two"),
    (("--traning", "DATA"), "--training"),
    (("--training",), "--training"),
    (("--training", "DATA", "left-over"), "left-over"),
]


CASES = [("train", *mistake) for mistake in MISTAKES] + [
    ("plan", *mistake) for mistake in MISTAKES if "--debug-port" not in mistake[0]
]


@pytest.mark.parametrize(("command", "options", "said"), CASES)
def test_a_wrong_description_of_a_job_starts_and_writes_nothing(
    command: str, options: tuple[str, ...], said: str, run: Run, data: Path, home: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    arguments = [option.replace("DATA", str(data)) for option in options]

    ended = run(command, "--instance-type", "local_process", *arguments)

    assert ended.code == 2, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not ended.out
    assert sorted(tmp_path.rglob("*")) == before
    assert not home.exists()


def test_a_container_without_an_engine_is_refused_before_anything_is_sent(
    run: Run, data: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")

    ended = run("train", "--training", str(data))

    assert ended.code == 2
    assert "no Docker engine runs" in ended.err
    assert "local_process" in ended.err
    assert not home.exists()


@pytest.mark.engine
def test_an_image_that_is_not_there_is_refused_before_anything_is_sent(run: Run, data: Path, home: Path) -> None:
    ended = run("train", "--training", str(data), "--image", "no-such-image:1")

    assert ended.code == 2
    assert "no-such-image:1" in ended.err
    assert not home.exists()


def test_data_that_no_policy_can_be_trained_from_is_refused_with_its_row(run: Run, data: Path, home: Path) -> None:
    data.write_text(DATA.replace("[0.5, 0.5]", "[0.5, 0.6]", 1))

    ended = run(*TRAIN, "--training", str(data))

    assert ended.code == 2
    assert "data.csv" in ended.err
    assert "all_action_probabilities" in ended.err
    assert not home.exists()


def test_a_job_on_aws_without_region_image_or_role_says_what_is_missing(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert "region" in run("plan", "--training", str(data), "--instance-type", "ml.m5.xlarge").err
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    ended = run("plan", "--training", str(data), "--instance-type", "ml.m5.xlarge", "--output-path", "s3://b/p")
    assert ended.code == 2
    assert "role" in ended.err or "image" in ended.err


def test_a_plan_is_the_request_and_sends_nothing(run: Run, data: Path, home: Path) -> None:
    ended = run("plan", "--training", str(data), "--job-name", "mine", "--set", "epochs=3", "--tag", "a=b")

    assert ended.code == 0, ended.err
    plan = ended.json()
    assert plan["request"]["TrainingJobName"] == "mine"
    assert plan["request"]["HyperParameters"]["epochs"] == "3"
    assert plan["request"]["Tags"] == [{"Key": "a", "Value": "b"}]
    assert any(upload["path"] == str(data) for upload in plan["uploads"])
    assert "Nothing was sent" in ended.err
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evaluate", "--job", "a", "--checkpoint", "b"), "Keep one"),
        (("logs", "--tail", "-1"), "--tail"),
        (("logs", "-f", "--tail", "1"), "--tail"),
        (("ps", "--limit", "0"), "--limit"),
        (("ps", "--status", "Done"), "--status"),
        (("wait", "--timeout", "-1"), "--timeout"),
        (("pull", "x", "--what", "everything"), "--what"),
        (("pull",), "JOB"),
        (("stop",), "JOB"),
        (("rm",), "JOB"),
        (("demo", "--executor", "podman"), "--executor"),
        (("demo", "--epochs", "0"), "--epochs"),
        (("collect", "--env", "CartPole-v0"), "--output"),
        (("collect", "--env", "NoSuchEnv-v0", "--output", "x.csv"), "NoSuchEnv"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_option_is_answered_without_a_cloud(
    arguments: tuple[str, ...], said: str, run: Run, home: Path
) -> None:
    ended = run(*arguments)

    assert ended.code == 2, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not home.exists()


TRAINED = "preset-cartpole-ddqnbcq"
PRESETS_IN_SETTINGS = [
    (("--training", "DATA", "--set", f"RLCOACH_PRESET={TRAINED}"), "RLCOACH_PRESET", TRAINED),
    (("--training", "DATA", "--set", "preset=cartpole-ddqn-bcq"), "preset", "cartpole-ddqn-bcq"),
    (("--training", "DATA", "--set", "RLCOACH_PRESET=OWN"), "RLCOACH_PRESET", "user_presets/own.yaml"),
    (
        ("--training", "DATA", "--preset", "cartpole-ddqn-bcq", "--set", f"RLCOACH_PRESET={TRAINED}"),
        "RLCOACH_PRESET",
        TRAINED,
    ),
    (
        ("--entry-point", "evaluate.py", "--input", "checkpoint=s3://b/k", "--set", f"RLCOACH_PRESET={TRAINED}-env"),
        "RLCOACH_PRESET",
        f"{TRAINED}-env",
    ),
]


@pytest.mark.parametrize(("options", "key", "sent"), PRESETS_IN_SETTINGS)
def test_a_preset_named_in_the_settings_takes_the_place_of_the_default(
    options: tuple[str, ...], key: str, sent: str, run: Run, data: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text((presets.FOLDER / "cartpole-ddqn-bcq.yaml").read_text())
    arguments = [option.replace("DATA", str(data)).replace("OWN", str(own)) for option in options]

    ended = run("plan", "--instance-type", "local_process", *arguments)

    assert ended.code == 0, ended.err
    hyperparameters = ended.json()["request"]["HyperParameters"]
    assert {name: hyperparameters.get(name) for name in ("preset", "RLCOACH_PRESET")} == {
        "preset": None,
        "RLCOACH_PRESET": None,
        key: sent,
    }


def test_two_different_presets_are_refused_by_name(run: Run, data: Path) -> None:
    options = ("--preset", "cartpole-ddqn-bcq", "--set", "RLCOACH_PRESET=preset-cartpole-ddqnbcq-env")
    ended = run("plan", "--training", str(data), "--instance-type", "local_process", *options)

    assert ended.code == 2
    assert "two presets are named: 'cartpole-ddqn-bcq' and 'preset-cartpole-ddqnbcq-env'" in ended.err
