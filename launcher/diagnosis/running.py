"""What a job that has not ended is doing: whether it is well, waits for something, or hangs.

The first rule that holds is told:

=============================================================  =======================================================
facts                                                          diagnosis
=============================================================  =======================================================
its shim does not live                                         ``shim_died_now``
no shim was given to it yet                                    ``not_begun``
the store does not answer now                                  ``store_away``
it was asked to stop                                           ``stopping``
inputs or checkpoints are being downloaded                     ``downloading``
results are being stored                                       ``storing``
requirements are being installed                               ``installing``
all of its processes are stopped (SIGSTOP, a debugger)         ``suspended``
its server is asked whether it is well, for a long time        ``server_starting``
no output for ``SILENT_SECONDS``, processor time stands still  ``hung``
no output for ``SILENT_SECONDS``, busy                         ``busy_silent``
no output for ``SILENT_SECONDS``, its processes not to be seen ``silent``
all else                                                       ``healthy``
=============================================================  =======================================================
"""

from __future__ import annotations

from collections.abc import Sequence

from launcher.api.constants import ENDPOINT, TRAINING
from launcher.base.units import duration, size
from launcher.diagnosis.diagnosis import Diagnosis, Rule, clock, last_lines, logs_command
from launcher.diagnosis.facts import Facts
from launcher.local.records import states

SILENT_SECONDS = 300.0
# A program that takes less of one core than this stands still.
STILL_SHARE = 0.02
# What threads of a kernel wait in, and what that is to people.
WAITS = {
    "futex": "a lock, or another thread",
    "pipe": "a pipe: another process's output, or one that nobody reads",
    "nanosleep": "a timer: it sleeps",
    "poll": "a connection, a pipe or a timer",
    "epoll": "a connection, a pipe or a timer",
    "select": "a connection, a pipe or a timer",
    "sk_wait": "the network",
    "unix_stream": "a local socket",
    "do_wait": "the end of a child",
    "wait4": "the end of a child",
    "io_schedule": "the disk",
    "flock": "a lock on a file",
    "locks": "a lock on a file",
}


def state(facts: Facts) -> Diagnosis:
    """What a job that runs is doing."""
    for rule in RULES:
        if (found := rule(facts)) is not None:
            return found
    return healthy(facts)


def shim_died_now(facts: Facts) -> Diagnosis | None:
    """Nobody watches over it any more, and no API server has noticed."""
    if facts.shim_lives is not False:
        return None
    return Diagnosis(
        "shim_died_now",
        "The process that runs it (its shim) is gone, and nobody has noticed yet.",
        (f"log of the shim: {facts.shim_log}",),
        "`batchrl cloud up` starts the local cloud, which ends it as Failed; then start it again.",
    )


def not_begun(facts: Facts) -> Diagnosis | None:
    """It waits for its turn, or for a machine."""
    waiting = facts.secondary in (states.STARTING, states.PENDING) or facts.status == states.CREATING
    if facts.aws and waiting:
        said = f"AWS prepares a machine for it, since {duration(facts.total)}."
        return Diagnosis("not_begun", said, _phase(facts), "Wait; a rare instance type can take long.")
    if not waiting or facts.shim_lives is not None or facts.started:
        return None
    return Diagnosis(
        "not_begun",
        f"It waits for its shim since {duration(facts.total)}.",
        _phase(facts),
        "`batchrl cloud status` says whether the local cloud runs; `batchrl cloud up` starts it.",
    )


def store_away(facts: Facts) -> Diagnosis | None:
    """Requests to the store fail at this moment."""
    open_now = [one for one in facts.outages if one.ended is None]
    if not open_now:
        return None
    since = open_now[-1]
    return Diagnosis(
        "store_away",
        f"The object store does not answer since {duration(facts.now - since.began)}; it is tried again and again.",
        (f"{clock(since.began)}: {since.error}",),
        "See that the store runs (`batchrl doctor`): finished work is kept for ten minutes of trying.",
    )


def stopping(facts: Facts) -> Diagnosis | None:
    """It was asked to stop, and has its time of grace."""
    if facts.status not in (states.STOPPING, states.DELETING) or facts.secondary == states.UPLOADING:
        return None
    asked = (f"{clock(facts.stopped_by[0])}: a stop was asked for",) if facts.stopped_by else ()
    sent = tuple(f"{clock(at)}: {name} was sent to it" for at, name in facts.signals)
    said = "It was asked to stop, and has its time to save what it has (at most 120 s)."
    return Diagnosis("stopping", said, (*asked, *sent), "Wait.")


def downloading(facts: Facts) -> Diagnosis | None:
    """Its inputs come."""
    if facts.secondary != states.DOWNLOADING:
        return None
    done = tuple(f"'{one.name}': {size(one.size)} in {duration(one.seconds)}" for one in facts.inputs)
    said = f"Its inputs are downloaded, since {duration(facts.phase_seconds(states.DOWNLOADING))}."
    return Diagnosis("downloading", said, (*_phase(facts), *done), "Wait; the script starts when all of it is there.")


def storing(facts: Facts) -> Diagnosis | None:
    """Its results go to the store."""
    if facts.secondary != states.UPLOADING:
        return None
    said = f"The script has ended; its results are stored, since {duration(facts.phase_seconds(states.UPLOADING))}."
    return Diagnosis("storing", said, _phase(facts), "Wait.")


def installing(facts: Facts) -> Diagnosis | None:
    """pip is at work."""
    if facts.installing is None or facts.installing[1] is not None or facts.kind != TRAINING:
        return None
    took = duration(facts.now - facts.installing[0])
    return Diagnosis(
        "installing",
        f"Its requirements.txt is being installed, since {took}.",
        last_lines(facts)[-2:],
        "Wait, or put the packages into the image: then no job has to fetch them.",
    )


def suspended(facts: Facts) -> Diagnosis | None:
    """Somebody stopped its processes without ending them."""
    living = facts.living
    held = [one for one in living.processes if one.state in "Tt"] if living else []
    if living is None or not held or len(held) < len(living.processes) - 1:
        return None
    named = tuple(f"process {one.pid} is stopped: {living.commands.get(one.pid, '')}" for one in held)
    pids = " ".join(str(one.pid) for one in held)
    said = "Its processes are stopped (SIGSTOP, or a debugger holds them): nothing goes on."
    return Diagnosis("suspended", said, named, f"Let them go on: kill -CONT {pids}")


def server_starting(facts: Facts) -> Diagnosis | None:
    """Its model server has not answered yet."""
    if facts.kind == TRAINING or facts.secondary not in (states.STARTING, states.CREATING):
        return None
    since = facts.now - (facts.started[-1] if facts.started else facts.now)
    again = (f"it was started {len(facts.started)} times",) if len(facts.started) > 1 else ()
    return Diagnosis(
        "server_starting",
        f"Its model server has not answered /ping yet, since {duration(since)}.",
        (*again, *last_lines(facts)),
        f"Wait; its log says what it does: {logs_command(facts)}",
    )


def hung(facts: Facts) -> Diagnosis | None:
    """It writes nothing and does nothing."""
    living, quiet = facts.living, _silent(facts)
    if facts.kind != TRAINING or living is None or quiet < SILENT_SECONDS or living.cpu_share >= STILL_SHARE:
        return None
    evidence = [f"no output for {duration(quiet)}", f"its processes took {living.cpu_seconds:.1f} s of processor time"]
    earlier = [one for one in facts.measures if one.at < facts.now - 30 and living.cpu_seconds - one.cpu_seconds < 1.0]
    if earlier:
        evidence.append(f"that was as much at {clock(earlier[0].at)}: it stands still at least since then")
    for one in living.processes:
        function = living.waits.get(one.pid, "")
        meaning = next((text for mark, text in WAITS.items() if mark in function), "")
        where = f"{function} ({meaning})" if meaning else function or "an unknown place"
        evidence.append(f"process {one.pid} waits in {where}: {living.commands.get(one.pid, '')}")
    pid = living.processes[-1].pid if living.processes else 0
    return Diagnosis(
        "hung",
        f"It seems to hang: no output for {duration(quiet)}, and its processor time stands still.",
        (*evidence, *last_lines(facts)[-3:]),
        f"`py-spy dump --pid {pid}` shows the Python lines; `batchrl stop {facts.name}` ends it, checkpoints stay.",
    )


def busy_silent(facts: Facts) -> Diagnosis | None:
    """It writes nothing, and computes."""
    living, quiet = facts.living, _silent(facts)
    if facts.kind != TRAINING or living is None or quiet < SILENT_SECONDS:
        return None
    busy = f"its processes take {100 * living.cpu_share:.0f} % of a core at this moment"
    return Diagnosis(
        "busy_silent",
        f"It computes, but has written nothing for {duration(quiet)}.",
        (busy, *last_lines(facts)[-3:]),
        "It may be a long epoch; let the script print how far it is. `batchrl metrics -f` follows the estimates.",
    )


def silent(facts: Facts) -> Diagnosis | None:
    """It writes nothing, and cannot be looked at: an engine of another machine, or of a user of its own."""
    took = _silent(facts)
    if facts.kind != TRAINING or facts.aws or facts.living is not None or took < SILENT_SECONDS:
        return None
    return Diagnosis(
        "silent",
        f"It has written nothing for {duration(took)}, and its processes cannot be seen from here.",
        last_lines(facts)[-3:],
        f"Look into it (docker top), or end it with `batchrl stop {facts.name}`: its checkpoints stay.",
    )


def healthy(facts: Facts) -> Diagnosis:
    """It does what it should."""
    evidence = []
    if facts.last_output_at is not None:
        evidence.append(f"its last output came {duration(facts.now - facts.last_output_at)} ago")
    if facts.living is not None:
        memory = sum(one.rss for one in facts.living.processes)
        evidence.append(
            f"{len(facts.living.processes)} processes, {100 * facts.living.cpu_share:.0f} % of a core, "
            f"{size(memory)} of memory"
        )
    if facts.checkpoint_at is not None:
        evidence.append(f"a checkpoint was stored {duration(facts.now - facts.checkpoint_at)} ago")
    if facts.aws:
        said = f"It is {facts.secondary} since {_since(facts)}; the API tells no more of how it does."
        return Diagnosis("healthy", said, _phase(facts), f"Its log may: {logs_command(facts)}")
    noun = "endpoint" if facts.kind == ENDPOINT else "job"
    return Diagnosis("healthy", f"The {noun} is well: {facts.secondary} since {_since(facts)}.", tuple(evidence))


RULES: Sequence[Rule] = (
    shim_died_now,
    not_begun,
    store_away,
    stopping,
    downloading,
    storing,
    installing,
    suspended,
    server_starting,
    hung,
    busy_silent,
    silent,
)


def _silent(facts: Facts) -> float:
    since = facts.last_output_at or (facts.started[-1] if facts.started else None)
    return facts.now - since if since is not None else 0.0


def _phase(facts: Facts) -> tuple[str, ...]:
    return (f"{clock(facts.phases[-1].began)}: {facts.phases[-1].message}",) if facts.phases else ()


def _since(facts: Facts) -> str:
    return duration(facts.now - facts.phases[-1].began) if facts.phases else "an unknown time"
