"""Names of hyperparameters of the notebooks that trained with Coach."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batchrl.commandline.arguments import ScriptArguments, parse_arguments
from batchrl.commandline.oldnames import meanings, reward_line
from batchrl.contract.errors import InputError

OLD = "preset-cartpole-ddqnbcq"
OPTIONS = ("preset", "RLCOACH_PRESET", "save_model", "evaluate_steps")


def given(*argv: str) -> ScriptArguments:
    return parse_arguments(argv, OPTIONS)


def test_what_old_names_mean_is_said_where_a_notebook_uses_them(tmp_path: Path) -> None:
    lines = meanings(given("--RLCOACH_PRESET", f" {OLD}", "--save_model", "1"), tmp_path)
    assert lines[0] == f"RLCOACH_PRESET={OLD}: batchrl's preset cartpole-ddqn-bcq"
    assert "model.tar.gz" in lines[1] and len(lines) == 2
    lines = meanings(given("--RLCOACH_PRESET", f"{OLD}-env", "--evaluate_steps", "1000"), tmp_path)
    assert lines[0].endswith("cartpole-ddqn-bcq-env") and "whole episodes" in lines[1]
    assert meanings(given("--preset", OLD, "--save_model", "1"), tmp_path) == []
    assert len(meanings(given("--RLCOACH_PRESET", OLD, "--save_model", "0"), tmp_path)) == 1


def test_a_preset_of_coach_beside_the_script_is_told_to_be_of_no_effect(tmp_path: Path) -> None:
    (tmp_path / f"{OLD}.py").write_text("agent_params = None")
    _, warning = meanings(given("--RLCOACH_PRESET", OLD), tmp_path)
    assert warning.startswith(f"warning: {OLD}.py is not read")


def test_the_return_is_said_as_the_sdks_estimator_reads_it() -> None:
    """Its default metric for Coach: sagemaker.rl.RLEstimator.default_metric_definitions."""
    line = reward_line(given("--RLCOACH_PRESET", f"{OLD}-env"), 195.333, 100, 19533)
    assert line is not None
    found = re.search("^Testing>.*Total reward=(.*?),", line)
    assert found is not None and float(found[1]) == 195.33
    assert reward_line(given("--preset", f"{OLD}-env"), 195.333, 100, 19533) is None


def test_names_of_the_other_script_are_refused_in_words() -> None:
    with pytest.raises(InputError, match="'evaluate_steps' means nothing here: a training plays no episodes"):
        parse_arguments(["--preset", OLD, "--evaluate_steps", "5"]).train_preset()
    with pytest.raises(InputError, match="'save_model' means nothing here: an evaluation makes no model"):
        parse_arguments(["--preset", f"{OLD}-env", "--save_model", "1"], ("preset",)).evaluate_preset()
