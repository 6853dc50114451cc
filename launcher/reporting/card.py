"""The fields of a model card: those of Mitchell et al. 2019 as a section, and Hugging Face's metadata.

"Model Cards for Model Reporting" (Mitchell et al., FAT* 2019) asks for details, intended use, training data, evaluation
and limits. What a model is for, no job knows: whoever ships it says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batchrl.contract import columns
from launcher.documents.model import Block, Fact, Facts, Paragraph, Section
from launcher.reporting.files import TrainingFiles
from launcher.reporting.words import figure, plain, sentence

LIBRARY = "batchrl"
TASK = "reinforcement-learning"
NO_USE = "Not stated: what the policy is for is not in the job. --intended-use TEXT puts it here."
NETWORK = ("embedder", "middleware", "ensemble", "learning_rate", "discount")


def card_section(files: TrainingFiles, intended_use: str | None) -> Section:
    """The fields for people; figures stand above, with their doubts."""
    return Section("card", "Model card", tuple(_fields(files, intended_use)))


def metadata(files: TrainingFiles) -> dict[str, Any]:
    """Hugging Face's metadata of a model; a figure is in it only where nothing speaks against it."""
    agent = (files.preset or {}).get("agent", {})
    tags = [TASK, "offline-reinforcement-learning", "off-policy-evaluation"]
    found: dict[str, Any] = {
        "library_name": LIBRARY,
        "pipeline_tag": TASK,
        "tags": [*tags, *([agent["algorithm"]] if "algorithm" in agent else [])],
    }
    score = files.score
    if score is None or score["doubt"] is not None or score["value"] is None or score["lower"] is None:
        return found
    assert files.summary is not None, "its score is of it"
    dataset = {"name": "logged decisions", "type": "logged-decisions", "revision": files.summary["data_sha256"]}
    metric = {
        "type": score["metric"],
        "name": f"{score['meaning']} ({score['confidence']:.0%} interval {score['lower']:.6g} to {score['upper']:.6g})",
        "value": score["value"],
        "verified": False,
    }
    result = {"task": {"type": TASK}, "dataset": dataset, "metrics": [metric]}
    return found | {"model-index": [{"name": files.name, "results": [result]}]}


def _fields(files: TrainingFiles, intended_use: str | None) -> Iterator[Block]:
    preset, summary, data = files.preset or {}, files.summary, files.data
    agent = preset.get("agent", {})
    known = ", ".join(f"{name} {agent[name]}" for name in NETWORK if name in agent)
    actions = (summary or {}).get("actions") or [row["action"] for row in (data or {}).get("support", ())]
    features = [one["name"] for one in (data or {}).get("features", ())]
    yield Facts(
        (
            Fact(
                "Model", f"policy of the job {files.name}", "" if files.best is None else f"epoch {files.best['epoch']}"
            ),
            Fact("Algorithm", str(agent.get("algorithm", "not known")), known),
            Fact(
                "Input", f"{len(features)} features of a state" if features else "not stored", ", ".join(features[:12])
            ),
            Fact("Output", f"one of {len(actions)} actions" if actions else "not known", ", ".join(actions[:24])),
            Fact("Intended use", intended_use or NO_USE),
            Fact(
                "Out of scope",
                "Other decisions, other people, other times",
                "states unlike those of the log, actions that it never tried, a world that has changed since",
            ),
            Fact("Training data", _training(files)),
            Fact("Evaluation", _evaluation(files)),
        )
    )
    yield Paragraph("Limits:")
    yield from (Paragraph(sentence(text), "doubt") for text in _limits(files))


def _training(files: TrainingFiles) -> str:
    if files.summary is None:
        return "not known before the training has ended"
    split, summary = files.summary["split"], files.summary
    return (
        f"{plain(split['train_episodes'])} of {plain(summary['episodes'])} logged {files.unit}, chosen at random; "
        f"sha256 of all {summary['data_sha256'][:12]}"
    )


def _evaluation(files: TrainingFiles) -> str:
    score, summary = files.score, files.summary
    if score is None or summary is None:
        return "not known before the training has ended"
    doubt = "" if score["doubt"] is None else "; not to be relied on"
    found = "undefined" if score["value"] is None else f"{score['metric']} {figure(score)}"
    return f"off-policy, on {summary['estimates']['episodes']} {files.unit} of the log: {found}{doubt}"


def _limits(files: TrainingFiles) -> Iterator[str]:
    """What this job's own files say, and what holds of every policy that was learnt from a log."""
    score = files.score
    if score is not None and score["doubt"] is not None:
        yield f"the final figure is not to be relied on: {score['doubt']}"
    elif score is not None and columns.window_steps(score["metric"] or "") is not None:
        yield "the final figure is of a few steps of the policy, and not of a whole episode"
    if files.summary is not None and files.summary["estimates"]["seen_by_the_choice"]:
        yield "the final figure is of what chose the epoch, and optimistic"
    if score is not None and score["propensities"] == "estimated":
        yield "the probabilities of the logged actions were estimated"
    for doubt in (files.inputs or {}).get("doubts", ()):
        yield doubt["message"]
    yield "what the log does not show, such as causes that were not recorded, no figure here accounts for"
    yield (
        "nothing here looks at groups of people: who is better or worse off under the policy is for those who ship it "
        "to find out"
    )
