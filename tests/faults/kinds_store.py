"""Kinds: a store that fails, stalls, tears and lies, by a proxy that stands before a real one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from batchrl.contract.errors import BatchRLError
from faults import targets
from faults.fault import Fault
from faults.findings import LOST, TooLate
from faults.registry import add
from faults.training import Run

# When the store misbehaves: all through the job, for some seconds of it, or while a killed one goes on.
TIMES = ("whole", "window", "resume")
SPORADIC_SHARE = (0.05, 0.25)
WINDOW_SECONDS = (0.5, 4.0)
WHAT = {
    "500": "answers 500",
    "503": "answers 503 SlowDown",
    "reset": "resets connections",
    "stall": "stalls for 1 to 5 s",
    "lost-answer": "does what it is asked, and the answer is lost",
    "short-body": "sends half of a body",
    "wrong-download": "sends an object with one bit changed",
    "wrong-upload": "receives an object with one bit changed",
    "lagging-list": "lists no object of the last 4 s",
    "expired": "says that the credentials have expired",
}


def misbehaving(mode: str) -> Callable[[Fault], None]:
    """A kind: the store misbehaves in one way."""

    def make(fault: Fault) -> None:
        time = fault.random.choice(TIMES)
        share = fault.random.uniform(*SPORADIC_SHARE)
        seconds = fault.random.uniform(*WINDOW_SECONDS)
        moment, seed = fault.moment("created", "epoch", "epoch", "uploading"), fault.random.random()
        # The whole of its answers, where it misbehaves for moments alone or where lists or bodies are few.
        always = time == "window" or mode in ("lagging-list", "short-body", "wrong-download", "wrong-upload")
        proxy = fault.lane.proxy
        fault.findings.note(f"{mode}, {time}, share {1.0 if always and time == 'window' else share:.2f}")
        try:
            if time == "whole":
                cloud = fault.lane.proxied
                injection = proxy.inject(mode, share, seed)
                run = submitted(fault, lambda: fault.training(cloud))
                run.ended()
            elif time == "window":
                run = fault.training(fault.lane.proxied)
                run.until(moment)
                injection = proxy.inject(mode, 1.0, seed)
                threading.Event().wait(seconds)
            else:
                run = killed(fault)
                known = run.announced()
                injection = proxy.inject(mode, max(share, 0.5) if always else share, seed)
                run = submitted(fault, run.again)
                run.ended()
                came_back = run.resumed_after()
                text = f"epoch {known} was announced, and the run went on after epoch {came_back}"
                if run.record().status == "Completed":
                    fault.findings.check(came_back >= known, LOST, text)
            proxy.heal()
            fault.findings.note(f"{injection.hits} requests hit")
            fault.judge(run, run.announced(), ends=("Completed", "Failed"))
        finally:
            proxy.heal()

    return make


def submitted(fault: Fault, submit: Callable[[], Run]) -> Run:
    """A job, submitted once more where the store's misbehaviour was told to its user in words."""
    try:
        return submit()
    except BatchRLError as error:
        fault.findings.note(f"refused: {error}")
        fault.lane.proxy.heal()
        return submit()


def killed(fault: Fault) -> Run:
    """A training whose script was killed after an epoch, its checkpoints uploaded."""
    run = fault.training(fault.lane.proxied)
    run.until(fault.moment("epoch"))
    if not targets.strike(run.script(), signal.SIGKILL):
        raise TooLate
    run.ended()
    return run


for _mode, _what in WHAT.items():
    add(f"s3-{_mode}", "store", f"The store {_what}", misbehaving(_mode))
