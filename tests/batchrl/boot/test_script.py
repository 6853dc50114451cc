"""The script as boot's child: arguments, environment, exit code, output, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batchrl.boot.environment import user_arguments, variable

PRINT_ENVIRONMENT = "import os, json, sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))"


def is_dead(pid: int) -> bool:
    """Whether a process is gone, or waits for a parent to notice."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


@pytest.fixture
def described(machine):
    """The script's arguments, environment and folder."""

    def run(**hyperparameters):
        machine.hyperparameters(**hyperparameters)
        machine.script(PRINT_ENVIRONMENT)
        code, output = machine.run()
        assert code == 0, output
        return json.loads(output)

    return run


def test_A34_arguments_are_sorted_words_of_the_toolkit():
    values = {"b": True, "alpha": 0.1, "layers": [64, 64], "nested": {"y": 2, "x": 1}, "nothing": None, "z": "text"}
    assert user_arguments(values) == (
        ["--alpha", "0.1", "-b", "True", "--layers", "[64, 64]", "--nested", "x=1,y=2", "--nothing", "", "-z", "text"]
    )


def test_A35_values_in_the_environment_are_raw_text_or_compact_json():
    assert [variable(value) for value in ("a b", None, 1.5, True, {"b": 1, "a": [2]})] == (
        ["a b", "", "1.5", "true", '{"a":[2],"b":1}']
    )


def test_A31_A33_A34_the_script_gets_its_own_hyperparameters_as_arguments(described):
    arguments, _, _ = described(
        lr="1e3", name='"train.py"', code="00123", sagemaker_region="x", _tuning_objective_metric="m"
    )
    assert arguments == ["--code", "00123", "--lr", "1000.0", "--name", "train.py"]


def test_A17_A35_the_script_finds_its_job_in_SM_variables(machine, described):
    paths = machine.paths
    paths.input_config.mkdir(parents=True, exist_ok=True)
    paths.input_data_config.write_text(json.dumps({"training": {"TrainingInputMode": "File"}}))
    group = {"instance_group_name": "homogeneousCluster", "instance_type": "local", "hosts": ["algo-1"]}
    resources = {
        "current_host": "algo-1",
        "hosts": ["algo-1"],
        "network_interface_name": "eth0",
        "current_instance_type": "local",
        "current_group_name": "homogeneousCluster",
        "instance_groups": [group],
    }
    paths.resource_config.write_text(json.dumps(resources))
    paths.checkpoint_config.write_text(json.dumps({"LocalPath": "/opt/ml/checkpoints"}))
    _, environ, folder = described(**{"learning-rate": "0.1", "sagemaker_job_name": "x"})
    expected = {
        "SM_MODEL_DIR": str(paths.model),
        "SM_OUTPUT_DIR": str(paths.output),
        "SM_OUTPUT_DATA_DIR": str(paths.output_data),
        "SM_OUTPUT_INTERMEDIATE_DIR": str(paths.intermediate),
        "SM_INPUT_DIR": str(paths.root / "input"),
        "SM_INPUT_CONFIG_DIR": str(paths.input_config),
        "SM_CHANNEL_TRAINING": str(paths.channel("training")),
        "SM_CHANNELS": '["training"]',
        "SM_CHECKPOINT_DIR": str(paths.checkpoints),
        "SM_HPS": '{"learning-rate":0.1}',
        "SM_HP_LEARNING-RATE": "0.1",
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
        "SM_CURRENT_INSTANCE_GROUP": "homogeneousCluster",
        "SM_NETWORK_INTERFACE_NAME": "eth0",
        "SM_NUM_CPUS": str(os.cpu_count()),
        "SM_USER_ARGS": '["--learning-rate","0.1"]',
        "SM_USER_ENTRY_POINT": "script.py",
        "SM_MODULE_NAME": "script",
        "SM_MODULE_DIR": str(paths.code),
        "SM_FRAMEWORK_PARAMS": '{"sagemaker_job_name":"x","sagemaker_program":"script.py"}',
        "PYTHONUNBUFFERED": "1",
    }
    assert {name: environ.get(name) for name in expected} == expected
    assert json.loads(environ["SM_TRAINING_ENV"])["hyperparameters"] == {"learning-rate": 0.1}
    assert json.loads(environ["SM_RESOURCE_CONFIG"]) == resources
    assert folder == str(paths.code)
    assert environ["PYTHONPATH"].split(":")[0] == str(paths.code)


def test_A14_the_region_is_there_under_both_names(machine, described):
    machine.environ |= {"AWS_REGION": "eu-west-3", "AWS_DEFAULT_REGION": "eu-west-3"}
    _, environ, _ = described()
    assert (environ["AWS_REGION"], environ["AWS_DEFAULT_REGION"]) == ("eu-west-3", "eu-west-3")


def test_a_home_that_cannot_be_written_is_replaced(machine, described):
    machine.environ["HOME"] = "/"
    _, environ, _ = described()
    assert environ["HOME"] != "/" and os.access(environ["HOME"], os.W_OK)
    assert environ["USER"] and environ["LOGNAME"]


@pytest.mark.parametrize("code", [0, 3, 255])
def test_A79_A84_boot_ends_with_the_scripts_own_exit_code(machine, code):
    machine.script(f"import sys; sys.exit({code})")
    assert machine.run()[0] == code


def test_A83_a_script_that_a_signal_ended_gives_128_and_its_number(machine):
    machine.script("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    code, _ = machine.run()
    assert code == 128 + signal.SIGKILL
    assert "SIGKILL" in machine.failure and "out of memory" in machine.failure


def test_A11_stdout_and_stderr_are_one_stream_in_the_order_of_writing(machine):
    machine.script(
        "import sys\nfor number in range(300):\n    print(number, file=(sys.stdout, sys.stderr)[number % 2])\n"
    )
    assert machine.run()[1].split() == [str(number) for number in range(300)]


def test_A116_output_is_there_at_once(machine):
    machine.script("import sys, time\nprint('ready')\nsys.stderr.write('half')\nsys.stderr.flush()\ntime.sleep(30)\n")
    process = machine.start()
    seen = b""
    while b"half" not in seen:
        seen += os.read(process.stdout.fileno(), 100)
    assert seen == b"ready\nhalf"


def test_output_that_is_no_text_passes_unchanged(machine):
    machine.script("import os; os.write(1, bytes(range(256)) * 1000)")
    process = machine.start()
    output, _ = process.communicate(timeout=30)
    assert output == bytes(range(256)) * 1000


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_A96_F233_a_signal_reaches_the_script_and_its_children_and_its_exit_code_counts(machine, signum):
    machine.script(
        f"""
import signal, sys
def stop(*arguments):
    print("child")
    sys.exit()
signal.signal({signum}, stop)
print("up")
signal.pause()
""",
        "child.py",
    )
    machine.script(
        f"""
import signal, subprocess, sys
def stop(*arguments):
    child.wait()
    print("saved")
    sys.exit(7)
signal.signal({signum}, stop)
child = subprocess.Popen([sys.executable, "child.py"])
while True:
    signal.pause()
"""
    )
    process = machine.start()
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signum)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (7, b"child\nsaved\n")


def test_a_script_without_a_handler_ends_with_143(machine):
    machine.script("print('up'); import time; time.sleep(60)")
    process = machine.start()
    assert process.stdout.readline() == b"up\n"
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 143


def test_a_signal_before_the_script_is_started_ends_the_job_without_it(machine):
    machine.script("print('started')")
    fifo = machine.paths.hyperparameters
    fifo.unlink()
    os.mkfifo(fifo)
    process = machine.start()
    with fifo.open("w") as writer:  # opens once boot reads it, so that its handlers stand
        process.terminate()
        writer.write(json.dumps({"sagemaker_program": "script.py"}))
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (143, b"")


def test_what_the_script_left_running_does_not_outlive_it(machine):
    machine.script(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid)\n"
    )
    code, output = machine.run()
    assert code == 0
    machine.wait_until(lambda: is_dead(int(output)), "the child is killed")


def test_A34_a_shell_script_runs_as_well(machine):
    machine.hyperparameters(sagemaker_program="run.sh", epochs="3")
    machine.script('echo "$SM_HP_EPOCHS" "$@"', "run.sh")
    assert machine.run() == (0, "3 --epochs 3\n")


def test_boot_imports_nothing_heavy_before_the_script():
    heavy = ("boto3", "botocore", "asyncio", "importlib.metadata", "urllib.request")
    program = f"import batchrl.boot.train, sys; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.stdout == "[]\n", answer.stderr


@pytest.mark.parametrize("arguments", [["predict"], ["train", "more"], ["serve", "more"]])
def test_anything_but_train_and_serve_is_refused(machine, arguments):
    code, output = machine.run(*arguments)
    assert code == 2 and "usage" in output
