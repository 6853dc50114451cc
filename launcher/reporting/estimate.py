"""The section about the estimate: the chosen policy against the logging policy, with interval, bound and doubt."""

from __future__ import annotations

from collections.abc import Iterator

from batchrl.contract import columns
from batchrl.contract.interval import Interval, in_digits
from launcher.base.units import LEAST_DECIMALS
from launcher.documents.model import Bar, Block, Column, Fact, Facts, Intervals, Paragraph, Section, Table
from launcher.reporting.files import Json, TrainingFiles
from launcher.reporting.words import bound, clause, figure, plain, sentence

# Digits behind which a bound says nothing more.
NOT_YET = "The final figure is not known: it is made when the training ends, on episodes kept for it."


def estimate_section(files: TrainingFiles) -> Section:
    """The figure at the end, what each policy earns, and every estimator's word on the chosen one."""
    return Section("estimate", "The estimate", tuple(_estimate(files)))


def is_gain_in_return(files: TrainingFiles) -> bool:
    """Whether the final figure is the gain of a whole episode, and nothing speaks against it."""
    score = files.score
    return score is not None and score["metric"] == columns.PAIRED and score["doubt"] is None


def _estimate(files: TrainingFiles) -> Iterator[Block]:
    if files.summary is None or (score := files.score) is None:
        yield Paragraph(NOT_YET, "plain" if not files.status.ended else "doubt")
        return
    estimates = files.summary["estimates"]
    yield from _headline(files, estimates, score)
    policies = estimates["policies"]
    if all("speaking" in policy for policy in policies):
        yield _earned(files, estimates)
    else:
        yield Paragraph(
            "Which estimate speaks for a policy is not stored: the job was run by an earlier version of batchrl."
        )
    yield _every_estimator(policies[0])
    yield from _weights(files, policies[0])
    yield from _simulated(files)


def _headline(files: TrainingFiles, estimates: Json, score: Json) -> Iterator[Block]:
    unit = files.unit
    if score["value"] is None:
        yield Paragraph(f"Nothing could be scored: {clause(score['doubt'] or 'no score is defined')}", "doubt")
        return
    seen = f"{estimates['episodes']} {unit} that neither training nor the choice saw"
    if estimates["seen_by_the_choice"]:
        seen = f"the {estimates['episodes']} {unit} that chose the epoch, which flatters it"
    yield Facts(
        (
            Fact(score["metric"], figure(score), f"{score['confidence']:.0%} interval"),
            Fact("What it is", sentence(score["meaning"])),
            Fact("Lower bound", bound(score, score["lower"]), f"the lower end of the interval: {score['evidence']}"),
            Fact("From", seen),
            Fact("Logging policy", figure(estimates["logged_return"]), f"mean {files.outcome} of the same {unit}"),
        )
    )
    if score["propensities"] == "estimated":
        yield Paragraph("It rests on estimated propensities: the log has none, or they were not to be used.", "doubt")
    if score["doubt"] is not None:
        yield Paragraph(f"Not to be relied on: {clause(score['doubt'])}", "doubt")
    if (steps := columns.window_steps(score["metric"] or "")) is not None:
        yield Paragraph(
            f"This is not what the policy earns over an episode: it credits {steps} step{'s' if steps > 1 else ''} of "
            "it, from all logged states. Its sign says whether the policy decides better where it departs from the "
            "log; how much a whole episode gains, it does not say.",
            "doubt",
        )


def _earned(files: TrainingFiles, estimates: Json) -> Intervals:
    logged = estimates["logged_return"]
    bars = [_speaking(policy, first=at == 0) for at, policy in enumerate(estimates["policies"])]
    bars.append(Bar("The logging policy", figure(logged), logged["value"], logged["lower"], logged["upper"]))
    what = "Reward of a decision" if files.of_decisions else "Discounted return of an episode"
    return Intervals(
        "What each policy earns, by the estimate that speaks for it",
        what,
        tuple(bars),
        logged["value"],
        "the logging policy",
    )


def _speaking(policy: Json, first: bool) -> Bar:
    label = f"{policy['policy']}, the chosen policy" if first else policy["policy"]
    if (name := policy["speaking"]) is None:
        return Bar(label, "undefined", None, None, None, False, sentence(policy["doubt"] or "no estimate is defined"))
    found = policy["estimates"][name]
    lower, upper = found["interval"]
    note = name if found["doubt"] is None else f"{name}. Not to be relied on: {clause(found['doubt'])}"
    return Bar(label, _shown(found), found["value"], lower, upper, found["doubt"] is None, note)


def _every_estimator(policy: Json) -> Table:
    rows = []
    for name, found in policy["estimates"].items():
        reliable = "" if found["doubt"] is None else sentence(found["doubt"])
        rows.append((name, _shown(found), plain(found["lower_bound"]), found["estimand"]["horizon"], reliable))
    return Table(
        f"Every estimator on the chosen policy ({policy['policy']})",
        (
            Column("Estimator"),
            Column("Value [interval]", right=True),
            Column("Lower bound", right=True),
            Column("Horizon"),
            Column("Not to be relied on, because"),
        ),
        tuple(rows),
        "A lower bound holds with the confidence of the interval, where an estimator has one. What is doubted is shown "
        "so that it can be questioned, not so that it can be believed.",
    )


def _shown(found: Json) -> str:
    return in_digits(found["value"], Interval(*found["interval"]), LEAST_DECIMALS)


def _weights(files: TrainingFiles, policy: Json) -> Iterator[Block]:
    effective = policy["weights"]["effective_episodes"]
    if effective is not None:
        yield Paragraph(
            f"Of {policy['episodes']} {files.unit}, {effective:.1f} are effective for the chosen policy: so many of "
            "its own would tell as much of it as the logged ones do, weighed by how likely it would have acted alike."
        )


def _simulated(files: TrainingFiles) -> Iterator[Block]:
    if files.simulated is None:
        return
    found = files.simulated.found
    epoch = found.policy.get("epoch")
    chosen = None if files.best is None else files.best["epoch"]
    other = f", of epoch {epoch} and not of the chosen one" if epoch is not None and epoch != chosen else ""
    where = f"In the simulator {found.env}" if found.env else "In a simulator"
    yield Facts(
        (
            Fact(
                where,
                found.mean,
                f"mean return, not discounted, of {found.episodes} episodes{other}; job {files.simulated.job}",
            ),
            *(
                ()
                if found.discounted_return is None
                else (
                    Fact(
                        "The same, discounted",
                        found.discounted_mean,
                        f"by {found.discount:g} a step: to be held against the discounted return of the log",
                    ),
                )
            ),
        )
    )
    yield Paragraph("A simulator is as good as it resembles what it stands for. It had no part in the choice.")
