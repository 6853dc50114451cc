"""Why a job ended as it did. The first rule that holds is the cause: rules whose facts prove more come first.

==========================================================  ==========================================================
facts                                                       diagnosis
==========================================================  ==========================================================
status Completed                                            ``completed``
MaxRuntimeExceeded, or cut at its limit                     ``max_runtime``
Stopped otherwise                                           ``stopped``, by whom
an API server found the shim gone                           ``shim_died``
the engine has no such image                                ``image_missing``
no engine                                                   ``no_engine``
the program could not be started, exit code 126 or 127      ``not_startable``
requirements.txt could not be installed                     ``requirements_failed``
"no S3 objects found" and the like                          ``input_missing``
"disk is full", ENOSPC in reason or log                     ``disk_full``
the engine or the kernel says so; MemoryError; exit 137     ``out_of_memory``
with most of the memory taken
exit code 128 + n with no signal n from the platform        ``killed``
results or checkpoints not stored, store failing            ``store_unreachable``
the code archive lacks the entry point                      ``entry_point_missing``
a model server that never answered                          ``server_unwell``
records that could not be transformed                       ``records_refused``
no capacity at AWS; spot interrupted too often              ``no_capacity``, ``interrupted``
AlgorithmError with an exit code                            ``script_failed``
ClientError                                                 ``refused``
InternalServerError                                         ``internal``
==========================================================  ==========================================================
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from launcher.base.units import duration
from launcher.diagnosis.diagnosis import (
    Diagnosis,
    Rule,
    clock,
    kept_files,
    last_lines,
    logs_command,
    save_first,
    signals_sent,
    start_again,
)
from launcher.diagnosis.facts import Facts
from launcher.diagnosis.machine import (
    disk_full,
    image_missing,
    interrupted,
    killed,
    no_capacity,
    no_engine,
    out_of_memory,
    shim_died,
    store_unreachable,
)
from launcher.local.records import states


def cause(facts: Facts) -> Diagnosis:
    """Why a job that has ended did so."""
    for rule in RULES:
        if (found := rule(facts)) is not None:
            return found
    reason = facts.reason or "no reason was given"
    return Diagnosis("unknown", f"It is {facts.status}: {reason}", last_lines(facts), f"Look at {logs_command(facts)}.")


def completed(facts: Facts) -> Diagnosis | None:
    """It did what it should."""
    if facts.status != states.COMPLETED:
        return None
    return Diagnosis("completed", f"It is Completed, after {duration(facts.total)}.")


def max_runtime(facts: Facts) -> Diagnosis | None:
    """Its time was over."""
    cut = facts.cut if facts.cut and facts.cut[1] == "limit" else None
    if facts.secondary not in (states.MAX_RUNTIME_EXCEEDED, states.MAX_WAIT_TIME_EXCEEDED) and not cut:
        return None
    evidence = [f"{clock(cut[0])}: MaxRuntimeInSeconds ({cut[2]:.0f} s) was over"] if cut else []
    evidence += signals_sent(facts)
    if facts.last_output_at is not None and cut:
        evidence.append(f"its last output came {duration(max(0.0, cut[0] - facts.last_output_at))} before that")
    return Diagnosis(
        "max_runtime",
        "It reached its time limit (MaxRuntimeInSeconds) and was ended; what it had saved was stored.",
        tuple(evidence),
        f"{start_again(facts)} with more time (--max-run SECONDS), or make it faster.",
    )


def stopped(facts: Facts) -> Diagnosis | None:
    """Somebody stopped it."""
    if facts.status != states.STOPPED:
        return None
    evidence: list[str] = []
    said = "It was stopped on request."
    if facts.stopped_by is not None:
        at, by = facts.stopped_by
        said = f"It was stopped on request of {_agent(by)}."
        evidence.append(f"{clock(at)}: a stop was asked for" + (f" (client: {by})" if by else ""))
    return Diagnosis("stopped", said, (*evidence, *signals_sent(facts)), f"{start_again(facts)}.")


def not_startable(facts: Facts) -> Diagnosis | None:
    """The program is not there, or is none."""
    reason = facts.reason or ""
    if "cannot be started" not in reason and facts.exit_code not in (126, 127):
        return None
    if re.search("exec format", reason, re.IGNORECASE):
        why = "it is no program for this machine (another architecture, or a script without its #! line)"
    elif re.search("permission denied", reason, re.IGNORECASE) or facts.exit_code == 126:
        why = "it may not be executed (chmod +x)"
    else:
        why = "it was not found"
    return Diagnosis(
        "not_startable",
        f"Its program could not be started: {why}.",
        (reason, *last_lines(facts)),
        "Correct the entry point of request or image.",
    )


def requirements_failed(facts: Facts) -> Diagnosis | None:
    """pip failed."""
    if "requirements.txt could not be installed" not in (facts.reason or ""):
        return None
    return Diagnosis(
        "requirements_failed",
        "Its requirements.txt could not be installed.",
        (facts.reason or "", *last_lines(facts)),
        "Correct the line that pip names, or put the packages into the image. A job without a network can fetch none.",
    )


def input_missing(facts: Facts) -> Diagnosis | None:
    """There is nothing at the place of an input."""
    reason = facts.reason or ""
    if not re.search(r"no S3 objects found|No S3 objects|does not exist in|NoSuchBucket|no such bucket", reason, re.I):
        return None
    return Diagnosis(
        "input_missing",
        "An input that it names is not there.",
        (reason,),
        "Correct the URL, or upload the data before the job is started; `batchrl plan` shows what would be sent.",
    )


def entry_point_missing(facts: Facts) -> Diagnosis | None:
    """The script is not in the code."""
    reason = facts.reason or ""
    if not re.search(r"entry point|sagemaker_program|can't open file", reason) and "is not in the code" not in reason:
        return None
    if "Traceback" in reason:
        return None
    return Diagnosis(
        "entry_point_missing",
        "The script that it was to run is not in its code.",
        (reason,),
        "`batchrl package` lists what travels with a job; correct --entry-point or --source-dir.",
    )


def server_unwell(facts: Facts) -> Diagnosis | None:
    """The model server never answered, or died again and again."""
    reason = facts.reason or ""
    if not re.search(r"the model server|the server of variant|ping", reason):
        return None
    return Diagnosis(
        "server_unwell",
        "Its model server did not come up, or ended and could not be started again.",
        (reason, *_starts(facts), *last_lines(facts)),
        f"Its log says why: {logs_command(facts)}. Try the model with `batchrl model show` first.",
    )


def records_refused(facts: Facts) -> Diagnosis | None:
    """Objects of a transform job failed."""
    if "objects could not be transformed" not in (facts.reason or ""):
        return None
    return Diagnosis(
        "records_refused",
        "Some of its objects could not be transformed; the results of the others are stored.",
        (facts.reason or "", *last_lines(facts)),
        "Correct the records that are named; `batchrl transform --help` says how a bad record costs only itself.",
    )


def script_failed(facts: Facts) -> Diagnosis | None:
    """The script itself failed."""
    reason = facts.reason or ""
    if not reason.startswith("AlgorithmError"):
        return None
    first = reason.removeprefix("AlgorithmError:").strip().splitlines()[0] if ":" in reason else reason
    first = re.sub(r", exit code: \d+$", "", first) or "it wrote nothing"
    evidence = [f"{clock(facts.ending.at)}: exit code {facts.ending.exit_code}"] if facts.ending else []
    code = f" (exit code {facts.exit_code})" if facts.exit_code is not None else ""
    return Diagnosis(
        "script_failed",
        f"The script failed{code}: {first}",
        (*evidence, *last_lines(facts)),
        f"Correct the script; `batchrl train --debug` runs it on your terminal. The whole log: {logs_command(facts)}",
    )


def refused(facts: Facts) -> Diagnosis | None:
    """What was asked for cannot be done."""
    if not (facts.reason or "").startswith("ClientError"):
        return None
    text = (facts.reason or "").removeprefix("ClientError:").strip()
    return Diagnosis(
        "refused",
        f"What was asked for could not be done: {text}",
        kept_files(facts),
        f"Correct what is named there. {save_first(facts)}".strip(),
    )


def internal(facts: Facts) -> Diagnosis | None:
    """A fault of the platform's."""
    if not (facts.reason or "").startswith("InternalServerError"):
        return None
    text = (facts.reason or "").removeprefix("InternalServerError:").strip()
    where = f" Its log: {facts.shim_log}" if facts.shim_log else ""
    remedy = f"{save_first(facts)}{start_again(facts)}; if it happens again, report it.{where}"
    return Diagnosis("internal", f"The platform failed, not the script: {text}", kept_files(facts), remedy)


RULES: Sequence[Rule] = (
    completed,
    max_runtime,
    stopped,
    shim_died,
    image_missing,
    no_engine,
    not_startable,
    requirements_failed,
    input_missing,
    disk_full,
    out_of_memory,
    killed,
    store_unreachable,
    entry_point_missing,
    server_unwell,
    records_refused,
    no_capacity,
    interrupted,
    script_failed,
    refused,
    internal,
)


def _agent(by: str) -> str:
    """Who a User-Agent is, in a word."""
    for mark, name in (("aws-cli", "the AWS CLI"), ("batchrl", "batchrl"), ("sagemaker", "the sagemaker SDK")):
        if mark in by.lower():
            return name
    return "a client of the API" if by else "somebody who is not named"


def _starts(facts: Facts) -> tuple[str, ...]:
    return (f"it was started {len(facts.started)} times",) if len(facts.started) > 1 else ()
