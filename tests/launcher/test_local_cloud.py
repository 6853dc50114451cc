"""The client against a real local cloud: jobs run, logs come, terminals work, torn reads do not reach the user."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batchrl.contract import columns
from batchrl.contract.errors import InputError, JobFailed, JobStopped
from batchrl.contract.manifest import sha256_of
from batchrl.contract.sync import FolderUploader
from launcher import Job, RLEstimator, Session, list_jobs
from launcher.local import cloud
from launcher.local.host.home import HomePaths
from launcher.results.metrics import Metrics
from launcher.session.session import LocalSession

DEADLINE = 60.0
READS = int(os.environ.get("TORN_READS", "300"))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE:.0f} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSession]:
    """A local cloud of this module's own."""
    home = tmp_path_factory.mktemp("home")
    yield Session.local(home)
    cloud.down(home, stop_jobs=True)


def script(folder: Path, text: str, name: str = "my.py") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def estimator(local: LocalSession, path: Path, **options: object) -> RLEstimator:
    return RLEstimator(str(path), **{"instance_type": "local_process", "session": local, **options})


def test_E217_a_job_runs_and_its_log_metrics_and_results_come(local: LocalSession, tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        import os, pathlib, sys
        print("args", sys.argv[1:])
        print("wis=1.5")
        print("data", pathlib.Path(os.environ["SM_CHANNEL_TRAINING"], "x.csv").read_text())
        pathlib.Path(os.environ["SM_MODEL_DIR"], "m.txt").write_text("model")
        pathlib.Path(os.environ["SM_CHECKPOINT_DIR"], "c.txt").write_text("checkpoint")
        """,
    )
    (tmp_path / "x.csv").write_text("content")
    lines: list[str] = []
    job = estimator(local, path, hyperparameters={"lr": 0.1}).fit(tmp_path / "x.csv", logs=lines.append)
    assert lines == ["args ['--lr', '0.1']", "wis=1.5", "data content"]
    assert job.describe()["FinalMetricDataList"][0]["Value"] == 1.5
    report = job.pull(tmp_path / "pulled", unpack=True)
    assert (report.folder / "output" / "model" / "m.txt").read_text() == "model"
    assert (report.folder / "checkpoints" / "c.txt").read_text() == "checkpoint"
    assert list(job.logs(follow=False)) == lines
    assert job.name in {summary.name for summary in list_jobs(local)}
    again = Job.attach(job.name, local)
    assert again.status().status == "Completed"
    again.delete(results=True)
    with pytest.raises(InputError, match="no job named"):
        Job.attach(job.name, local)
    with pytest.raises(InputError, match="no results"):
        job.pull(tmp_path / "gone")


def test_E229_an_ml_request_runs_here_when_sent_to_the_local_cloud(local: LocalSession, tmp_path: Path) -> None:
    # Containers may be missing here; the local cloud then runs any ml.* type as a process. Both are fine.
    path = script(tmp_path, "print('ran')")
    ml = estimator(local, path, instance_type="ml.m5.large", role="arn:aws:iam::123456789012:role/jobs")
    request = ml.plan().request
    assert request["ResourceConfig"]["InstanceType"] == "ml.m5.large"
    job = ml.fit(wait=False)
    job.wait(check=False)
    assert job.describe()["RoleArn"] == "arn:aws:iam::123456789012:role/jobs"


def test_a_failing_script_shows_its_exception_and_the_place_of_its_log(local: LocalSession, tmp_path: Path) -> None:
    path = script(tmp_path, "raise ValueError('boo')")
    with pytest.raises(JobFailed) as caught:
        estimator(local, path).fit()
    assert "AlgorithmError" in caught.value.message
    assert "ValueError: boo" in caught.value.message
    place = Path(str(caught.value.hint).splitlines()[0].partition(": ")[2])
    assert "ValueError: boo" in "".join(file.read_text() for file in place.iterdir())


def test_a_stopped_job_is_told_apart(local: LocalSession, tmp_path: Path) -> None:
    path = script(tmp_path, "import time; print('up', flush=True); time.sleep(100)")
    job = estimator(local, path).fit(wait=False)
    wait_until(lambda: list(job.logs(follow=False)) == ["up"], "the first line")
    assert job.stop()
    with pytest.raises(JobStopped):
        job.wait()
    assert not job.stop()


def test_following_survives_the_death_of_the_server(local: LocalSession, tmp_path: Path) -> None:
    path = script(
        tmp_path,
        """
        import time
        for n in range(40):
            print(n, flush=True)
            time.sleep(0.1)
        """,
    )
    job = estimator(local, path).fit(wait=False)
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        if line == "5":
            before = cloud.status(local.home)
            assert before is not None
            os.kill(server_pid(local), signal.SIGKILL)

    assert job.wait(logs=take).status == "Completed"
    assert lines == [str(n) for n in range(40)]


def server_pid(local: LocalSession) -> int:
    """The process that listens at the API server's port."""
    port = int(local.address.api_url.rpartition(":")[2])
    mark = f":{port:04X} "
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()
        if mark in line.split()[1] + " " and line.split()[3] == "0A"
    }
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for link in folder.iterdir():
                with contextlib.suppress(OSError):
                    if str(link.readlink())[8:-1] in inodes:
                        return int(folder.parent.name)
    raise AssertionError("no process listens at the API server's port")


class Terminal:
    """A Python program on a terminal of its own."""

    def __init__(self, program: str, environ: dict[str, str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, [sys.executable, "-c", textwrap.dedent(program)], environ)
        self.shown = ""
        self._exit: int | None = None

    def expect(self, text: str, timeout: float = DEADLINE) -> None:
        """Read until a text was shown; forget what came before it."""
        deadline = time.monotonic() + timeout
        while text not in self.shown:
            assert time.monotonic() < deadline, f"'{text}' was not shown: {self.shown}"
            self._read(0.1)
        self.shown = self.shown.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def type_until(self, key: str, text: str) -> None:
        """Press a key, again each second, until a text is shown: a terminal that changes modes may lose one."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.shown:
            assert time.monotonic() < deadline, f"'{text}' was not shown: {self.shown}"
            self.type(key)
            pressed = time.monotonic()
            while text not in self.shown and time.monotonic() < pressed + 1:
                self._read(0.1)
        self.shown = self.shown.partition(text)[2]

    def exit_code(self) -> int:
        """Read to the end; negative for a signal."""
        while self._read(1.0):
            continue
        _, status = os.waitpid(self.pid, 0)
        os.close(self._fd)
        return os.waitstatus_to_exitcode(status)

    def _read(self, timeout: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], timeout)
        if not ready:
            return True
        try:
            chunk = os.read(self._fd, 65536)
        except OSError:
            return False
        self.shown += chunk.decode(errors="replace")
        return bool(chunk)


def environment(local: LocalSession) -> dict[str, str]:
    return {**os.environ, "BATCHRL_HOME": str(local.home), "PYTHONUNBUFFERED": "1"}


FIT = """
from launcher import RLEstimator
RLEstimator({path!r}, instance_type="local_process").fit(job_name={name!r})
"""
SLEEPER = "import time; print('script is up', flush=True); time.sleep(100)"


def test_ctrl_c_asks_once_and_detaches(local: LocalSession, tmp_path: Path) -> None:
    path = script(tmp_path, SLEEPER)
    terminal = Terminal(FIT.format(path=str(path), name="detached"), environment(local))
    terminal.expect("script is up")
    terminal.type("\x03")
    terminal.expect("[d]etach")
    terminal.type("d\n")
    terminal.expect("Detached")
    assert terminal.exit_code() in (130, -signal.SIGINT)
    job = Job("detached", local)
    assert job.status().status == "InProgress"
    job.stop()
    job.wait(check=False)


def test_ctrl_c_asks_once_and_stops(local: LocalSession, tmp_path: Path) -> None:
    path = script(tmp_path, SLEEPER)
    terminal = Terminal(FIT.format(path=str(path), name="stopped"), environment(local))
    terminal.expect("script is up")
    terminal.type("\x03")
    terminal.expect("[d]etach")
    terminal.type("\n")
    assert terminal.exit_code() in (130, -signal.SIGINT)
    assert Job("stopped", local).status().status == "Stopped"


def test_a_second_ctrl_c_leaves_at_once(local: LocalSession, tmp_path: Path) -> None:
    path = script(tmp_path, "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER)
    terminal = Terminal(FIT.format(path=str(path), name="stubborn"), environment(local))
    terminal.expect("script is up")
    terminal.type("\x03")
    terminal.expect("[d]etach")
    terminal.type("s\n")
    terminal.expect("Stopping")
    started = time.monotonic()
    terminal.type("\x03")
    assert terminal.exit_code() in (130, -signal.SIGINT)
    assert time.monotonic() - started < 10
    assert Job("stubborn", local).status().status == "Stopping"
    for pid in _processes_with(str(path.name), "stubborn"):
        os.kill(pid, signal.SIGKILL)
    Job("stubborn", local).wait(check=False)


def _processes_with(program: str, job: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if program.encode() in (folder / "cmdline").read_bytes() and (
                f"TRAINING_JOB_NAME={job}".encode() in (folder / "environ").read_bytes()
            ):
                found.append(int(folder.name))
    return found


def test_ctrl_c_without_a_terminal_stops_the_job(local: LocalSession, tmp_path: Path) -> None:
    path = script(tmp_path, SLEEPER)
    process = subprocess.Popen(
        [sys.executable, "-c", FIT.format(path=str(path), name="no-terminal")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(local),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"script is up\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)
    assert process.returncode in (130, -signal.SIGINT)
    assert Job("no-terminal", local).status().status == "Stopped"


def test_a_breakpoint_works_and_the_job_is_like_any_other(local: LocalSession, tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    script(source, "VALUE = 41\n", "helper.py")
    path = script(
        source,
        """
        import os, pathlib
        import helper
        answer = helper.VALUE + 1
        pathlib.Path(os.environ["SM_CHECKPOINT_DIR"], "c.txt").write_text("checkpoint")
        breakpoint()
        print("file", __file__)
        """,
    )
    program = f"""
    from launcher import RLEstimator
    job = RLEstimator("my.py", source_dir={str(source)!r}, instance_type="local").fit(debug=True, job_name="debugged")
    print("ended:", job.status())
    """
    terminal = Terminal(program, environment(local))
    terminal.expect("(Pdb)")
    terminal.type("p answer\n")
    terminal.expect("42")
    terminal.expect("(Pdb)")
    terminal.type_until("\x03", "--KeyboardInterrupt--")  # it interrupts nothing but the line
    terminal.expect("(Pdb)")
    terminal.type("c\n")
    terminal.expect(f"file {path}")
    terminal.expect("ended: Completed")
    assert terminal.exit_code() == 0
    job = Job("debugged", local)
    assert job.pull(tmp_path / "pulled", "checkpoints").files == ("checkpoints/c.txt",)
    assert "terminal" in "".join(job.logs(follow=False))


def test_an_exception_in_a_debugged_job_fails_it(local: LocalSession, tmp_path: Path) -> None:
    path = script(tmp_path, "raise ValueError('boo')")
    with pytest.raises(JobFailed, match="exit code: 1"):
        estimator(local, path, instance_type="local_debug").fit()


def test_no_read_of_a_csv_that_is_being_overwritten_is_torn(local: LocalSession, tmp_path: Path) -> None:
    """The store serves truncated bodies while an object is overwritten; through the client none is seen."""
    job = estimator(local, script(tmp_path, "print('x')")).fit(wait=False)
    place = job.layout.intermediate
    folder = tmp_path / "intermediate"
    folder.mkdir()
    known: dict[str, int] = {}
    uploader = FolderUploader(
        local.s3, folder, place, with_manifest=True, on_error=lambda path, error: pytest.fail(f"{path}: {error}")
    )
    stop = threading.Event()

    def overwrite() -> None:
        names = [columns.EPOCH, *columns.ESTIMATES]
        epoch = 0
        while not stop.is_set():
            epoch = epoch % 50 + 1
            rows = [",".join([str(row), *(f"{row * 1.5}" for _ in names[1:])]) for row in range(1, epoch + 1)]
            content = ("\n".join([",".join(names), *rows]) + "\n").encode()
            known[sha256_of(content)] = epoch
            temporary = folder / (columns.INTERMEDIATE_CSV + ".tmp")
            temporary.write_bytes(content)
            temporary.replace(folder / columns.INTERMEDIATE_CSV)
            uploader.step()
            stop.wait(0.02)

    writer = threading.Thread(target=overwrite)
    writer.start()
    try:
        wait_until(lambda: _has_metrics(job), "the first csv")
        lengths = set()
        for _ in range(READS):
            frame = Metrics.read(local, job.layout).frame
            assert list(frame[columns.EPOCH]) == list(range(1, len(frame) + 1))
            assert not frame.isna().to_numpy().any()
            lengths.add(len(frame))
    finally:
        stop.set()
        writer.join()
        uploader.drain(10)
    assert len(lengths) > 10, "the csv was not being overwritten"
    job.wait()


def _has_metrics(job: Job) -> bool:
    try:
        job.metrics()
    except InputError:
        return False
    return True


def test_the_home_of_these_tests_is_its_own(local: LocalSession) -> None:
    assert HomePaths.of(local.home).cloud_file.exists()


def test_a_debugger_can_attach(local: LocalSession, tmp_path: Path) -> None:
    """The Debug Adapter Protocol, as an editor speaks it: the script runs when the debugger says so, not before."""
    path = script(tmp_path, "open('ran.txt', 'w').write('x')")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from launcher import RLEstimator\n"
            f"RLEstimator({str(path)!r}, instance_type='local').fit(job_name='attached', debug_port={port})",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment(local),
    )
    attached: list[socket.socket] = []

    def connect() -> bool:
        with contextlib.suppress(OSError):
            attached.append(socket.create_connection(("127.0.0.1", port), 1))
        return bool(attached)

    wait_until(connect, "the debugger's port")
    assert not (tmp_path / "ran.txt").exists()
    with attached[0] as connection:
        connection.settimeout(DEADLINE)
        for number, (name, arguments) in enumerate(
            [
                ("initialize", {"adapterID": "test"}),
                ("attach", {"connect": {"host": "127.0.0.1", "port": port}}),
                ("configurationDone", {}),
            ],
            1,
        ):
            if name == "configurationDone":
                received = b""
                while b'"initialized"' not in received:
                    received += connection.recv(65536)
            body = json.dumps({"seq": number, "type": "request", "command": name, "arguments": arguments})
            connection.sendall(f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        assert process.wait(DEADLINE) == 0
    assert (tmp_path / "ran.txt").exists()
    assert Job("attached", local).status().status == "Completed"
