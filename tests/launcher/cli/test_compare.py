"""``batchrl compare``: what runs say of themselves, in which order, and what does not follow from it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import Run

from batchrl.contract import columns
from batchrl.contract.errors import DamagedContent, InputError
from launcher.reports.forestplot import draw_runs
from launcher.reports.runs import files_of_folder, read_run

LOG = "action,all_action_probabilities,episode_id,reward,state_feature_0\n" + "".join(
    f'{step % 2},"[0.5, 0.5]",{episode},1,0.{step}\n' for episode in range(6) for step in range(3)
)


def make_run(
    folder: Path, score: float, half: float = 1.0, metric: str = columns.PAIRED, final: dict[str, Any] | None = None
) -> str:
    """The files of a training run of two epochs, the first of which was chosen."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True)
    effective = (
        columns.PAIRED_ESS if metric == columns.PAIRED else columns.window_ess(columns.window_steps(metric) or 0)
    )
    names = (columns.EPOCH, metric, columns.lower(metric), columns.upper(metric), effective)
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerows([names, (1, score, score - half, score + half, 77), (2, 0, "", "", "")])
    (checkpoints / columns.INTERMEDIATE_CSV).write_text(table.getvalue())
    best = {"checkpoint": "epoch_0001.pt", "epoch": 1, "metric": metric, "value": score, "reason": "the best one"}
    (checkpoints / "best.json").write_text(json.dumps(best))
    preset = {"name": "mine", "agent": {"algorithm": "one-step", "discount": 0.9}}
    (checkpoints / "resolved_preset.json").write_text(json.dumps(preset))
    if final is not None:
        (folder / "output" / "data").mkdir(parents=True)
        summary = {"data_sha256": "d1", "estimates": {"episodes_of": "test", "score": final}}
        (folder / "output" / "data" / "training_summary.json").write_text(json.dumps(summary))
    return str(folder)


def final(value: float, half: float = 1.0, doubt: str | None = None) -> dict[str, Any]:
    ends = {"value": value, "lower": value - half, "upper": value + half}
    return {**ends, "metric": columns.PAIRED, "doubt": doubt, "meaning": "gain over the logging policy"}


def test_what_may_be_relied_on_comes_first_then_the_higher_score(run: Run, tmp_path: Path, home: Path) -> None:
    low = make_run(tmp_path / "low", 3)
    high = make_run(tmp_path / "high", 9)
    doubtful = make_run(tmp_path / "doubtful", 20, final=final(20, doubt="too few effective episodes"))

    report = run("compare", doubtful, low, high, "--json").json()

    assert [each["name"] for each in report["runs"]] == [high, low, doubtful]
    assert [each["reliable"] for each in report["runs"]] == [True, True, False]
    first = report["runs"][0]
    assert (first["preset"], first["algorithm"], first["epoch"], first["epochs"]) == ("mine", "one-step", 1, 2)
    assert first["score"] == {"metric": columns.PAIRED, "value": 9, "lower": 8, "upper": 10, "effective": 77}
    assert not any("overlap" in remark for remark in report["remarks"])
    table = run("compare", doubtful, low, high).out
    assert table.splitlines()[1].startswith(high)
    assert f"{doubtful} is not to be relied on: too few effective episodes." in " ".join(table.split())
    assert not home.exists()


@pytest.mark.parametrize(
    ("value", "largest", "reliable", "said"),
    [
        (3.0, "0.02", True, ""),
        (3.0, "0.4", False, "the heaviest of 9000 episodes is"),
        (None, "0.02", False, "the best one"),
    ],
)
def test_a_run_that_goes_on_is_relied_on_only_where_its_score_may_decide(
    value: float | None, largest: str, reliable: bool, said: str, run: Run, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "one", 3)
    table, pointer = (tmp_path / "one" / "checkpoints" / name for name in (columns.INTERMEDIATE_CSV, "best.json"))
    head, chosen, last = table.read_text().splitlines()
    names = f"{columns.OPE_EPISODES},{columns.PAIRED_MAX_WEIGHT}"
    table.write_text(f"{head},{names}\n{chosen},9000,{largest}\n{last},9000,{largest}\n")
    pointer.write_text(json.dumps(json.loads(pointer.read_text()) | {"value": value}))

    (found,) = run("compare", folder, "--json").json()["runs"]

    assert found["reliable"] is reliable
    assert said in (found["doubt"] or "")


def test_differences_that_the_data_do_not_resolve_are_told(run: Run, tmp_path: Path) -> None:
    one, two = make_run(tmp_path / "one", 3), make_run(tmp_path / "two", 4)

    report = run("compare", one, two, "--json").json()

    assert any("Intervals overlap" in remark and one in remark for remark in report["remarks"])


def test_the_figure_at_the_end_stands_before_the_score_that_chose(run: Run, tmp_path: Path) -> None:
    lucky = make_run(tmp_path / "lucky", 9, final=final(1))
    steady = make_run(tmp_path / "steady", 5, final=final(4))

    report = run("compare", lucky, steady, "--json").json()

    assert [each["name"] for each in report["runs"]] == [steady, lucky]
    assert report["runs"][0]["final"]["value"] == 4
    assert report["runs"][0]["final_of"] == "test"


def test_scores_of_different_kinds_are_not_compared(run: Run, tmp_path: Path) -> None:
    one, two = make_run(tmp_path / "one", 3), make_run(tmp_path / "two", 3, metric=columns.window(4))

    remarks = " ".join(run("compare", one, two, "--json").json()["remarks"])

    assert "different kinds" in remarks
    assert "window score" in remarks
    assert "overlap" not in remarks


def test_the_scores_are_drawn_and_written(run: Run, tmp_path: Path) -> None:
    one, two = make_run(tmp_path / "one", 3), make_run(tmp_path / "two", 4)
    picture, file = tmp_path / "pictures" / "runs.png", tmp_path / "runs.json"

    ended = run("compare", one, two, "--plot", str(picture), "--output", str(file))

    assert ended.code == 0, ended.err
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(json.loads(file.read_text())["runs"]) == 2


def test_an_estimate_of_a_return_is_not_drawn_as_a_gain(tmp_path: Path) -> None:
    chosen = files_of_folder(Path(make_run(tmp_path / "one", 30, metric=columns.SDR)))

    with pytest.raises(InputError, match="no figure is defined"):
        draw_runs([read_run("one", chosen)], tmp_path / "runs.png")


def test_no_line_is_wider_than_80_characters(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [make_run(Path(name), 3, final=final(2)) for name in ("a-rather-long-name-of-a-run", "another")]

    lines = run("compare", *names).out.splitlines()

    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "JOB|POLICY"),
        (("ONE", "ONE"), "named twice"),
        (("ONE", "no/where"), "no/where"),
        (("ONE", "EMPTY"), "no chosen epoch"),
        (("ONE", "--fqe"), "--fqe needs --data"),
        (("ONE", "--plot", "runs.txt"), "runs.txt"),
        (("ONE", "--data", "nowhere.csv"), "nowhere.csv"),
        (("ONE", "--against", "best"), "--against"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_answered_in_words(
    arguments: tuple[str, ...], said: str, run: Run, tmp_path: Path, home: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "log.csv").write_text(LOG)
    places = {"ONE": make_run(tmp_path / "one", 3), "EMPTY": str(tmp_path / "empty")}

    ended = run("compare", *(places.get(argument, argument) for argument in arguments))

    assert ended.code == 2, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not home.exists()


def test_a_run_whose_files_are_damaged_is_named(run: Run, tmp_path: Path) -> None:
    broken = make_run(tmp_path / "broken", 3)
    (tmp_path / "broken" / "checkpoints" / "best.json").write_text("{")

    ended = run("compare", broken)

    assert ended.code == DamagedContent.exit_code
    assert f"{broken}: its results cannot be read" in ended.err


@pytest.mark.parametrize(
    "best", [b'{"epoch": 1, "metric": 0, "reason": "x"}', b"[1]", b'{"epoch": [' + b"[" * 5000, b"3"]
)
def test_a_chosen_epoch_that_is_none_is_damaged_content(tmp_path: Path, best: bytes) -> None:
    files = files_of_folder(Path(make_run(tmp_path / "one", 3)))
    with pytest.raises(DamagedContent, match="one: its results cannot be read"):
        read_run("one", replace(files, best=best))


def test_a_checkpoint_that_is_named_and_not_there_is_told_as_damage(run: Run, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)

    ended = run("compare", make_run(tmp_path / "one", 3), "--data", str(tmp_path / "log.csv"))

    assert ended.code == DamagedContent.exit_code
    assert "best.json names epoch_0001.pt, which is not there" in ended.err


def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[str]) -> tuple[tuple[float, float], list[float]]:
    """The ends of the axis of a picture of runs, and where its points are."""
    from launcher.reports import forestplot

    figures: list[Any] = []
    monkeypatch.setattr(forestplot, "save", lambda figure, path: figures.append(figure) or path)
    draw_runs([read_run(name, files_of_folder(Path(name))) for name in runs], tmp_path / "runs.png")
    (axes,) = figures[0].axes
    points = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"]
    return axes.get_xlim(), points


@pytest.mark.parametrize("score", [1.0, -30.0, 2e-4, 0.0])
def test_the_axis_holds_the_points_also_where_nothing_may_be_relied_on(
    score: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the logging policy's 0 may be: the axis was 1e-10 wide, with every point beyond it."""
    doubted = final(score, abs(score), doubt="few episodes")
    runs = [make_run(tmp_path / name, score, half=abs(score), final=doubted) for name in ("one", "two")]
    (low, high), points = drawn(tmp_path, monkeypatch, runs)
    assert points == [score, score]
    assert low < min(points) and max(points) < high and low < 0 < high
    assert high - low < 10 * (abs(score) or 1.0)


def test_what_lies_far_from_what_may_be_relied_on_does_not_squeeze_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubted = final(1e6, doubt="few episodes")
    sure, far = make_run(tmp_path / "a", 3, final=final(3)), make_run(tmp_path / "b", 1e6, final=doubted)
    (low, high), points = drawn(tmp_path, monkeypatch, [sure, far])
    assert points == [3] and low < 0 and 3 < high < 20
