"""The command line that the scripts of a job share."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from batchrl.commandline.arguments import OPTION_HELP, ScriptArguments, parse_arguments, report, run_script
from batchrl.contract.errors import InputError, Unreachable

TRAIN = "cartpole-ddqn-bcq"


def outcome(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    """Exit code and message of a script that resolves a training preset."""
    code = run_script(lambda arguments: print(arguments.train_preset().epochs), argv, "Train.")
    captured = capsys.readouterr()
    return code, captured.out if code == 0 else captured.err


def test_pairs_are_split_into_options_and_settings() -> None:
    arguments = parse_arguments(["--preset", TRAIN, "--agent.discount=0.9", "-x", "-1", "--save_model", "0"])
    assert arguments.options == {"preset": TRAIN, "save_model": "0"}
    assert arguments.overrides == {"agent.discount": "0.9", "x": "-1"}
    assert arguments.flag("save_model", default=True) is False
    assert arguments.flag("output", default=True) is True


@pytest.mark.parametrize("text", ["1", "true", "True"])
def test_flags_come_as_the_toolkit_spells_them(text: str) -> None:
    assert parse_arguments(["--save_model", text]).flag("save_model", default=False) is True


def test_overrides_reach_the_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(capsys, "--preset", TRAIN, "--epochs", "3") == (0, "3\n")
    assert outcome(capsys, "--RLCOACH_PRESET", " preset-cartpole-ddqnbcq", "--improve_steps", "4") == (0, "4\n")
    assert outcome(capsys, "--RLCOACH_PRESET", TRAIN, "--preset", TRAIN) == (0, "50\n")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "--preset is missing"),
        (["--prset", TRAIN], "Did you mean 'preset' by 'prset'?"),
        (["--preset"], "--preset has no value"),
        (["epochs", "3"], "'epochs' has no key before it"),
        (["--preset", TRAIN, "--RLCOACH_PRESET", "other"], "name different presets"),
        (["--preset", "cartpole-ddqn-bqc"], "Did you mean 'cartpole-ddqn-bcq'"),
        (["--RLCOACH_PRESET", "preset-cartpole-clippedppo"], "A preset of Coach is a program"),
        (["--preset", "none.yaml"], "there is no preset file none.yaml"),
        (["--preset", TRAIN, "--save_modl", "1"], "Did you mean 'save_model'?"),
        (["--preset", TRAIN, "--agent.discuont", "1"], "Did you mean 'agent.discount'?"),
        (["--preset", TRAIN, "--agent.discount", "high"], "'agent.discount' got 'high', expected number"),
        (["--preset", "cartpole-ddqn-bcq-env"], "not of kind 'train'"),
    ],
)
def test_a_mistake_is_a_message_and_exit_code_2(capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    code, message = outcome(capsys, *argv)
    assert code == 2 and message.startswith("Error: ") and says in message and "Traceback" not in message


def test_the_number_of_evaluation_steps_is_an_option_and_a_setting() -> None:
    options = {**OPTION_HELP, "evaluate_steps": "steps"}
    for names in (OPTION_HELP, options):
        arguments = parse_arguments(["--preset", "cartpole-ddqn-bcq-env", "--evaluate_steps", "7"], names)
        assert arguments.evaluate_preset().evaluate_steps == 7


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_script(lambda _: None, ["--help"], "What it does.") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("What it does.") and all(f"--{name} " in printed for name in OPTION_HELP)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (InputError("wrong", "right"), 2, "Error: wrong\nright\n"),
        (Unreachable("gone"), 3, "Error: gone\n"),
        (OSError(errno.ENOSPC, "full", "/data/x"), 2, "Error: the disk is full while writing /data/x."),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_of_the_family_become_exit_codes(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, says: str
) -> None:
    def story(_: ScriptArguments) -> None:
        raise error

    assert run_script(story, [], "") == code
    assert capsys.readouterr().err.startswith(says)


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    def story(_: ScriptArguments) -> None:
        raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        run_script(story, [], "")


def test_A80_in_a_job_the_failure_file_holds_the_message_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "output").mkdir()
    monkeypatch.setenv("BATCHRL_ML_ROOT", str(tmp_path))
    monkeypatch.setenv("TRAINING_JOB_NAME", "job-1")
    assert report(InputError("data.csv, line 7: no such action.", "Give 0 or 1.")) == 2
    assert (tmp_path / "output" / "failure").read_text() == "data.csv, line 7: no such action.\nGive 0 or 1."
    assert "line 7" in capsys.readouterr().err


def test_outside_of_a_job_no_failure_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "output").mkdir()
    monkeypatch.setenv("BATCHRL_ML_ROOT", str(tmp_path))
    report(InputError("data.csv, line 7: no such action."))
    assert not (tmp_path / "output" / "failure").exists()
