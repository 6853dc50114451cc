"""The policies that a tuning job's trainings left, ranked on one log, and the best of them judged: one, or none."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract.direct import put_object
from batchrl.contract.errors import EXIT_INTERRUPTED, InputError
from batchrl.contract.hyperparameters import PROGRAM, decode_value
from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import sha256_of
from batchrl.contract.paths import TRAINING_CHANNEL
from launcher.base import extras
from launcher.base.product import TRAIN_SCRIPT
from launcher.jobs.training import Job
from launcher.library.scripts import run_script, script_path
from launcher.reports.deciding import ALPHA, would_decide
from launcher.reports.policies import fetch_model, fetch_policy
from launcher.staging.fetch import Fetched, fetch_prefix

if TYPE_CHECKING:
    from launcher.jobs.tuning import TunedJob, TuningJob

SCRIPT = "choose.py"
RESULT_NAME = "tune.json"
COMPLETED = "Completed"
FORMAT = 1


@dataclass(frozen=True)
class ChoiceTerms:
    """By which candidates are chosen.

    Args:
        alpha: probability at which a pick may be promoted that is no better than the logging policy.
        reward_range: ``LOW:HIGH``, what a step can pay; None where that is not known beforehand.
    """

    alpha: float = ALPHA
    reward_range: str | None = None


def lack_of_choice(described: Mapping[str, Any], found: Sequence[TunedJob]) -> str | None:
    """Why the candidates of a tuning job cannot be ranked here; None where they can.

    Args:
        described: the API's description of the tuning job.
        found: its training jobs.
    """
    static = described["TrainingJobDefinition"].get("StaticHyperParameters") or {}
    if decode_value(static.get(PROGRAM, "null")) != TRAIN_SCRIPT:
        return f"only what {TRAIN_SCRIPT} trains is known to be a policy"
    if not any(one.status == COMPLETED for one in found):
        return "no training has completed"
    if not _channel(described):
        return f"the tuning job has no channel {TRAINING_CHANNEL}"
    try:
        extras.require("ranking policies", extras.JOB)
    except InputError as error:
        return error.message.rstrip(".")
    return None


def choose(job: TuningJob, found: Sequence[TunedJob], terms: ChoiceTerms) -> dict[str, Any]:
    """Rank the final policies of all completed trainings, and judge the best; nothing is stored.

    Args:
        job: the tuning job; it may still run.
        found: its training jobs.
        terms: of the choice.

    Returns:
        What the result file holds, in JSON's types; ``candidates`` are all trainings, in the order of their creation,
        with the seconds that each took.

    Raises:
        InputError: a training left no policy, the data is gone, or the script refused, which has said why.
        DamagedContent: a policy cannot be read whole.
        Unreachable: the cloud does not answer.
        KeyboardInterrupt: it was interrupted.
    """
    described = job.describe()
    began = time.monotonic()
    script = script_path(SCRIPT)
    with tempfile.TemporaryDirectory(prefix="batchrl-") as scratch:
        folder = Path(scratch)
        data = fetch_prefix(_channel(described), folder / "data", job.session)
        options = [str(data.path), "--data-name", data.name, f"--alpha={terms.alpha!r}"]
        if terms.reward_range is not None:
            options.append(f"--reward-range={terms.reward_range}")
        for number, one in enumerate(one for one in found if one.status == COMPLETED):
            options += ["--model", f"{one.name}={_policy(one, job, folder / f'policy-{number}').path}"]
        fetched = time.monotonic()
        output = folder / "choice.json"
        code = run_script(script, [*options, "--output", str(output)], subprocess.DEVNULL)
        if code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        if code != 0:
            raise InputError(
                f"the candidates of {job.name} were not ranked.", f"Again: batchrl tune --attach {job.name}"
            )
        choice: dict[str, Any] = json.loads(output.read_text())
    ranks = {place["source"]: place["rank"] for place in (choice["ranking"] or {"policies": []})["policies"]}
    objective = described["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    return {
        "format": FORMAT,
        "tuning_job": job.name,
        "status": described["HyperParameterTuningJobStatus"],
        "data": data.name,
        "objective": {"metric": objective["MetricName"], "type": objective["Type"]},
        "candidates": [_candidate(one, ranks) for one in found],
        "choice": choice,
        "promoted": choice["promoted"],
        "reason": choice["reason"],
        "would_decide": would_decide(choice),
        "seconds": {"fetching": fetched - began, "choosing": time.monotonic() - fetched},
    }


def result_url(described: Mapping[str, Any]) -> S3Url:
    """Where the result of a tuning job lies in its store: beside its trainings' results."""
    place = S3Url.parse_place(described["TrainingJobDefinition"]["OutputDataConfig"]["S3OutputPath"])
    url: S3Url = place / described["HyperParameterTuningJobName"] / RESULT_NAME
    return url


def store_result(job: TuningJob, result: Mapping[str, Any]) -> S3Url:
    """Put a result where ``result_url`` says, in place of an earlier one.

    Raises:
        Unreachable: the store does not answer.
    """
    url, content = result_url(job.describe()), written(result).encode()
    with job.session.reported(f"storing {url}", job.session.s3):
        put_object(job.session.s3, url, content, sha256_of(content))
    return url


def written(result: Mapping[str, Any]) -> str:
    """A result as a file holds it."""
    return json.dumps(result, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _policy(one: TunedJob, job: TuningJob, folder: Path) -> Fetched:
    """Trainings of a tuning job on AWS keep no checkpoints."""
    fetch = fetch_policy if job.session.is_local else fetch_model
    return fetch(Job(one.name, job.session), folder)


def _channel(described: Mapping[str, Any]) -> str:
    """The data that all trainings had; empty where there is none."""
    for channel in described["TrainingJobDefinition"].get("InputDataConfig") or ():
        if channel["ChannelName"] == TRAINING_CHANNEL:
            return str((channel["DataSource"].get("S3DataSource") or {}).get("S3Uri", ""))
    return ""


def _candidate(one: TunedJob, ranks: Mapping[str, int]) -> dict[str, Any]:
    ended = one.ended_at
    return {
        "name": one.name,
        "status": one.status,
        "settings": dict(one.parameters),
        "value": one.value,
        "rank": ranks.get(one.name),
        "seconds": None if ended is None else (ended - one.created_at).total_seconds(),
        "failure": one.failure_reason,
    }
