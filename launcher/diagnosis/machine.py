"""Causes that lie with the machine, its engine, its store or the cloud; ``ends.py`` has the table that orders them."""

from __future__ import annotations

import re
import signal

from launcher.base.units import size
from launcher.diagnosis.diagnosis import Diagnosis, clock, kept_files, last_lines, save_first, start_again
from launcher.diagnosis.facts import SIGNAL_BASE, Facts, Source
from launcher.local.records import states

MOST_OF_MEMORY = 0.8
_NO_SPACE = re.compile(r"disk is full|No space left on device|ENOSPC|Disk quota exceeded", re.IGNORECASE)
_NO_MEMORY = re.compile(
    r"\bMemoryError\b|OutOfMemory|out of memory|Cannot allocate memory|can't allocate memory|std::bad_alloc",
    re.IGNORECASE,
)
_NO_STORE = re.compile(
    r"does not answer|could not be reached|did not reach|Could not connect|EndpointConnection|timed out"
)


def shim_died(facts: Facts) -> Diagnosis | None:
    """The process that watched over it is gone."""
    if facts.shim_lost is None and "the process that ran the job ended unexpectedly" not in (facts.reason or ""):
        return None
    evidence = [] if facts.shim_lost is None else [f"{clock(facts.shim_lost)}: the API server found its shim gone"]
    if facts.memory_low:
        evidence.append(
            f"{clock(facts.memory_low[0])}: {size(facts.memory_low[1])} of memory were left on this computer"
        )
    remedy = f"{save_first(facts)}{start_again(facts)}."
    return Diagnosis(
        "shim_died",
        "The process that ran it (its shim) was killed or ended; the script was ended with it.",
        (*evidence, f"log of the shim: {facts.shim_log}" if facts.shim_log else "the shim left no log"),
        f"{remedy} If memory ran out, the kernel's log says so (dmesg).",
    )


def image_missing(facts: Facts) -> Diagnosis | None:
    """There is no such image."""
    reason = facts.reason or ""
    if not re.search(r"image '.*' was not found|engine has no image|No such image|CannotPullContainer", reason):
        return None
    return Diagnosis(
        "image_missing",
        f"The container image {facts.image or 'that it names'} is not there.",
        (reason,),
        "Build batchrl's own with `batchrl image build`, fetch another with `docker pull`, or correct --image.",
    )


def no_engine(facts: Facts) -> Diagnosis | None:
    """There is no container engine."""
    if "no container engine can be used" not in (facts.reason or ""):
        return None
    return Diagnosis(
        "no_engine",
        "It needs a container, and no container engine can be used.",
        (facts.reason or "",),
        "Start the engine (`batchrl doctor` looks at it), or use --instance-type local_process.",
    )


def disk_full(facts: Facts) -> Diagnosis | None:
    """The disk was full."""
    told = _NO_SPACE.search(facts.reason or "") or any(_NO_SPACE.search(line) for line in facts.log)
    too_little = re.search(r"its objects hold .* bytes, the disk of .* free", facts.reason or "")
    if not told and not too_little:
        return None
    evidence = [facts.reason or ""]
    if facts.disk_low:
        evidence.append(
            f"{clock(facts.disk_low[0])}: {size(facts.disk_low[1])} were free on the disk of the data folder"
        )
    evidence += [line for line in facts.log if _NO_SPACE.search(line)][-2:]
    remedy = "Free some space (`batchrl cloud gc`, `batchrl rm`), or set BATCHRL_HOME to a folder on a larger disk."
    if facts.aws:
        remedy = "Give the job a larger volume: volume_size=100 (GiB) of RLEstimator."
    return Diagnosis(
        "disk_full", "The disk was full.", (*evidence, *kept_files(facts)), f"{remedy} {save_first(facts)}".strip()
    )


def out_of_memory(facts: Facts) -> Diagnosis | None:
    """It wanted more memory than there was."""
    ending, killed = facts.ending, facts.exit_code == SIGNAL_BASE + signal.SIGKILL
    by_us = any(name == "SIGKILL" for _, name in facts.signals)
    much = facts.memory > 0 and facts.highest_rss > MOST_OF_MEMORY * facts.memory
    by_kernel = killed and not by_us and ending is not None and (ending.oom_kills > 0 or much)
    text = facts.reason or ""
    told = _NO_MEMORY.search(text) if "may have run out of memory" not in text else None
    if not (facts.out_of_memory or by_kernel or told):
        return None
    evidence = []
    if facts.out_of_memory:
        evidence.append("the container's engine says that the kernel ended it for want of memory")
    if by_kernel and ending is not None and ending.oom_kills:
        evidence.append(f"the kernel ended {ending.oom_kills} processes for want of memory while it ran")
    if killed and ending is not None:
        evidence.append(f"{clock(ending.at)}: it ended with exit code {ending.exit_code}")
    if facts.highest_rss:
        of = f", of {size(facts.memory)} that there are" if facts.memory else ""
        evidence.append(f"its processes were seen with {size(facts.highest_rss)} of memory{of}")
    if told:
        evidence.append(text.splitlines()[0])
    return Diagnosis(
        "out_of_memory",
        "It ran out of memory.",
        tuple(evidence),
        "Use less (a smaller batch, fewer workers, less data at a time), or a machine or memory limit that is larger.",
    )


def killed(facts: Facts) -> Diagnosis | None:
    """A signal ended it that the platform did not send."""
    code = facts.exit_code
    if code is None or not SIGNAL_BASE < code < SIGNAL_BASE + signal.NSIG:
        return None
    number = code - SIGNAL_BASE
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if any(sent == name for _, sent in facts.signals):
        return None
    evidence = [f"{clock(facts.ending.at)}: it ended with exit code {code}"] if facts.ending else [facts.reason or ""]
    if facts.ending:
        evidence.append(f"no process of this computer was ended for want of memory meanwhile ({_memory(facts)})")
    if facts.source is Source.EVENTS:
        evidence.append(f"batchrl sent it no {name}")
    if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL):
        said = f"It crashed in native code ({name})."
        remedy = "Run it with PYTHONFAULTHANDLER=1 in its environment: the log then names the Python line."
    elif facts.source is not Source.EVENTS and number == signal.SIGKILL:
        said = "It was ended by SIGKILL: for want of memory, or by somebody; nothing here tells which."
        remedy = "Give it more memory, or let it use less; if it ends so again, look for who kills it."
    else:
        said = f"It was ended by {name}, which came from outside of batchrl."
        remedy = "Find out who sent it (another user, a script, the system); then start it again with its checkpoints."
    return Diagnosis("killed", said, (*evidence, *last_lines(facts)), remedy)


def store_unreachable(facts: Facts) -> Diagnosis | None:
    """The store did not answer for too long."""
    reason = facts.reason or ""
    if not reason.startswith(("InternalServerError", "ClientError")):
        return None  # the script's own failure came first
    away = any(one.ended is None for one in facts.outages)
    if not (_NO_STORE.search(reason) or _NO_STORE.search(facts.save_error or "") or (away and facts.save_error)):
        return None
    evidence = [
        f"{clock(one.began)}: {one.error}" + ("" if one.ended else ", and no answer came after that")
        for one in facts.outages[-3:]
    ]
    if facts.save_error:
        evidence.append(facts.save_error)
    return Diagnosis(
        "store_unreachable",
        "The object store did not answer for so long that transfers were given up.",
        (*(evidence or [reason]), *kept_files(facts)),
        f"See that the store runs (`batchrl doctor`). {save_first(facts)}Or start the job again.",
    )


def no_capacity(facts: Facts) -> Diagnosis | None:
    """AWS had no machine."""
    if not re.search(r"CapacityError|capacity|ResourceLimitExceeded", facts.reason or ""):
        return None
    return Diagnosis(
        "no_capacity",
        "AWS had no machine of this type for it.",
        (facts.reason or "",),
        "Try again later, in another region or with another instance type; ask for a higher quota where one is named.",
    )


def interrupted(facts: Facts) -> Diagnosis | None:
    """Spot machines were taken away."""
    times = [one for one in facts.phases if one.status == states.INTERRUPTED]
    if not times:
        return None
    evidence = tuple(f"{clock(one.began)}: Interrupted {one.message}".rstrip() for one in times)
    remedy = f"{start_again(facts)}, or without spot machines."
    return Diagnosis("interrupted", f"Its spot machine was taken away {len(times)} times.", evidence, remedy)


def _memory(facts: Facts) -> str:
    return f"it was seen with {size(facts.highest_rss)}" if facts.highest_rss else "its memory was not looked at"
