"""What took the time of a job, and what else its owner should know; every rule that holds is told.

==================================================================  ======================
facts                                                               note
==================================================================  ======================
downloads took ``LARGE_SHARE`` of the time                          ``inputs_dominate``
so did the installation of requirements                             ``requirements_dominate``
so did what came before the program's start                         ``start_dominates``
so did storing results after the program's end                      ``uploads_dominate``
not all of the results could be stored                              ``not_saved``
checkpoints were still missing long after the program's end         ``checkpoints_lag``
the store did not answer for a while                                ``store_outages``
memory, disk ran low                                                ``memory_low``, ``disk_low``
a metric definition was dropped                                     ``metrics_dropped``
a model server was started again                                    ``server_restarted``
the API server was replaced while it ran                            ``server_replaced``
events are missing                                                  ``events_missing``
==================================================================  ======================
"""

from __future__ import annotations

from collections.abc import Sequence

from launcher.api.constants import TRAINING
from launcher.base.units import duration, size
from launcher.diagnosis.diagnosis import Diagnosis, Rule, clock, kept_files, save_first, share
from launcher.diagnosis.facts import Facts
from launcher.local.records import states

LARGE_SHARE = 0.25
# What takes less than this needs no explanation (seconds).
SHORT_SECONDS = 5.0
LAG_SECONDS = 10.0


def notes(facts: Facts) -> tuple[Diagnosis, ...]:
    """All that holds, in the order of the table."""
    return tuple(found for rule in RULES if (found := rule(facts)) is not None)


def inputs_dominate(facts: Facts) -> Diagnosis | None:
    """Most of the time went into inputs."""
    told = sum(one.seconds for one in facts.inputs)
    seconds = told or facts.phase_seconds(states.DOWNLOADING)
    if not _is_large(seconds, facts):
        return None
    evidence = tuple(
        f"'{one.name}': {one.files} files, {size(one.size)} in {duration(one.seconds)}"
        f" ({size(one.size / one.seconds) if one.seconds else '-'}/s)"
        for one in sorted(facts.inputs, key=lambda one: -one.seconds)[:5]
    )
    small = any(one.files > 1000 and one.size / one.files < 1_000_000 for one in facts.inputs)
    advice = "Join small files into larger ones." if small else "Send less, or keep the store nearer."
    return _large("inputs_dominate", "downloading its inputs", seconds, facts, evidence, advice)


def requirements_dominate(facts: Facts) -> Diagnosis | None:
    """Most of the time went into pip."""
    if facts.installing is None:
        return None
    began, ended = facts.installing
    seconds = (ended or facts.ended_at or facts.now) - began
    if not _is_large(seconds, facts):
        return None
    advice = "Build an image that holds the packages."
    return _large("requirements_dominate", "installing its requirements.txt", seconds, facts, (), advice)


def start_dominates(facts: Facts) -> Diagnosis | None:
    """Most of the time went before anything ran."""
    waiting = (states.STARTING, states.PENDING, states.CREATING, "LaunchingMLInstances", "PreparingTrainingStack")
    seconds = facts.phase_seconds(*waiting, "DownloadingTrainingImage")
    if not _is_large(seconds, facts):
        return None
    advice = "A smaller image starts faster; the load of this computer counts as well."
    if facts.aws:
        advice = "AWS takes minutes to have a machine; small jobs are faster on this computer."
    return _large("start_dominates", "what comes before its program starts", seconds, facts, (), advice)


def uploads_dominate(facts: Facts) -> Diagnosis | None:
    """Most of the time went into storing results after the end."""
    seconds = facts.saved_after or facts.phase_seconds(states.UPLOADING)
    if not _is_large(seconds, facts):
        return None
    rate = f" ({size(facts.upload_bytes / facts.upload_seconds)}/s)" if facts.upload_seconds else ""
    parts = (f"'{one.name}': {size(one.size)} in {duration(one.seconds)}" for one in facts.published if one.size)
    evidence = (f"{size(facts.upload_bytes)} were sent in {duration(facts.upload_seconds)}{rate}", *parts)
    advice = "Write less to model, output and checkpoints, or use a store that is nearer or faster."
    return _large("uploads_dominate", "storing its results after the script's end", seconds, facts, evidence, advice)


def not_saved(facts: Facts) -> Diagnosis | None:
    """Results are on disk alone."""
    if facts.save_error is None:
        return None
    said = "Not all of its results could be stored."
    remedy = f"See that the store runs and has room (`batchrl doctor`). {save_first(facts)}".strip()
    return Diagnosis("not_saved", said, (facts.save_error, *kept_files(facts)), remedy)


def checkpoints_lag(facts: Facts) -> Diagnosis | None:
    """The store cannot keep up with the checkpoints."""
    if facts.checkpoint_at is None or facts.saved_after < LAG_SECONDS or uploads_dominate(facts) is not None:
        return None
    return Diagnosis(
        "checkpoints_lag",
        f"Checkpoints and results were stored {duration(facts.saved_after)} after the script's end.",
        (f"{size(facts.upload_bytes)} were sent in {duration(facts.upload_seconds)} in all",),
        "What was not stored yet is lost with the machine: write checkpoints less often, or smaller ones.",
    )


def store_outages(facts: Facts) -> Diagnosis | None:
    """The store was away."""
    ended = [one for one in facts.outages if one.ended is not None]
    if not ended:
        return None
    total = sum((one.ended or one.began) - one.began for one in ended)
    return Diagnosis(
        "store_outages",
        f"The object store did not answer {len(ended)} times, {duration(total)} in all; nothing was lost by that.",
        tuple(f"{clock(one.began)}: {one.error}" for one in ended[:3]),
    )


def memory_low(facts: Facts) -> Diagnosis | None:
    """There was little memory left."""
    if facts.memory_low is None:
        return None
    at, free = facts.memory_low
    return Diagnosis(
        "memory_low",
        f"Memory was short: {size(free)} were left on this computer.",
        (f"{clock(at)}: the job itself had up to {size(facts.highest_rss)}",),
        "Run fewer jobs at once, or smaller ones: the kernel ends processes when nothing is left.",
    )


def disk_low(facts: Facts) -> Diagnosis | None:
    """There was little disk left."""
    if facts.disk_low is None:
        return None
    at, free = facts.disk_low
    said = f"The disk of the data folder was nearly full: {size(free)} were free."
    return Diagnosis("disk_low", said, (f"first seen {clock(at)}",), "Free some: `batchrl cloud gc`, `batchrl rm`.")


def metrics_dropped(facts: Facts) -> Diagnosis | None:
    """A definition of a metric was given up."""
    if not facts.metrics_dropped:
        return None
    said = "Metric definitions were dropped while it ran; their values are missing from there on."
    advice = "Write an expression without nested repetition, as (a+)+ is one."
    return Diagnosis("metrics_dropped", said, tuple(facts.metrics_dropped), advice)


def server_restarted(facts: Facts) -> Diagnosis | None:
    """Model servers died and were started again."""
    if facts.kind == TRAINING or len(facts.endings) < 2 or len(facts.started) < 2:
        return None
    evidence = tuple(f"{clock(one.at)}: ended with exit code {one.exit_code}" for one in facts.endings[:5])
    said = f"Its model servers were started {len(facts.started)} times."
    return Diagnosis(
        "server_restarted", said, evidence, "A request that ends a server costs all others time: see its log."
    )


def server_replaced(facts: Facts) -> Diagnosis | None:
    """A new API server found the job."""
    if not facts.servers_began:
        return None
    said = f"The API server was replaced {len(facts.servers_began)} times while it ran; that touches no job."
    return Diagnosis("server_replaced", said, tuple(clock(at) for at in facts.servers_began[:3]))


def events_missing(facts: Facts) -> Diagnosis | None:
    """The event file has gaps."""
    if not facts.events_dropped:
        return None
    return Diagnosis("events_missing", f"{facts.events_dropped} events could not be written: this report has gaps.")


RULES: Sequence[Rule] = (
    inputs_dominate,
    requirements_dominate,
    start_dominates,
    uploads_dominate,
    not_saved,
    checkpoints_lag,
    store_outages,
    memory_low,
    disk_low,
    metrics_dropped,
    server_restarted,
    server_replaced,
    events_missing,
)


def _is_large(seconds: float, facts: Facts) -> bool:
    return seconds >= SHORT_SECONDS and facts.total > 0 and seconds / facts.total >= LARGE_SHARE


def _large(code: str, what: str, seconds: float, facts: Facts, evidence: tuple[str, ...], advice: str) -> Diagnosis:
    said = f"{share(seconds, facts.total)} of its time ({duration(seconds)}) went into {what}."
    return Diagnosis(code, said, evidence, advice)
