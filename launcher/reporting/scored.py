"""The document of an estimate: what ``batchrl ope --json`` wrote of policies, told to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchrl.contract.errors import DamagedContent
from batchrl.contract.interval import Interval, in_digits
from launcher.base.units import LEAST_DECIMALS
from launcher.documents.model import (
    Bar,
    Block,
    Column,
    Document,
    Fact,
    Facts,
    Intervals,
    Paragraph,
    Section,
    Table,
    Tone,
)
from launcher.reporting.words import clause, figure, plain, sentence

Json = Mapping[str, Any]
FORMAT = 1
TONES: Mapping[str, Tone] = {"better": "good", "worse": "bad", "unreliable": "doubt", "unresolved": "doubt"}


def scored_document(values: Any, name: str) -> Document:
    """The document.

    Args:
        values: what was written, in JSON's types.
        name: of the file, for its title.

    Raises:
        DamagedContent: it is not what ``batchrl ope --json`` writes, or is of another version.
    """
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise DamagedContent(f"{name} is no estimate of this version of batchrl.", "Make one: batchrl ope DATA --json")
    try:
        return _document(values, name)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DamagedContent(f"{name} is not what batchrl ope writes: {error!r}.") from error


def _document(values: Json, name: str) -> Document:
    policies, scored, logged = values["policies"], values["scored"], values["logged"]
    sections = [Section("estimate", "The policies", tuple(_earned(values)))]
    for number, policy in enumerate(policies, 1):
        sections.append(Section(f"policy-{number}", str(policy["policy"]), tuple(_policy(policy, values["baseline"]))))
    if values["remarks"]:
        told = tuple(Paragraph(str(one)) for one in values["remarks"])
        sections.append(Section("remarks", "What must be known", told))
    sections.append(Section("lineage", "Where it comes from", (Facts(tuple(_origin(values))),)))
    return Document(
        title=f"Estimate: {name}",
        subtitle=f"{len(policies)} {'policy' if len(policies) == 1 else 'policies'}, scored on {scored['which']}.",
        verdict=_verdict(policies[0]) if policies else Paragraph("No policy was scored.", "doubt"),
        figures=(
            Fact("Scored episodes", plain(scored["episodes"]), f"{plain(scored['transitions'])} transitions"),
            Fact("Logged return", plain(logged["mean_return"]), "mean, not discounted"),
            Fact("Discounted", figure(logged["discounted_return"]), str(logged["estimand"]["policy"])),
        ),
        sections=tuple(sections),
    )


def _verdict(policy: Json) -> Paragraph:
    verdict = policy["verdict"]
    if verdict is None:
        return Paragraph(f"Nothing was compared with {policy['policy']}.")
    words = f"{str(policy['policy'])[:1].upper()}{str(policy['policy'])[1:]}: {clause(str(verdict['words']))}"
    return Paragraph(words, TONES.get(verdict["outcome"], "plain"))


def _earned(values: Json) -> Iterator[Block]:
    logged = values["logged"]["discounted_return"]
    bars = [_bar(policy) for policy in values["policies"]]
    bars.append(Bar("The logging policy", figure(logged), logged["value"], logged["lower"], logged["upper"]))
    yield Intervals(
        "What each policy earns, by the estimate that speaks for it",
        f"Discounted return, by {values['settings']['discount']:g} a step, with its "
        f"{values['settings']['confidence']:.0%} interval",
        tuple(bars),
        logged["value"],
        "the logging policy",
    )


def _bar(policy: Json) -> Bar:
    label = str(policy["policy"])
    name = (policy["verdict"] or {}).get("estimate")
    if name is None:
        return Bar(label, "undefined", None, None, None, False, sentence(policy["doubt"] or "no estimate is defined"))
    found = policy["estimates"][name]
    lower, upper = found["interval"]
    note = name if found["doubt"] is None else f"{name}. Not to be relied on: {clause(found['doubt'])}"
    return Bar(label, _shown(found), found["value"], lower, upper, found["doubt"] is None, note)


def _policy(policy: Json, baseline: str) -> Iterator[Block]:
    yield _verdict(policy)
    facts = [Fact("Given as", str(policy["source"]))] if policy["source"] else []
    facts += [Fact(key.replace("_", " ").capitalize(), _text(value)) for key, value in policy["facts"].items()]
    weights = policy["weights"]["effective_episodes"]
    facts.append(Fact("Effective episodes", plain(weights), f"of {plain(policy['episodes'])}"))
    if (window := policy["window"]) is not None:
        steps = window["steps"]
        note = f"what {steps} step{'s' if steps > 1 else ''} are worth; {plain(window['effective_windows'])} windows"
        facts.append(Fact("Window score", figure(window["difference"], "+"), f"{note} are effective"))
    yield Facts(tuple(facts))
    rows = []
    for name, found in policy["estimates"].items():
        difference = "-" if found["difference"] is None else figure(found["difference"], "+")
        doubts = [sentence(one) for one in (found["doubt"], found["difference_doubt"]) if one is not None]
        horizon = str(found["estimand"]["horizon"])
        rows.append((name, _shown(found), difference, plain(found["lower_bound"]), horizon, " ".join(doubts)))
    headings = (
        Column("Estimator"),
        Column("Value [interval]", right=True),
        Column("Difference [interval]", right=True),
        Column("At least", right=True),
        Column("Horizon"),
        Column("Not to be relied on, because"),
    )
    yield Table("Every estimator", headings, tuple(rows), f"Differences are to {baseline}.")


def _origin(values: Json) -> Iterator[Fact]:
    data = values["data"]
    yield Fact("Data", str(data["source"]), f"{plain(data['episodes'])} episodes, {plain(data['transitions'])} rows")
    yield Fact("sha256 of the data", str(data["sha256"]))
    for key, value in values["settings"].items():
        if value is not None:
            yield Fact(key.replace("_", " ").capitalize(), _text(value))


def _shown(found: Json) -> str:
    return in_digits(found["value"], Interval(*found["interval"]), LEAST_DECIMALS)


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return plain(value) if isinstance(value, int | float) else str(value)
