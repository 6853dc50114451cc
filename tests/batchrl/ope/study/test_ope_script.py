"""The script ``ope.py``: policies by model or by columns, which episodes are scored, what it says and refuses."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scripts import script_module

from batchrl.contract import columns
from batchrl.contract import estimators as names
from batchrl.contract.paths import RESOLVED_PRESET_NAME
from batchrl.data.loader import load_dataset
from batchrl.ope.estimators.bootstrap import Estimate
from batchrl.ope.report.text import signed
from batchrl.ope.study.sources import read_policy
from launcher.reports import forestplot
from presets.dataschema import DataSettings

SCRIPT = Path(__file__).parents[4] / "entrypoints" / "ope.py"
# The golden vector of test_evaluator.py as data: the columns of a policy that somebody else computed.
GOLDEN_LOG = """\
action,all_action_probabilities,episode_id,reward,state_feature_0,target_action_probabilities,target_q_values
0,"[0.5, 0.5]",A,1,0,"[0.8, 0.2]","[2, 1]"
1,"[0.5, 0.5]",A,0.5,0,"[0.6, 0.4]","[0.5, 0.8]"
1,"[0.5, 0.5]",B,2,0,"[0.7, 0.3]","[1, 0.5]"
"""
GOLDEN = {
    columns.IPS: 1.0666667,
    names.SDR: 1.27596,
    names.IS: 1.5568,
    names.WIS: 1.6561702,
    names.PDIS: 1.7168,
    names.PDWIS: 1.6097485,
    names.WDR: 1.2510054,
    names.DM_VALUE: 1.325,
}
Frame = Callable[..., pd.DataFrame]
Ope = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("ope")


@pytest.fixture
def ope(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> Ope:
    """Run it and read its JSON."""

    def run(*options: object) -> dict[str, Any]:
        capsys.readouterr()
        code = script.main([*map(str, options), "--json"])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        report: dict[str, Any] = json.loads(captured.out)
        return report

    return run


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    path = tmp_path / "golden.csv"
    path.write_text(GOLDEN_LOG)
    return path


def values_of(policy: dict[str, Any]) -> dict[str, float]:
    return {name: figure["value"] for name, figure in policy["estimates"].items()}


def test_the_columns_of_the_golden_log_give_the_golden_numbers(ope: Ope, golden: Path) -> None:
    report = ope(golden)

    (policy,) = report["policies"]
    found = values_of(policy)
    assert {name: found[name] for name in GOLDEN} == pytest.approx(GOLDEN, abs=1e-6)
    assert set(found) == {*GOLDEN, names.MAGIC}
    assert policy["weights"]["effective_episodes"] == pytest.approx(1.7686149)
    assert report["logged"]["discounted_return"]["value"] == pytest.approx((1.495 + 2) / 2)
    assert report["settings"]["discount"] == 0.99
    assert any("0.99 is assumed" in remark for remark in report["remarks"])
    assert all(figure["estimand"]["policy"] for figure in policy["estimates"].values())
    assert not policy["reliable"]


def test_clipped_ratios_are_smaller_and_said_to_be(ope: Ope, golden: Path) -> None:
    report = ope(golden, "--clip", "1.2")

    # The weights are 1.2 * 0.8 and 0.6; without a clip the first would be 1.6 * 0.8.
    expected = (0.96 * 1.495 + 0.6 * 2) / (0.96 + 0.6)
    assert values_of(report["policies"][0])[names.WIS] == pytest.approx(expected)
    assert any("at most 1.2" in remark for remark in report["remarks"])


def test_without_values_in_the_columns_there_are_no_estimates_that_need_them(ope: Ope, golden: Path) -> None:
    frame = pd.read_csv(golden).drop(columns="target_q_values")
    frame.to_csv(golden, index=False)

    (policy,) = ope(golden)["policies"]

    assert set(policy["estimates"]) == {names.IS, names.WIS, names.PDIS, names.PDWIS, columns.IPS}


@pytest.mark.parametrize("source", [".", "checkpoints", "model", "checkpoints/epoch_0005.pt", "model.tar.gz"])
def test_a_model_scored_on_its_own_data_gives_its_last_row_of_the_csv(
    source: str, ope: Ope, train: Callable[..., Path], trained: Path, data_file: Path, tmp_path: Path
) -> None:
    last = train(tmp_path / "last", selection__rule="last")
    with tarfile.open(last / "model.tar.gz", "w:gz") as archive:
        for file in (last / "model").iterdir():
            archive.add(file, file.name)
    table = last / "output" / "intermediate" / columns.INTERMEDIATE_CSV
    row = list(csv.DictReader(table.read_text().splitlines()))[-1]

    report = ope(data_file, "--model", last / source, "--policy", "softmax")

    (policy,) = report["policies"]
    found = values_of(policy)
    # The reward model lies in checkpoints alone.
    known = (
        columns.ESTIMATES
        if source == "." or source.startswith("checkpoints")
        else (columns.IPS, columns.WIS, columns.SDR)
    )
    for name in known:
        assert found[name] == pytest.approx(float(row[name]), rel=1e-5), name
    assert policy["weights"]["effective_episodes"] == pytest.approx(float(row[columns.WIS_ESS]), rel=1e-5)
    assert report["scored"]["which"] == "the evaluation episodes of the run"
    assert report["scored"]["episodes"] == int(row[columns.OPE_EPISODES])
    assert any("chose the checkpoint" in remark for remark in report["remarks"])
    assert report["settings"]["discount"] == 0.99


def test_several_policies_are_scored_on_the_same_episodes_with_paired_differences(
    ope: Ope, trained: Path, data_file: Path
) -> None:
    model = f"one={trained / 'checkpoints'}"
    options = (data_file, "--policy", "softmax", "--policy", "epsilon_greedy", "--epsilon", "0.9")

    single = ope(*options, "--model", model)
    double = ope(*options, "--model", model, "--model", f"two={trained / 'model'}", "--baseline", "first")

    assert [policy["policy"] for policy in single["policies"]] == [
        "softmax of values at temperature 1",
        "greedy with 0.9 random actions",
    ]
    assert [policy["source"] for policy in double["policies"]] == ["one", "one", "two", "two"]
    assert [policy["verdict"]["outcome"] for policy in double["policies"][:2]] == ["reference", "reference"]
    for policy in double["policies"][2:]:
        difference = policy["estimates"][names.WIS]["difference"]
        np.testing.assert_allclose([difference[end] for end in ("value", "lower", "upper")], 0, atol=1e-4)
    for policy in single["policies"]:
        figure = policy["estimates"][names.WIS]
        above = figure["value"] - single["logged"]["discounted_return"]["value"]
        assert figure["difference"]["value"] == pytest.approx(above)


def test_other_data_than_that_of_the_training_is_scored_whole(
    ope: Ope, trained: Path, frame: Frame, tmp_path: Path, capsys: pytest.CaptureFixture[str], script: ModuleType
) -> None:
    frame(seed=5).to_parquet(tmp_path / "other.parquet")

    report = ope(tmp_path / "other.parquet", "--model", trained / "checkpoints")

    assert report["scored"]["episodes"] == report["data"]["episodes"] == 40
    assert any("trained on other data" in remark for remark in report["remarks"])
    options = [str(tmp_path / "other.parquet"), "--model", str(trained / "checkpoints"), "--episodes", "evaluation"]
    assert script.main(options) == 2
    assert "no split is known" in capsys.readouterr().err


def test_a_policy_of_the_log_whose_split_nothing_tells_is_said_to_be_scored_optimistically(
    ope: Ope, trained: Path, data_file: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained / "model", tmp_path / "model")
    (tmp_path / "model" / RESOLVED_PRESET_NAME).unlink()

    report = ope(data_file, "--model", tmp_path / "model")

    assert report["scored"]["which"] == "all episodes of the log"
    assert any("nothing says on which" in remark for remark in report["remarks"])


def test_the_test_episodes_are_scored_where_the_run_kept_some(
    ope: Ope, train: Callable[..., Path], data_file: Path, tmp_path: Path
) -> None:
    output = train(tmp_path / "run", data__test_ratio="0.3", epochs="1")

    found = {kind: ope(data_file, "--model", output / "checkpoints", "--episodes", kind) for kind in ("auto", "all")}

    split = json.loads((output / "output" / "data" / "training_summary.json").read_text())["split"]
    assert found["auto"]["scored"]["which"] == "the test episodes of the run"
    assert found["auto"]["scored"]["episodes"] == split["test_episodes"] > 0
    assert not any("optimistic" in remark for remark in found["auto"]["remarks"])
    assert found["all"]["scored"]["episodes"] == 40
    assert any(f"trained on {split['train_episodes']} of these" in remark for remark in found["all"]["remarks"])


@pytest.mark.parametrize("former", [False, True])
def test_a_model_says_on_which_episodes_its_run_was_trained_whatever_its_version(
    train: Callable[..., Path], data_file: Path, tmp_path: Path, former: bool
) -> None:
    """A model holds no split, but what it was drawn with; older versions cut at transitions, and had no key for it."""
    division = {"data__split_by": "transitions"} if former else {"data__stratify": "length"}
    output = train(tmp_path / "run", data__test_ratio="0.2", epochs="1", **division)
    if former:
        resolved = output / "model" / "resolved_preset.json"
        settings = json.loads(resolved.read_text())
        del settings["data"]["split_by"], settings["data"]["stratify"]
        resolved.write_text(json.dumps(settings))
    dataset = load_dataset(data_file, DataSettings()).dataset
    of_model, of_checkpoint = (
        read_policy("p", output / kept).split_of(dataset, dataset.sha256()) for kept in ("model", "checkpoints")
    )
    assert of_model is not None and of_checkpoint is not None
    for part in ("train", "evaluation", "test"):
        np.testing.assert_array_equal(getattr(of_model, part), getattr(of_checkpoint, part))


def test_a_policy_that_acts_under_a_mask_is_scored_so_unless_asked_otherwise(
    ope: Ope, train: Callable[..., Path], data_file: Path, tmp_path: Path
) -> None:
    output = train(
        *(tmp_path / "masked",),
        bcq__mode="discrete_bcq",
        bcq__mask_at_action_time="true",
        bcq__relative_threshold="0.9",
        bcq__imitation_epochs="20",
        epochs="1",
    )
    options = (data_file, "--model", output / "checkpoints", "--policy", "epsilon_greedy", "--epsilon", "1")

    (masked,) = ope(*options)["policies"]
    (free,) = ope(*options, "--no-mask")["policies"]

    assert masked["policy"].endswith(", under its mask") and masked["facts"]["acts_under_mask"]
    assert not free["facts"]["acts_under_mask"]
    # Where everything is allowed, wholly random actions are uniform.
    loaded = load_dataset(data_file, DataSettings())
    policy = read_policy("p", output / "checkpoints")
    split = policy.split_of(loaded.dataset, loaded.dataset.sha256())
    assert split is not None
    part = loaded.dataset.select(split.evaluation)
    weights = 0.5 / part.behavior_policy[np.arange(part.n_transitions), part.actions]
    products = np.multiply.reduceat(weights, part.offsets[:-1])
    assert free["weights"]["mean_weight"]["value"] == pytest.approx(products.mean())
    assert masked["weights"]["mean_weight"]["value"] != pytest.approx(products.mean())


def test_fitted_values_come_from_episodes_that_are_not_scored(
    ope: Ope, trained: Path, data_file: Path, frame: Frame, tmp_path: Path
) -> None:
    frame(seed=7).to_csv(tmp_path / "other.csv", index=False)
    options = ("--model", trained / "checkpoints", "--policy", "softmax", "--fqe-updates", "300")

    rest = ope(data_file, *options, "--fqe")
    halves = ope(tmp_path / "other.csv", *options, "--fqe")
    given = ope(data_file, *options, "--fqe-data", tmp_path / "other.csv")

    for report in (rest, halves, given):
        (policy,) = report["policies"]
        assert {names.FQE, names.SDR, names.WDR} <= set(policy["estimates"])
        assert not policy["estimates"][names.FQE]["reliable"]
    train_episodes = 40 - rest["scored"]["episodes"]
    assert any(f"fitted on the {train_episodes} episodes" in remark for remark in rest["remarks"])
    assert any("each half" in remark for remark in halves["remarks"])
    assert any("other.csv" in remark for remark in given["remarks"])
    fitted = [values_of(report["policies"][0])[names.FQE] for report in (rest, given)]
    assert fitted[0] != fitted[1]


def test_what_people_read_fits_80_columns_and_says_what_may_be_relied_on(
    script: ModuleType, trained: Path, data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [str(data_file), "--data-name", "log.csv", "--model", f"job={trained / 'checkpoints'}"]
    for more in ([], ["--brief", "--baseline", "first", "--model", f"other={trained / 'model'}"]):
        assert script.main([*options, *more, "--output", str(tmp_path / "report.json")]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        assert lines[0].startswith("log.csv: 40 episodes")
        assert any(line.startswith("Logging policy") for line in lines)
        assert any(line.startswith("job: greedy") for line in lines)
        assert any("effective" in line and "largest weight" in line for line in lines)
    assert json.loads((tmp_path / "report.json").read_text())["format"] == 1


def damaged(change: Callable[[pd.DataFrame], object]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def changed(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype(object)
        change(frame)
        return frame

    return changed


MISTAKES: list[tuple[Callable[[pd.DataFrame], pd.DataFrame] | None, list[str], str]] = [
    (damaged(lambda f: f.pop(columns.TARGET_ACTION_PROBABILITIES)), [], columns.TARGET_ACTION_PROBABILITIES),
    (damaged(lambda f: f.__setitem__(columns.TARGET_ACTION_PROBABILITIES, "[0.5, 0.6]")), [], "sum to 1"),
    (damaged(lambda f: f.__setitem__(columns.TARGET_ACTION_PROBABILITIES, "[0.5, 0.3, 0.2]")), [], "3 entries"),
    (damaged(lambda f: f.__setitem__(columns.TARGET_Q_VALUES, "[NaN, 1]")), [], columns.TARGET_Q_VALUES),
    (damaged(lambda f: f.__setitem__(columns.REWARD, "nan")), [], columns.REWARD),
    (None, ["--policy", "greedy"], "--policy without --model"),
    (None, ["--confidence", "1"], "--confidence got 1.0"),
    (None, ["--resamples", "-1"], "--resamples"),
    (None, ["--discount", "1.5"], "--discount"),
    (None, ["--reward-range", "nan:1"], "--reward-range got 'nan:1'"),
    (None, ["--reward-range", "1"], "--reward-range got '1'"),
    (None, ["--reward-range=2:-1"], "--reward-range got '2:-1'"),
    (None, ["--reward-range", "0.6:9"], "has rewards from 0.5"),
    (None, ["--estimators", "wsi"], "Did you mean wis?"),
    (None, ["--episodes", "test"], "no split is known"),
    (None, ["--model", "nowhere"], "there is no policy nowhere"),
    (None, ["--state-columns", "a,,b"], "--state-columns"),
    (None, ["--state-columns", "nothing"], "nothing"),
]


@pytest.mark.parametrize(("change", "options", "said"), MISTAKES)
def test_a_mistake_is_told_in_words(
    change: Callable[[pd.DataFrame], pd.DataFrame] | None,
    options: list[str],
    said: str,
    script: ModuleType,
    golden: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if change is not None:
        change(pd.read_csv(golden)).to_csv(golden, index=False)

    code = script.main([str(golden), *options])

    captured = capsys.readouterr()
    assert code == 2
    assert said in captured.err
    assert captured.out == ""


def test_a_model_of_another_problem_is_refused(
    script: ModuleType,
    trained: Path,
    frame: Frame,
    golden: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    frame(actions=3).to_csv(tmp_path / "three.csv", index=False)
    (tmp_path / "empty").mkdir()
    model = ["--model", f"my-job={trained / 'checkpoints'}"]

    assert script.main([str(golden), *model]) == 2
    assert "my-job takes states of 3 features" in capsys.readouterr().err
    assert script.main([str(tmp_path / "three.csv"), *model]) == 2
    assert "my-job has 2 actions" in capsys.readouterr().err
    assert script.main([str(golden), "--model", str(tmp_path / "empty")]) == 2
    assert "it holds nothing" in capsys.readouterr().err


def test_data_that_values_cannot_be_fitted_on_is_refused(
    script: ModuleType, frame: Frame, golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame().to_csv(tmp_path / "other.csv", index=False)
    plain = tmp_path / "plain.csv"
    pd.read_csv(golden).drop(columns=columns.TARGET_ACTION_PROBABILITIES).to_csv(plain, index=False)
    single = tmp_path / "single.csv"
    pd.read_csv(golden).head(2).to_csv(single, index=False)

    assert script.main([str(golden), "--fqe-data", str(tmp_path / "other.csv")]) == 2
    assert "has 3 features and 2 actions" in capsys.readouterr().err
    assert script.main([str(golden), "--fqe-data", str(plain)]) == 2
    assert f"--fqe-data has no column {columns.TARGET_ACTION_PROBABILITIES}" in capsys.readouterr().err
    assert script.main([str(single), "--fqe"]) == 2
    assert "one episode cannot be divided" in capsys.readouterr().err
    assert script.main([str(golden), "--fqe", "--fqe-updates", "1"]) == 2
    assert "fqe_updates" in capsys.readouterr().err


def test_a_policy_that_never_acts_as_the_log_is_no_mistake(ope: Ope, golden: Path) -> None:
    frame = pd.read_csv(golden)
    frame[columns.TARGET_ACTION_PROBABILITIES] = ["[0, 1]", "[1, 0]", "[1, 0]"]
    frame.to_csv(golden, index=False)

    (policy,) = ope(golden)["policies"]

    assert policy["estimates"][names.WIS]["value"] is None
    assert policy["verdict"]["outcome"] == "unreliable"
    assert "weights are 0" in policy["verdict"]["words"]


def test_an_interrupt_is_one_word_and_exit_code_130(
    script: ModuleType, golden: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("batchrl.ope.study.study.answer", interrupted)

    assert script.main([str(golden)]) == 130
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "interrupted\n")


def test_a_reader_that_goes_away_is_no_error(golden: Path) -> None:
    words = shlex.join([sys.executable, str(SCRIPT), str(golden)])
    command = f"{words} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_difference_that_is_but_rounding_is_none() -> None:
    assert signed(Estimate(2e-13, 4e-14, 6e-13), 4.2) == "0"
    assert signed(Estimate(0.0, -3e-14, 2e-14), 4.2) == "0"
    assert signed(Estimate(2e-13, 1e-13, 3e-13), 1e-12) == "+2e-13 [1e-13, 3e-13]"
    assert signed(Estimate(0.25, -0.1, 0.6), 4.2) == "+0.25 [-0.10, 0.60]"


def test_a_figure_that_the_log_does_not_allow_is_not_relied_on(ope: Ope, tmp_path: Path) -> None:
    """A goal pays 1 and ends the episode; values of 79.5 make the doubly robust figures say as much."""
    rng = np.random.default_rng(0)
    rows = [
        "action,all_action_probabilities,episode_id,reward,state_feature_0,target_action_probabilities,target_q_values"
    ]
    for episode in range(300):
        length = int(rng.geometric(0.3))
        for step in range(length):
            reward = int(step == length - 1 and episode % 2)
            rows.append(f'{rng.integers(2)},"[0.5, 0.5]",{episode},{reward},{step},"[0.45, 0.55]","[79.5, 79.5]"')
    path = tmp_path / "goal.csv"
    path.write_text("\n".join(rows) + "\n")
    (policy,) = ope(path, "--discount", "0.99")["policies"]
    direct, weighted = policy["estimates"][names.DM_VALUE], policy["estimates"][names.WIS]
    assert direct["value"] == pytest.approx(79.5) and not direct["reliable"]
    assert "79.5 lies above 1.1, beyond what the log allows" in direct["doubt"]
    assert weighted["reliable"] and weighted["value"] < 1
    doubly_robust = [policy["estimates"][name] for name in (names.SDR, names.WDR)]
    assert any(not figure["reliable"] for figure in doubly_robust)
    assert all(figure["reliable"] is (-0.1 <= figure["value"] <= 1.1) for figure in doubly_robust)


BANDIT = [
    (visits, action, float(action == (visits >= 3))) for visits in range(6) for action in (0, 0, 1) for _ in range(9)
]


@pytest.fixture
def bandit(tmp_path: Path) -> Path:
    """Decisions of which action 1 pays from three visits on, and action 0 below; the log takes 0 two times in three."""
    path = tmp_path / "bandit.csv"
    lines = ["action,all_action_probabilities,episode_id,reward,visits"]
    chances = f"[{2 / 3}, {1 / 3}]"
    lines += [f'{action},"{chances}",{row},{reward},{visits}' for row, (visits, action, reward) in enumerate(BANDIT)]
    path.write_text("\n".join(lines) + "\n")
    return path


RULES = "visits,action\n>=3,1\n,0\n"


def test_policies_that_nobody_trained_are_scored(ope: Ope, bandit: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.csv"
    rules.write_text(RULES)
    policies = ["uniform", "most-frequent", "always:1", "[0.25, 0.75]", str(rules), f"{__name__}:BestRule"]
    options = [part for policy in policies for part in ("--policy", policy)]
    report = ope(bandit, "--state-columns", "visits", *options)
    found = {policy["source"]: policy for policy in report["policies"]}
    assert list(found) == policies
    values = [found[policy]["estimates"][names.SNIPS]["value"] for policy in policies]
    assert values == pytest.approx([0.5, 0.5, 0.5, 0.5, 1.0, 1.0])
    assert found["most-frequent"]["policy"] == "always action 0, the log's most frequent one"
    assert found["always:1"]["policy"] == "always action 1"
    assert not any("The probabilities are" in remark for remark in report["remarks"])


def test_actions_of_given_policies_have_the_logs_names(
    ope: Ope, bandit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.read_csv(bandit)
    frame["action"] = frame["action"].map({0: "mail", 1: "coupon"})
    frame["propensity"] = frame["action"].map({"mail": 2 / 3, "coupon": 1 / 3})
    named, rules = tmp_path / "named.csv", tmp_path / "rules.csv"
    frame.drop(columns="all_action_probabilities").to_csv(named, index=False)
    rules.write_text("visits,action\n>=3,coupon\n,mail\n")
    policies = ("always:coupon", "most-frequent", str(rules), "always:1", "[0.25, 0.75]")
    options = [part for policy in policies for part in ("--policy", policy)]
    report = ope(named, "--state-columns", "visits", *options)
    found = {policy["source"]: policy for policy in report["policies"]}
    values = [found[policy]["estimates"][names.SNIPS]["value"] for policy in policies]
    assert values == pytest.approx([0.5, 0.5, 1.0, 0.5, 0.5])
    assert found["always:coupon"]["policy"] == "always action coupon"
    assert found["most-frequent"]["policy"] == "always action mail, the log's most frequent one"
    assert found["always:1"]["policy"] == "always action mail"
    assert found["[0.25, 0.75]"]["policy"] == "coupon 0.25, mail 0.75 in every state"
    # And in the picture of the report.
    figures: list[Any] = []
    monkeypatch.setattr(forestplot, "save", lambda figure, path: figures.append(figure) or path)
    forestplot.draw(report, tmp_path / "report.png")
    written = [text.get_text() for text in figures[0].axes[0].texts]
    assert "always:1: always action mail" in written
    assert "[0.25, 0.75]: coupon 0.25, mail 0.75 in every state" in written


class BestRule:
    """A policy as somebody writes one."""

    def action_probabilities(self, states: np.ndarray) -> np.ndarray:
        return np.eye(2)[(states[:, 0] >= 3).astype(int)]


class WrongRule:
    """One whose probabilities are none."""

    def action_probabilities(self, states: np.ndarray) -> np.ndarray:
        return np.full((len(states), 2), 0.7)


def test_given_and_trained_policies_stand_side_by_side_and_any_may_be_the_first(
    ope: Ope, train: Callable[..., Path], data_file: Path, tmp_path: Path
) -> None:
    model = train(tmp_path / "run", epochs="1") / "checkpoints"
    kinds = ("--policy", "greedy", "--policy", "softmax", "--baseline", "first")
    for order in ((model, "uniform"), ("uniform", model)):
        options = [part for policy in order for part in ("--model", policy)]
        report = ope(data_file, *options, *kinds, "--policy", "always:0")
        verdicts = {(each["source"], each["policy"]): each["verdict"]["outcome"] for each in report["policies"]}
        first = {source for (source, _), outcome in verdicts.items() if outcome == "reference"}
        assert first == {str(order[0])} == {report["baseline"]}
        assert len(verdicts) == 4
        differences = {
            (each["source"], each["policy"]): each["estimates"][names.WIS]["difference"] for each in report["policies"]
        }
        values = {
            (each["source"], each["policy"]): each["estimates"][names.WIS]["value"] for each in report["policies"]
        }
        softmax = next(key for key in values if "softmax" in key[1])
        greedy = next(key for key in values if key[1] == "greedy")
        uniform, always = ("uniform", "every action as often as any other"), ("always:0", "always action 0")
        base = greedy if order[0] == model else uniform
        assert differences[always]["value"] == pytest.approx(values[always] - values[base])
        other = uniform if order[0] == model else softmax
        assert differences[other]["value"] == pytest.approx(values[other] - values[base])


def test_values_of_given_policies_can_be_fitted(ope: Ope, data_file: Path) -> None:
    report = ope(data_file, "--policy", "always:1", "--fqe", "--fqe-updates", "300", "--discount", "0.9")
    (policy,) = report["policies"]
    assert policy["estimates"][names.FQE]["value"] is not None


@pytest.mark.parametrize(
    ("policy", "rules", "says"),
    [
        ("always:2", "", "there is no action '2'. Actions are 0 to 1"),
        ("[0.5, 0.4, 0.1]", "", "has 2 actions"),
        ("nonsense", "", "there is no such policy"),
        ("greedy", "", "--policy without --model"),
        (f"{__name__}:WrongRule", "", "with [0.7, 0.7]"),
        (f"{__name__}:NoRule", "", "NoRule"),
        ("nowhere.csv", "", "there is no such path"),
        ("RULES", "visits,action\n>=3,1\n", "no rule applies to the state visits 0"),
        ("RULES", "visits,action\n>=x,1\n", "line 2, column 'visits': '>=x' is no condition. Right are <2"),
        ("RULES", "visit,action\n,1\n", "the column 'visit' is no feature of the state. Features are visits"),
        ("RULES", "visits,action\n,7\n", "line 2, column 'action': there is no action '7'"),
        ("RULES", "visits,action\n,1,0\n", "line 2: 3 cells, but the header has 2"),
        ("RULES", "visits\n1\n", "has a column action, or all_action_probabilities, and not both"),
        ("RULES", "visits,action\n", "holds no rule"),
        ("RULES", 'visits,all_action_probabilities\n,"[1]"\n', "has 1 numbers, but there are 2 actions"),
    ],
)
def test_what_is_no_policy_is_refused_in_words(
    script: ModuleType,
    capsys: pytest.CaptureFixture[str],
    bandit: Path,
    tmp_path: Path,
    policy: str,
    rules: str,
    says: str,
) -> None:
    path = tmp_path / "rules.csv"
    path.write_text(rules)
    options = ["--state-columns", "visits", "--policy", str(path) if policy == "RULES" else policy]
    assert script.main([str(bandit), *options]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_a_model_is_scored_as_it_is_served_unless_told_otherwise(
    ope: Ope, train: Callable[..., Path], trained: Path, data_file: Path, tmp_path: Path
) -> None:
    soft = train(tmp_path / "soft", ope__target_policy="softmax", epochs="1")
    for output, name in ((trained, "greedy"), (soft, "softmax of values at temperature 1")):
        described = json.loads((output / "model" / "model.json").read_text())
        report = ope(data_file, "--model", output / "model")
        served, beside = report["policies"]
        assert served["policy"] == served["facts"]["target_policy"] == described["target_policy"] == name
        assert beside["policy"] == "greedy with 0.1 random actions"
        assert not any("is served as" in remark for remark in report["remarks"])
    other = ope(data_file, "--model", trained / "model", "--policy", "softmax")
    assert any("is served as its target policy, greedy, which is not scored" in remark for remark in other["remarks"])


def test_what_was_asked_for_and_cannot_be_made_is_told(ope: Ope, data_file: Path) -> None:
    report = ope(data_file, "--policy", "uniform", "--estimators", "wdr,wis,sdr")
    assert set(report["policies"][0]["estimates"]) == {names.WIS}
    assert "uniform has no WDR and no SDR: it has no values; --fqe fits some." in report["remarks"]
    fitted = ope(data_file, "--policy", "uniform", "--estimators", "wdr,wis", "--fqe", "--fqe-updates", "200")
    assert not any("has no" in remark for remark in fitted["remarks"])


def test_a_policy_that_does_what_the_log_did_differs_in_nothing(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by the rounding of its sums."""
    rng = np.random.default_rng(0)
    table = {"action": rng.integers(0, 2, 600), "episode_id": np.arange(600) // 6, "reward": rng.normal(3.7, 1, 600)}
    frame = pd.DataFrame(table | {"all_action_probabilities": "[0.5, 0.5]", "state_feature_0": rng.normal(size=600)})
    frame.to_csv(tmp_path / "log.csv", index=False)
    assert script.main([str(tmp_path / "log.csv"), "--policy", "uniform"]) == 0
    said = capsys.readouterr().out
    assert "No difference to the logging policy." in said
    assert "e-1" not in said


def test_a_key_of_the_data_is_set_as_in_a_training(
    script: ModuleType, ope: Ope, data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_csv(data_file)
    frame = pd.concat([frame, frame.iloc[:3]])
    frame.to_csv(tmp_path / "log.csv", index=False)
    assert script.main([str(tmp_path / "log.csv"), "--policy", "uniform"]) == 2
    assert "data.repair=[duplicates]" in capsys.readouterr().err
    repaired = ope(tmp_path / "log.csv", "--policy", "uniform", "--set", "data.repair=[duplicates]")
    assert repaired["data"]["transitions"] == len(frame) - 3
    for wrong, says in (
        ("data.repare=[duplicates]", "Did you mean 'data.repair'?"),
        ("agent.discount=1", "only keys of the section data"),
        ("data.repair", "no key and value"),
        ("data.repair=[x]", "data.repair"),
    ):
        assert script.main([str(tmp_path / "log.csv"), "--policy", "uniform", "--set", wrong]) == 2
        assert says in capsys.readouterr().err
