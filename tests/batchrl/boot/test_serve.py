"""``python -m batchrl.boot serve``: which code serves a model, and the server as PID 1's child."""

from __future__ import annotations

import json
import shutil
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from modelservers import exported, free_port, policy_model

from batchrl.boot.serve import server_code
from batchrl.contract.errors import InputError
from batchrl.contract.inference import CODE_FOLDER, InferenceCode


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("model"), policy_model())


@pytest.fixture
def port(machine, model_folder):
    """The port of the server that the machine will run; its model is in place."""
    shutil.copytree(model_folder, machine.paths.model)
    number = free_port()
    machine.environ |= {"SAGEMAKER_BIND_TO_PORT": str(number), "SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
    yield number
    for process in machine.running:
        if process.poll() is None:  # killed, it would leave the server behind
            process.terminate()
            process.wait(30)


def answered(machine, port, path="/ping", body=None):
    """The answer of the server, once it is there."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "text/csv"})
    deadline = time.monotonic() + 60
    while True:
        try:
            return urllib.request.urlopen(request, timeout=5).read()
        except urllib.error.HTTPError:
            raise
        except OSError:
            pass
        assert machine.running[-1].poll() is None, machine.running[-1].stdout.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_B125_C180_C185_serve_answers_until_it_is_stopped_and_ends_with_0(machine, port, signum):
    process = machine.start("serve")
    assert answered(machine, port) == b""
    assert answered(machine, port, "/invocations", b"1,2,3").count(b",") == 3
    process.send_signal(signum)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output.startswith(b"serving a-job (softmax of values")
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5)


def test_B126_C180_the_code_in_the_model_serves_it(machine, port):
    code = machine.paths.model / CODE_FOLDER
    library = code / "batchrl" / "serving" / "media.py"
    library.write_text(library.read_text().replace('"text/csv"', '"text/x-csv"'))
    process = machine.start("serve")
    assert answered(machine, port) == b""
    with pytest.raises(urllib.error.HTTPError) as refused:
        answered(machine, port, "/invocations", b"1,2,3")
    assert refused.value.code == 415
    assert "text/x-csv" in json.loads(refused.value.read())["error"]
    process.terminate()
    assert process.wait(30) == 0


def test_a_server_of_the_models_own_gets_signals_and_its_exit_code_counts(machine, port):
    (machine.paths.model / CODE_FOLDER / "serve.py").write_text(
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *arguments: sys.exit(7))\n"
        "print(os.getcwd(), sys.path[0], flush=True)\n"
        "while True: signal.pause()\n"
    )
    process = machine.start("serve")
    folder = str(machine.paths.model / CODE_FOLDER)
    assert process.stdout.readline().decode().split() == [folder, folder]
    process.terminate()
    assert process.wait(30) == 7


def test_a_stop_before_the_servers_own_handlers_stand_is_a_stop(machine, port):
    (machine.paths.model / CODE_FOLDER / "serve.py").write_text(
        "import time\nprint('up', flush=True)\ntime.sleep(60)\n"
    )
    process = machine.start("serve")
    assert process.stdout.readline() == b"up\n"
    process.terminate()
    assert process.wait(30) == 0


def test_B127_a_missing_model_is_said_and_ends_with_2(machine):
    code, output = machine.run("serve")
    assert code == 2
    assert f"there is no model in {machine.paths.model}" in output
    assert "Traceback" not in output


def test_what_travelled_wins_unless_it_is_what_is_here_already(model_folder, tmp_path):
    own = InferenceCode.own()
    assert server_code(model_folder) == own.scripts
    changed = tmp_path / "changed"
    shutil.copytree(model_folder, changed)
    (changed / CODE_FOLDER / "batchrl" / "added.py").write_text("")
    assert server_code(changed) == changed / CODE_FOLDER
    (changed / CODE_FOLDER / "serve.py").unlink()
    assert server_code(changed) == own.scripts
    assert server_code(tmp_path / "without-code") == own.scripts


def test_an_installation_without_a_server_serves_only_models_that_bring_one(model_folder, tmp_path, monkeypatch):
    bare = InferenceCode(tmp_path, InferenceCode.own().packages)
    monkeypatch.setattr(InferenceCode, "own", classmethod(lambda cls: bare))
    assert server_code(model_folder) == model_folder / CODE_FOLDER
    with pytest.raises(InputError, match=r"no serve\.py"):
        server_code(tmp_path / "without-code")
