"""The report of a training job against the job's own files: every figure is one of theirs, and every doubt is told."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import presets
from batchrl.contract import columns
from batchrl.contract.errors import DamagedContent
from launcher.cli.commands.train import command as train_command
from launcher.documents import html, markdown
from launcher.documents.model import Curve, Document, Facts, Intervals, Paragraph, Section, Shares, Table
from launcher.jobs.status import JobStatus
from launcher.reporting.files import Simulated, TrainingFiles, parsed
from launcher.reporting.lineage import repeat_command
from launcher.reporting.training import training_document
from launcher.reports.evaluations import Evaluation
from launcher.reports.runs import Files, files_of_folder

PLACES = {"model": "s3://bucket/mails/output/model.tar.gz"}
SECTIONS = ["log", "doubts", "candidates", "choice", "estimate", "untried", "canary", "card", "lineage", "repeat"]


def document(files: TrainingFiles, **settings: Any) -> Document:
    return training_document(files, PLACES, **settings)


def section(document: Document, name: str) -> Section:
    return next(one for one in document.sections if one.name == name)


def facts(part: Section) -> dict[str, tuple[str, str]]:
    """Value and note of each fact of a section."""
    blocks = [block for block in part.blocks if isinstance(block, Facts)]
    return {fact.label: (fact.value, fact.note) for block in blocks for fact in block.facts}


def said(part: Section) -> str:
    """All sentences of a section."""
    return " ".join(block.text for block in part.blocks if isinstance(block, Paragraph))


def only(part: Section, kind: type[Any]) -> Any:
    (found,) = (block for block in part.blocks if isinstance(block, kind))
    return found


def with_score(files: TrainingFiles, **changed: Any) -> TrainingFiles:
    """The same with another final figure."""
    assert files.summary is not None and files.score is not None
    estimates = {**files.summary["estimates"], "score": {**files.score, **changed}}
    return replace(files, summary={**files.summary, "estimates": estimates})


def test_every_question_has_its_section(files: TrainingFiles) -> None:
    assert [one.name for one in document(files).sections] == SECTIONS
    assert all(one.blocks for one in document(files).sections)


def test_the_log_is_told_as_it_is(files: TrainingFiles, log: pd.DataFrame) -> None:
    part = section(document(files), "log")
    found = facts(part)
    returns = log.groupby("episode_id")["reward"].sum()
    assert found["Episodes"][0] == str(len(returns)) and found["Rows"][0] == str(len(log))
    assert found["Return of an episode"][0] == f"{returns.mean():.2f} +- {returns.sem():.2f} (s.e.)"
    assert found["Time span"][0] == "2026-02-01 00:00 UTC to 2026-03-02 19:00 UTC"
    shares = {share.label: share.share for share in only(part, Shares).shares}
    assert shares == pytest.approx(log["action"].value_counts(normalize=True).to_dict())


def test_what_was_not_tried_is_named(files: TrainingFiles, log: pd.DataFrame) -> None:
    thin = only(section(document(files), "untried"), Table)
    rows = (log["plan"] == "gold").sum()
    assert ("plan", "gold", "mail", "never", "0", str(rows)) in thin.rows


def test_an_action_that_was_never_taken_is_a_doubt(files: TrainingFiles) -> None:
    assert files.inputs is not None
    never = {"action": "call", "share": 0.0, "mean_probability": 0.0, "smallest_taken": None, "eligible": None}
    rare = {"action": "fax", "share": 0.01, "mean_probability": 0.01, "smallest_taken": 0.002, "eligible": None}
    data = {**files.inputs["data"], "support": [*files.inputs["data"]["support"], never, rare]}
    part = section(document(replace(files, inputs={**files.inputs, "data": data})), "untried")
    assert "Never taken: call." in said(part)
    assert "fax (1.0 % of the rows, least probability 0.002)" in said(part)
    assert "was tried" not in said(part)


def test_doubts_of_the_log_are_told_in_their_own_words(files: TrainingFiles) -> None:
    assert files.inputs is not None
    clean = section(document(files), "doubts")
    assert "found nothing wrong" in said(clean)
    doubt = {"kind": "duplicates", "message": "7 rows are copies.", "advice": "Drop them.", "rows": 7}
    odd = section(document(replace(files, inputs={**files.inputs, "doubts": [doubt], "accepted": ["x"]})), "doubts")
    assert "7 rows are copies. Drop them." in said(odd) and "found nothing wrong" not in said(odd)
    assert "Said to be meant, and so not told as doubts: x." in said(odd)


def test_candidates_and_choice_are_those_of_the_run(files: TrainingFiles, run_folder: Path) -> None:
    best = json.loads((run_folder / "checkpoints" / "best.json").read_text())
    rows = pd.read_csv(run_folder / "checkpoints" / columns.INTERMEDIATE_CSV)
    whole = document(files)
    curve, table = only(section(whole, "candidates"), Curve), only(section(whole, "candidates"), Table)
    metric = best["metric"]
    assert [point.value for point in curve.points] == pytest.approx(rows[metric].tolist())
    assert [point.lower for point in curve.points] == pytest.approx(rows[columns.lower(metric)].tolist())
    assert curve.marked == best["epoch"]
    assert [row[3] for row in table.rows].index("chosen") == best["epoch"] - 1 == table.marked[0]
    assert best["reason"] in said(section(whole, "choice"))
    split = json.loads((run_folder / "output" / "data" / "training_summary.json").read_text())["split"]
    assert facts(section(whole, "choice"))["Episodes that train"][0] == str(split["train_episodes"])


def test_of_many_epochs_the_best_the_chosen_and_the_last_are_listed(files: TrainingFiles) -> None:
    assert files.best is not None
    metric, row = files.best["metric"], files.epochs[0]
    scores = {1: 0.5, 60: -1.0, **{n: (n - 55) / 100 for n in range(2, 60)}}  # that of epoch 55 is 0
    epochs = [{**row, columns.EPOCH: str(n), metric: str(score)} for n, score in scores.items()]
    epochs.sort(key=lambda cells: int(cells[columns.EPOCH]))
    many = replace(files, epochs=epochs, best={**files.best, "epoch": 7})
    part = section(document(many), "candidates")
    shown = [int(cells[0]) for cells in only(part, Table).rows]
    assert shown == sorted(shown) and {1, 7, 60, 59, 58, 55, 40} <= set(shown) and len(shown) == 24
    assert len(only(part, Curve).points) == 60 and "24 of 60 epochs" in only(part, Table).note


def test_the_estimate_is_told_with_interval_bound_and_doubt(files: TrainingFiles) -> None:
    assert files.summary is not None and files.score is not None
    sure = with_score(files, metric=columns.PAIRED, value=0.5, lower=0.25, upper=0.75, doubt=None)
    found = facts(section(document(sure), "estimate"))
    assert found[columns.PAIRED][0] == "0.50 [0.25, 0.75]" and found["Lower bound"][0] == "0.25"
    assert document(sure).verdict.tone == "good" and "+0.50 [0.25, 0.75]" in document(sure).verdict.text
    doubted = document(with_score(sure, doubt="only 3 episodes"))
    assert doubted.verdict.tone == "doubt" and "only 3 episodes" in doubted.verdict.text
    assert "Not to be relied on: only 3 episodes." in said(section(doubted, "estimate"))


@pytest.mark.parametrize(
    ("lower", "upper", "tone", "words"),
    [(-0.1, 0.9, "doubt", "No evidence"), (-0.9, -0.1, "bad", "worse"), (0.1, 0.9, "good", "better")],
)
def test_the_verdict_says_what_the_interval_says(
    files: TrainingFiles, lower: float, upper: float, tone: str, words: str
) -> None:
    known = with_score(files, metric=columns.PAIRED, value=(lower + upper) / 2, lower=lower, upper=upper, doubt=None)
    verdict = document(known).verdict
    assert (verdict.tone, words in verdict.text) == (tone, True)


def test_a_score_of_windows_never_speaks_of_a_whole_episode(files: TrainingFiles) -> None:
    window = with_score(files, metric=columns.window(2), value=0.5, lower=0.2, upper=0.8, doubt=None)
    whole = document(window)
    assert "as far as 2 steps can tell" in whole.verdict.text
    assert "how much a whole episode gains, it does not say" in said(section(whole, "estimate"))
    assert "a few steps" in said(section(whole, "card"))
    planned = [row[0] for row in only(section(whole, "canary"), Table).rows]
    assert not any("estimate" in row for row in planned)


def test_what_each_policy_earns_is_the_estimate_that_the_run_says_speaks_for_it(files: TrainingFiles) -> None:
    assert files.summary is not None
    bars = only(section(document(files), "estimate"), Intervals).bars
    policies = files.summary["estimates"]["policies"]
    assert len(bars) == len(policies) + 1 and bars[-1].value == files.summary["estimates"]["logged_return"]["value"]
    for bar, policy in zip(bars, policies, strict=False):
        speaking = policy["estimates"].get(policy["speaking"])
        assert bar.value == (None if speaking is None else speaking["value"])
        assert bar.reliable == (speaking is not None and speaking["doubt"] is None)
        assert bar.reliable or bar.note


def test_a_log_of_single_decisions_is_told_in_its_own_words(files: TrainingFiles) -> None:
    assert files.inputs is not None
    lengths = {**files.inputs["data"]["lengths"], "min": 1, "max": 1, "mean": 1.0}
    data = {**files.inputs["data"], "lengths": lengths}
    single = with_score(files, metric=columns.PAIRED, value=0.5, lower=0.25, upper=0.75, doubt=None)
    whole = document(replace(single, inputs={**files.inputs, "data": data}))
    assert "gain in reward" in whole.verdict.text
    assert whole.figures[0].label == "Logged decisions" and whole.figures[1].label == "Logged reward"
    assert "Reward of a decision" in facts(section(whole, "log"))
    assert only(section(whole, "candidates"), Table).columns[2].title == "Effective decisions"
    assert facts(section(whole, "estimate"))["Logging policy"][1] == "mean reward of the same decisions"
    told = f"{said(section(whole, 'canary'))} {facts(section(whole, 'canary'))}"
    assert "decisions" in told and "episode" not in told.lower()


def test_an_epoch_is_marked_as_doubtful_by_the_rules_that_the_estimates_have(files: TrainingFiles) -> None:
    assert files.best is not None
    numbers = {columns.PAIRED_ESS: "90", columns.OPE_EPISODES: "100", columns.LOGGED_INFORMATIVE: "80"}
    good = {**files.epochs[0], **numbers, columns.PAIRED_INFORMATIVE: "70", columns.PAIRED_CARRYING: "60"}
    good |= {columns.PAIRED: "1.0", columns.PAIRED_MAX_WEIGHT: "0.02", columns.PAIRED_TAIL_SHAPE: "0.1"}
    changes: list[dict[str, str]] = [{}, {columns.PAIRED_ESS: "29"}, {columns.PAIRED_TAIL_SHAPE: "0.9"}]
    changes += [{columns.PAIRED_CARRYING: "19"}, {columns.VALUES_POSSIBLE: "0"}]
    weight = columns.PAIRED_MEAN_WEIGHT
    changes += [{weight: "3.0", columns.lower(weight): "2.5", columns.upper(weight): "3.5"}]
    epochs = [{**good, **change, columns.EPOCH: str(at)} for at, change in enumerate(changes, 1)]
    compared = replace(files, epochs=epochs, best={**files.best, "metric": columns.PAIRED, "epoch": 1})
    curve = only(section(document(compared), "candidates"), Curve)
    assert [point.faint for point in curve.points] == [False, True, True, True, True, True]


def test_a_simulator_is_told_apart_from_the_log_and_from_another_epoch(files: TrainingFiles) -> None:
    found = Evaluation(200.0, 0.5, 190.0, 200.0, 100, 19_900, 0.99, 86.0, 0.1, "CartPole-v0", {"epoch": 1})
    assert files.best is not None
    played = replace(files, simulated=Simulated("eval-1", found), best={**files.best, "epoch": 2})
    value, note = facts(section(document(played), "estimate"))["In the simulator CartPole-v0"]
    assert value == "200.00 +- 0.50 (s.e.)" and "of epoch 1 and not of the chosen one" in note and "eval-1" in note


def test_lineage_names_data_code_versions_seed_settings_and_times(files: TrainingFiles, run_folder: Path) -> None:
    assert files.summary is not None and files.inputs is not None
    part = section(document(files), "lineage")
    found = facts(part)
    assert found["sha256 of the data"][0] == files.summary["data_sha256"] == files.inputs["data"]["sha256"]
    assert found["Data of the channel 'training'"][0] == "s3://bucket/datasets/a b/log.csv"
    assert found["Seed"][0] == "3" and found["Ended"] == ("2026-03-09 08:01 UTC", "took 1 min 3 s")
    assert files.inputs["versions"]["torch"] in found["Versions"][0]
    settings = dict(only(part, Table).rows)
    resolved = json.loads((run_folder / "checkpoints" / "resolved_preset.json").read_text())
    assert settings["agent.discount"] == str(resolved["agent"]["discount"])
    assert json.loads(settings["data.state_columns"]) == ["age", "plan"]
    assert len(settings) == len(set(_leaves(resolved)))


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [prefix + key]
    return found


def test_the_command_repeats_the_request(files: TrainingFiles) -> None:
    words = shlex.split(repeat_command(files.name, files.described, True).replace("\\\n", ""))
    assert words[:2] == ["batchrl", "train"]
    options = list(zip(words[2::2], words[3::2], strict=True))
    assert ("--training", "s3://bucket/datasets/a b/log.csv") in options
    assert ("--preset", "cartpole-bc") in options and ("--instance-type", "local_process") in options
    given = dict(value.split("=", 1) for name, value in options if name == "--set")
    assert given == {"epochs": "2", "data.columns.time": "time", "seed": "3"}
    assert presets.resolve_train("cartpole-bc", given).seed == 3
    known = {name for parameter in train_command.params for name in parameter.opts}
    assert {name for name, _ in options} <= known
    assert CliRunner().invoke(train_command, [*words[2:], "--help"]).exit_code == 0


def test_a_preset_of_ones_own_is_repeated_by_what_the_job_resolved(files: TrainingFiles) -> None:
    own = {**files.described["HyperParameters"], "preset": "user_presets/mine.yaml"}
    pulled, train = repeat_command("mails", {**files.described, "HyperParameters": own}, False).split("\n", 1)
    assert pulled == "batchrl pull mails mails --what checkpoints --aws"
    assert "--preset mails/checkpoints/resolved_preset.json" in train and "--set" not in train


def test_a_job_that_still_runs_says_what_is_not_known(files: TrainingFiles) -> None:
    running = replace(files, summary=None, status=JobStatus("InProgress", "Training"))
    whole = document(running)
    assert whole.verdict.tone == "doubt" and "still runs" in whole.verdict.text
    assert "epoch 2 is the last one that is done" in whole.verdict.text
    assert "not known" in said(section(whole, "estimate")) and "so far" in said(section(whole, "choice"))
    assert "model-index" not in whole.card
    begun = replace(running, epochs=(), best=None, inputs=None, preset=None)
    assert "no epoch is done yet" in document(begun).verdict.text
    assert "has not read its log yet" in said(section(document(begun), "log"))
    for page in (whole, document(begun)):
        assert html.render(page) and markdown.render(page)


def test_a_job_that_failed_says_why_first(files: TrainingFiles) -> None:
    failed = replace(files, summary=None, status=JobStatus("Failed", "Failed", None, "no <i>data</i>"))
    whole = document(failed)
    assert whole.verdict.tone == "bad" and "failed: no <i>data</i>." in whole.verdict.text
    never = replace(failed, inputs=None, preset=None, best=None, epochs=())
    assert "ended before it had read its log" in said(section(document(never), "log"))
    assert "<i>data" not in html.render(whole) and "&lt;i&gt;data" in html.render(whole)


def test_a_job_of_an_earlier_version_says_what_it_did_not_store(files: TrainingFiles) -> None:
    assert files.summary is not None
    estimates = files.summary["estimates"]
    policies = [{key: value for key, value in policy.items() if key != "speaking"} for policy in estimates["policies"]]
    older = replace(files, inputs=None, summary={**files.summary, "estimates": {**estimates, "policies": policies}})
    whole = document(older)
    for name in ("log", "doubts", "untried"):
        assert "did not store what its log holds" in said(section(whole, name))
    assert "is not stored" in said(section(whole, "estimate"))
    assert only(section(whole, "canary"), Table).rows  # its own figures at the end tell the spread
    assert facts(section(whole, "lineage"))["Versions"][0] == "not stored"


def test_a_script_of_ones_own_gets_no_words_about_a_policy(files: TrainingFiles) -> None:
    own = {**files.described, "HyperParameters": {"sagemaker_program": "main.py", "depth": "3"}}
    whole = document(replace(files, described=own, summary=None, inputs=None, epochs=(), best=None))
    assert [one.name for one in whole.sections] == ["lineage"]
    assert "nothing is said here of what it made" in whole.verdict.text
    assert only(whole.sections[0], Table).rows == (("depth", "3"),)


def test_damaged_files_are_named_and_never_a_traceback(files: TrainingFiles, run_folder: Path) -> None:
    whole = files_of_folder(run_folder)
    for broken in (b"[1]", b"{", b"\xff"):
        for name in ("best", "preset", "summary", "inputs"):
            content = Files(**{**{key: getattr(whole, key) for key in vars(whole)}, name: broken})
            with pytest.raises(DamagedContent, match="mails"):
                parsed("mails", files.described, files.status, True, content)
    with pytest.raises(DamagedContent, match="mails"):
        document(replace(files, inputs={"data": {"episodes": 3}}))


def test_hostile_names_of_actions_are_shown_and_not_obeyed(files: TrainingFiles) -> None:
    page = html.render(document(files))
    assert "<b>none" not in page and "&lt;b&gt;none&lt;/b&gt;" in page
    written = markdown.render(document(files))
    assert "\\<b\\>none" in written


def test_intended_use_is_the_owners_word_or_missing(files: TrainingFiles) -> None:
    assert "Not stated" in facts(section(document(files), "card"))["Intended use"][0]
    told = document(files, intended_use="Which customer gets a mail.")
    assert facts(section(told, "card"))["Intended use"][0] == "Which customer gets a mail."


def test_the_metadata_of_the_card_has_a_figure_only_where_nothing_is_doubted(files: TrainingFiles) -> None:
    sure = with_score(files, metric=columns.PAIRED, value=0.5, lower=0.25, upper=0.75, doubt=None)
    (index,) = document(sure).card["model-index"]
    (metric,) = index["results"][0]["metrics"]
    assert metric["value"] == 0.5 and "0.25 to 0.75" in metric["name"]
    assert "model-index" not in document(with_score(sure, doubt="few")).card
    assert document(sure).card["library_name"] == "batchrl"


def test_every_figure_of_the_page_stands_in_markdown_too(files: TrainingFiles) -> None:
    whole = document(files)
    written = markdown.render(whole).replace("\\", "")
    for one in whole.sections:
        for block in one.blocks:
            for text in _texts(asdict(block)):
                assert " ".join(text.replace("\\", "").split()) in " ".join(written.split()), text


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() if key not in ("tone", "reference_label") for text in _texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) and value else []
