"""A tuning job as the command line tells it: a line for each training that ends, the best one, and the choice."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from batchrl.contract.errors import InputError
from batchrl.contract.hyperparameters import PRESET
from launcher.api.constants import SCORE
from launcher.cli.output import Output, shown

if TYPE_CHECKING:
    from launcher.jobs.tuning import TunedJob, TuningJob
    from launcher.reports.candidates import ChoiceTerms

# Seconds between two looks at a tuning job.
LOCAL_LOOK, AWS_LOOK = 0.5, 15.0
LUCK = (
    "The best of many scores is the luckiest, too: it is too high by chance, the more so the more there were. "
    "batchrl compare and ope tell how sure a difference is."
)
# Of a ranking, so many are shown.
MOST_SHOWN = 5


@dataclass(frozen=True)
class Repeated:
    """What a command that trains the best settings once more has beside them: data, presets, other settings."""

    data: str
    presets: Sequence[str]
    fixed: Mapping[str, str]

    def command(self, best: Mapping[str, str]) -> str:
        """The command, with the settings of the best training, which name its preset where there were several."""
        overrides = {**self.fixed, **best}
        sent = PurePosixPath(overrides.pop(PRESET, self.presets[0])).name if self.presets else ""
        preset = next((one for one in self.presets if PurePosixPath(one).name == sent), sent)
        named = f" --preset {shlex.quote(preset)}" if preset else ""
        settings = "".join(f" --set {shlex.quote(f'{key}={value}')}" for key, value in sorted(overrides.items()))
        return f"batchrl train --training {shlex.quote(self.data)}{named}{settings}"


def follow(job: TuningJob, out: Output) -> None:
    """Print a line for each training job that ends, until the tuning job ends; Ctrl-C asks whether to stop it."""
    from launcher.jobs import interrupt

    out.note(f"Tuning job {job.name}")
    seen: set[str] = set()
    out.text(f"{'JOB':<3}  {'STATUS':<9}  {'VALUE':>10}  SETTINGS")
    with interrupt.handled(job.name, job.stop, lambda: job.wait(check=False)):
        while True:
            ended = job.status().ended
            for one in job.training_jobs():
                if one.ended_at is not None and one.name not in seen:
                    seen.add(one.name)
                    out.text(_line(job, one))
            if ended:
                break
            time.sleep(LOCAL_LOOK if job.session.is_local else AWS_LOOK)


def tell(job: TuningJob, out: Output, again: Repeated | None, terms: ChoiceTerms | None, output: Path | None) -> None:
    """Say which training job did best, which candidate is chosen, and what comes next.

    Args:
        job: it has ended.
        out: where to.
        again: for the command that trains once more; None where that is not known.
        terms: of the choice; None where there is to be none.
        output: a file that takes the result as well; needs ``terms``.

    Raises:
        JobFailed, JobStopped: the tuning job has not ended well, and nothing was chosen.
        InputError: the candidates cannot be ranked, or the file cannot be written.
    """
    found = job.training_jobs()
    result = None if terms is None else _chosen(job, found, terms, output, out)
    if result is None:
        job.wait()
    elif why := job.status().failure_reason:
        out.note(f"The tuning job itself has failed, which the choice does not need: {why.splitlines()[0]}")
    best = job.best()
    if not out.for_people:
        record = {
            "name": job.name,
            "status": job.status().status,
            "best": _facts(best),
            "jobs": [*map(_facts, found)],
            "tune": result,
        }
        out.record(record, "name")
        return
    if best is None:
        out.text("\nNo training has a value.")
    else:
        out.text(f"\nBest of {len(found)}: {best.name}, {shown(best.value)}")
    if result is not None:
        _tell_choice(result, out)
    elif best is not None:
        for line in (*_doubts(job, found), LUCK):
            out.text(line)
    if best is not None:
        _next(best, found, out, again, None if result is None else result["promoted"])


def _chosen(
    job: TuningJob, found: Sequence[TunedJob], terms: ChoiceTerms, output: Path | None, out: Output
) -> dict[str, Any] | None:
    """The result of the choice, stored; None where the candidates are no policies that can be ranked."""
    from launcher.reports import candidates

    if (lack := candidates.lack_of_choice(job.describe(), found)) is not None:
        if output is not None:
            raise InputError(f"nothing to write into {output}: {lack}.", "Leave --output out.")
        out.note(f"The candidates are not ranked: {lack}.")
        return None
    result = candidates.choose(job, found, terms)
    if output is not None:
        try:
            output.write_text(candidates.written(result))
        except OSError as error:
            raise InputError(f"{output} cannot be written: {error.strerror}.") from error
    result["stored"] = str(candidates.store_result(job, result))
    return result


def _tell_choice(result: Mapping[str, Any], out: Output) -> None:
    from launcher.reporting.tuned import verdict

    choice = result["choice"]
    if (ranking := choice["ranking"]) is not None:
        settings = {one["name"]: one["settings"] for one in result["candidates"]}
        out.text(f"Ranked by fitted values, on {ranking['episodes']}:")
        for place in ranking["policies"][:MOST_SHOWN]:
            chosen = " ".join(f"{key}={value}" for key, value in sorted(settings[place["source"]].items()))
            out.text(f"{place['rank']:>4}  {place['source']}  {chosen}")
        if (more := len(ranking["policies"]) - MOST_SHOWN) > 0:
            out.text(f"      and {more} more")
        for doubt in ranking["doubts"]:
            out.text(f"Doubt: {doubt}")
    for line in (*verdict(choice), *result["would_decide"]):
        out.text(line)
    out.text(f"Result: {result['stored']}")


def _next(best: TunedJob, found: list[TunedJob], out: Output, again: Repeated | None, promoted: str | None) -> None:
    out.text("Next:")
    if promoted is not None:
        out.text(f"  batchrl deploy {promoted}")
    elif again is not None:
        out.text(f"  {again.command(best.parameters)}")
    out.text(f"  batchrl show {promoted or best.name}")
    if len(found) > 1:
        out.text(f"  batchrl compare {' '.join(one.name for one in _ordered(found, best)[:3])}")


def _line(job: TuningJob, one: TunedJob) -> str:
    number = one.name.removeprefix(f"{job.name}-").partition("-")[0]
    why = f"  ({one.failure_reason.splitlines()[0]})" if one.failure_reason else ""
    return f"{number:<3}  {one.status:<9}  {shown(one.value):>10}  {_settings(one)}{why}"


def _settings(one: TunedJob) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(one.parameters.items()))


def _doubts(job: TuningJob, found: list[TunedJob]) -> list[str]:
    """Why the values cannot be held against each other, where the trainings' own scores are of several kinds."""
    from launcher.cli.chosen import chosen_of
    from launcher.jobs.training import Job

    objective = job.describe()["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    if objective["MetricName"] != SCORE or not job.session.is_local:
        return []
    chosen = [chosen_of(Job(one.name, job.session)) for one in found if one.value is not None]
    kinds = sorted({one["metric"] for one in chosen if one is not None})
    if len(kinds) < 2:
        return []
    return [f"These scores are of several kinds, which cannot be compared: {', '.join(kinds)}. Use --metric."]


def _ordered(found: list[TunedJob], best: TunedJob) -> list[TunedJob]:
    """The best, then those that have a value, in the order of their creation."""
    return [best, *(one for one in found if one.value is not None and one.name != best.name)]


def _facts(one: TunedJob | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {"name": one.name, "status": one.status, "value": one.value, "settings": dict(one.parameters)}
