"""The sections about the log: what was logged and by whom, what is wrong with it, and what was never tried."""

from __future__ import annotations

from collections.abc import Iterator

from batchrl.contract import columns
from launcher.documents.model import Block, Column, Fact, Facts, Paragraph, Section, Share, Shares, Table
from launcher.reporting.files import Json, TrainingFiles, number
from launcher.reporting.words import clause, moment, percent, plain, sentence, with_error

NOT_STORED = (
    "This job was run by a version of batchrl that did not store what its log holds. "
    "'batchrl data describe' and 'batchrl data check' tell it of the log itself."
)
NOT_YET = "The job has not read its log yet."
NEVER = "The job ended before it had read its log and found it fit to be learnt from."
MOST_ACTIONS = 24
# Below this probability an action is as good as never tried: one such row weighs as much as 100 and more of others.
RARE = 0.01


def logged_section(files: TrainingFiles) -> Section:
    """Episodes, rows, actions, returns, time span, and who logged them."""
    return Section("log", "What was logged, and by whom", tuple(_logged(files)))


def doubts_section(files: TrainingFiles) -> Section:
    """What the checks of the log found: each doubt in its own words."""
    return Section("doubts", "What is wrong with the log", tuple(_doubts(files)))


def untried_section(files: TrainingFiles) -> Section:
    """Actions that the logging policy never took, or next to never, as a whole and in parts of the log."""
    return Section("untried", "What was not tried", tuple(_untried(files)))


def _missing(files: TrainingFiles) -> str:
    """Settings and log are published together: of a job of an earlier version the settings alone are there."""
    if files.preset is not None:
        return NOT_STORED
    return NEVER if files.status.ended else NOT_YET


def _logged(files: TrainingFiles) -> Iterator[Block]:
    data = files.data
    if data is None:
        yield Paragraph(_missing(files), "doubt")
        if (summary := files.summary) is not None:
            yield Facts(
                (
                    Fact("Episodes", plain(summary["episodes"])),
                    Fact("Rows", plain(summary["transitions"]), "one a decision"),
                    Fact("Mean return", plain(summary["mean_return"]), "not discounted"),
                    Fact("Actions", ", ".join(summary["actions"])),
                )
            )
        return
    yield Facts(tuple(_data_facts(files, data)))
    support = data["support"]
    shares = [Share(row["action"], row["share"], _share(row)) for row in support[:MOST_ACTIONS]]
    left = len(support) - len(shares)
    yield Shares(
        f"How often each of {len(support)} actions was taken",
        tuple(shares),
        f"{left} more actions are left out here." if left > 0 else "",
    )
    yield from _loggers(files, data)
    yield from _propensities(files, data)


def _data_facts(files: TrainingFiles, data: Json) -> Iterator[Fact]:
    ends, returns, recorded = data["ends"], data["returns"], data["recorded"]
    cut = f"{plain(ends['truncated'] + ends['unknown'])} of them were cut short"
    yield Fact(files.unit.capitalize(), plain(data["episodes"]), "" if files.of_decisions else cut)
    if not files.of_decisions:
        lengths = data["lengths"]
        span = f"{plain(lengths['min'])} to {plain(lengths['max'])} an episode, {plain(lengths['mean'])} on average"
        yield Fact("Rows", plain(data["transitions"]), f"one a decision; {span}")
    yield Fact(
        "Time span",
        "not known" if recorded is None else f"{moment(recorded['first'])} to {moment(recorded['last'])}",
        "no column of the log was described as its time" if recorded is None else "",
    )
    what = "Reward" if files.of_decisions else "Return"
    spread = f"from {plain(returns['min'])} to {plain(returns['max'])}, median {plain(returns['median'])}"
    yield Fact(
        f"{what} of {'a decision' if files.of_decisions else 'an episode'}",
        with_error(returns["mean"], returns["standard_error"]),
        f"mean, not discounted; {spread}",
    )
    if not files.of_decisions and (discounted := data["discounted_returns"]) is not None:
        yield Fact(
            "Discounted return",
            with_error(discounted["mean"], discounted["standard_error"]),
            f"mean, by {data['discount']:g} a step: what the estimates below are about",
        )
    yield Fact("State", f"{len(data['features'])} features", ", ".join(one["name"] for one in data["features"][:12]))


def _share(row: Json) -> str:
    could = "" if row["eligible"] is None else f" (could be taken in {percent(row['eligible'])})"
    return percent(row["share"]) + could


def _loggers(files: TrainingFiles, data: Json) -> Iterator[Block]:
    if not data["loggers"]:
        yield Paragraph("The log names no logging policy: all of it is taken to be of one.")
        return
    heads = (
        Column("Logging policy"),
        *(Column(title, right=True) for title in (files.unit.capitalize(), "Rows", "Mean return", "Mean propensity")),
    )
    rows = tuple(
        (
            one["logger"],
            plain(one["episodes"]),
            plain(one["transitions"]),
            with_error(one["mean_return"], one["standard_error"]),
            f"{one['mean_propensity']:.3g}",
        )
        for one in data["loggers"]
    )
    yield Table(
        "By whom", heads, rows, "The propensity is the probability with which a policy took the action that it took."
    )


def _propensities(files: TrainingFiles, data: Json) -> Iterator[Block]:
    estimated = data["estimated_behavior"]
    if estimated is None:
        yield Paragraph("The probabilities with which the actions were taken stand in the log.")
        return
    yield Paragraph(
        "The log has no probabilities of the actions, or they were not to be used: they were estimated from it, and "
        f"all estimates rest on that. Log loss {estimated['log_loss']:.4g} nats, beside "
        f"{estimated['log_loss_of_shares']:.4g} of the actions' shares alone. What moved the decisions and is not in "
        "the log makes them wrong, and nothing in the log can show it.",
        "doubt",
    )


def _doubts(files: TrainingFiles) -> Iterator[Block]:
    inputs, data = files.inputs, files.data
    if inputs is None or data is None:
        yield Paragraph(_missing(files), "doubt")
        return
    found = list(_found(files.unit, inputs, data))
    yield from (Paragraph(sentence(text), "doubt") for text in found)
    if not found:
        yield Paragraph("The checks of 'batchrl data check' found nothing wrong, and nothing odd.", "good")
    if inputs["accepted"]:
        yield Paragraph(f"Said to be meant, and so not told as doubts: {', '.join(inputs['accepted'])}.")
    if data["notes"]:
        yield Table("What was assumed or mended", (Column("Note"),), tuple((sentence(note),) for note in data["notes"]))
    yield Paragraph(
        "Checks see what stands in the files. Whether something that is not in them moved both the decisions and their "
        "outcome, and whether the world is still as it was, only those who know the system can say."
    )


def _found(unit: str, inputs: Json, data: Json) -> Iterator[str]:
    yield from (f"{doubt['message']} {doubt['advice']}" for doubt in inputs["doubts"])
    if unknown := data["ends"]["unknown"]:
        yield f"{unknown:,} episodes were cut short without a next state: their ends count as terminal"
    if left_out := data["left_out_episodes"]:
        yield f"{left_out:,} {unit} were left out, as the settings ask"


def _untried(files: TrainingFiles) -> Iterator[Block]:
    inputs, data = files.inputs, files.data
    if inputs is None or data is None:
        yield Paragraph(_missing(files), "doubt")
    else:
        yield from _rare_actions(data, "estimated probability" if data["estimated_behavior"] else "probability")
        yield from _thin_places(inputs)
    yield from _beyond(files)


def _rare_actions(data: Json, chance: str) -> Iterator[Block]:
    never = [row["action"] for row in data["support"] if row["share"] == 0]
    rare = [
        f"{row['action']} ({percent(row['share'])} of the rows, least {chance} {row['smallest_taken']:.2g})"
        for row in data["support"]
        if row["share"] > 0 and (row["smallest_taken"] or 1.0) < RARE
    ]
    if never:
        yield Paragraph(
            f"Never taken: {', '.join(never)}. What they would bring is in no row; no estimate can tell.", "doubt"
        )
    if rare:
        yield Paragraph(
            f"Taken in places where the {chance} was below {percent(RARE)}: {', '.join(rare)}. "
            "Few rows stand for many.",
            "doubt",
        )
    if not never and not rare:
        least = min(row["smallest_taken"] for row in data["support"])
        yield Paragraph(
            f"Every one of the {len(data['support'])} actions was tried; wherever one was taken, its {chance} was "
            f"{least:.2g} or more.",
            "good",
        )


def _thin_places(inputs: Json) -> Iterator[Block]:
    if not (thin := inputs["thin"]):
        yield Paragraph(
            "No part of the log, by the values of one column at a time, lacks an action that the rest of it has."
        )
        return
    more = inputs["thin_left_out"]
    yield Table(
        "Parts of the log that lack an action",
        (
            *(Column("Column"), Column("Values"), Column("Action"), Column("Taken")),
            *(Column("Times", right=True), Column("Rows", right=True)),
        ),
        tuple(
            (one["column"], one["values"], one["action"], one["thin"], plain(one["taken"]), plain(one["eligible"]))
            for one in thin
        ),
        "There, values of these actions rest on extrapolation from the rest of the log."
        + (f" {more} more are left out here." if more else ""),
    )


def _beyond(files: TrainingFiles) -> Iterator[Block]:
    """How far policies go where the log did not: the mask of the training, and what the estimates say of support."""
    if files.epochs and (masked := number(files.epochs[-1], columns.MASKED_FRACTION)):
        yield Paragraph(
            f"The training kept the policy from {percent(masked)} of the pairs of state and action that it learnt "
            "from, as too rare in the log."
        )
    if files.summary is None:
        return
    policy = files.summary["estimates"]["policies"][0]
    if policy["doubt"] is not None:
        yield Paragraph(f"Of the chosen policy the estimates say: {clause(policy['doubt'])}", "doubt")
