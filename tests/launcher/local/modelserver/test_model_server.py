"""The keeper of a model server: started again when it ends, waited for when it is busy, given up when it is no use."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import pytest
import scripted_server
from scripted_server import Reply

from launcher.local.executors.base import Program
from launcher.local.host.faults import JobFault
from launcher.local.host.home import HomePaths
from launcher.local.modelserver import server as module
from launcher.local.modelserver.server import ModelServer


class Execution:
    """A server in this process that plays a program."""

    handle = "1"

    def __init__(self, script, address_known=True):
        self.server = scripted_server.ModelServer(script)
        self.address = self.server.address if address_known else None
        self._over = threading.Event()

    def output(self):
        return iter(())

    def wait(self):
        self._over.wait()
        return 9

    def die(self):
        self.server.die()
        self._over.set()

    terminate = kill = die

    def remove(self):
        return False


class Executor:
    name = "scripted"

    def __init__(self, script):
        self.script = script
        self.executions = []

    def start(self, program):
        self.executions.append(Execution(self.script))
        return self.executions[-1]


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A keeper of servers with a script, and their executor; all are ended."""
    monkeypatch.setattr(module, "UNWELL_SECONDS", 0.5)
    monkeypatch.setattr(module, "TEND_PING_SECONDS", 0.05)
    monkeypatch.setattr(module, "RECOVER_POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "MOST_FRUITLESS", 6)
    made = []

    def factory(script=lambda request: Reply(), proceed=lambda: True):
        executor = Executor(script)
        program = Program("endpoint.e", HomePaths(tmp_path), Path("/"), "i", "local", None, {}, (), False, serves=True)
        made.append(ModelServer(executor, program, tmp_path / "log", 1, 10, proceed))
        made[-1].start()
        return made[-1], executor.executions

    yield factory
    for server in made:
        server.stop()


def tend_until_restart(server, executions):
    deadline = time.monotonic() + 20
    while len(executions) == 1:
        assert server.tend()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_C187_one_that_has_ended_is_started_again_at_once(make):
    server, executions = make()
    executions[0].die()
    tend_until_restart(server, executions)
    assert server.address == executions[1].address
    executions[1].die()
    assert server.recover(False)
    assert len(executions) == 3


def test_one_that_is_well_is_left_alone(make):
    server, executions = make()
    assert server.recover(False)
    for _ in range(5):
        assert server.tend()
    assert len(executions) == 1


def test_one_that_is_busy_is_waited_for_and_not_ended(make):
    busy = threading.Event()
    server, executions = make(lambda request: Reply(status=503 if busy.is_set() else 200))
    busy.set()
    threading.Timer(0.2, busy.clear).start()
    assert server.recover(False)
    assert len(executions) == 1


def test_one_that_does_not_answer_for_long_is_started_again(make):
    script = lambda request: Reply(status=503 if len(executions) == 1 and stuck.is_set() else 200)  # noqa: E731
    stuck, executions = threading.Event(), []
    server, executions = make(script)
    stuck.set()
    begun = time.monotonic()
    assert server.recover(False)
    assert time.monotonic() - begun > 0.5
    assert len(executions) == 2


def test_C187_an_endpoints_server_that_does_not_answer_for_long_is_started_again(make):
    executions, stuck = [], threading.Event()
    server, executions = make(lambda request: Reply(status=503 if len(executions) == 1 and stuck.is_set() else 200))
    stuck.set()
    tend_until_restart(server, executions)
    assert executions[1].server.alive


def test_one_that_ends_again_and_again_is_given_up_unless_it_was_of_use(make):
    server, executions = make()
    for count in itertools.count(1):
        executions[-1].die()
        if not server.recover(useful=count == 5):
            break
        assert count < 100
    assert len(executions) == 5 + 6


def test_who_is_to_stop_is_not_waited_for(make):
    proceed = [True]
    server, executions = make(proceed=lambda: proceed[0])
    executions[0].die()
    proceed[0] = False
    assert not server.recover(False)
    assert len(executions) == 1


def test_one_that_was_stopped_is_not_started_again(make):
    server, executions = make()
    server.stop()
    assert not server.recover(False)
    assert not server.tend()
    assert len(executions) == 1


def test_one_that_ends_before_it_has_an_address_is_no_other_server(tmp_path, make):
    """A container that has ended has none; whoever listens at this machine's port 8080 is somebody else."""

    class Ended(Executor):
        def start(self, program):
            execution = Execution(self.script, address_known=False)
            execution.die()
            return execution

    program = Program("endpoint.e", HomePaths(tmp_path), Path("/"), "i", "local", None, {}, (), False, serves=True)
    with pytest.raises(JobFault, match="ended with exit code 9 before it answered"):
        ModelServer(Ended(lambda request: Reply()), program, tmp_path / "log", 1, 10).start()
