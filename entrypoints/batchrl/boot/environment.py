"""What the script is told: ``SM_*`` variables and arguments of SageMaker's training toolkit (contract 17, 31 to 35)."""

from __future__ import annotations

import json
import os
import pwd
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchrl.contract import hyperparameters as names
from batchrl.contract import jsontext
from batchrl.contract.errors import InputError
from batchrl.contract.paths import DEBUG_PORT_VARIABLE, JOB_NAME_VARIABLE, JobPaths

# Hyperparameters that the toolkit keeps from the script beside the reserved prefix (contract 33).
TOOLKIT_KEYS = frozenset({"_tuning_objective_metric", "default_user_module_name"})
DEFAULT_LOG_LEVEL = 20
FALLBACK_USER = "batchrl"


@dataclass(frozen=True)
class JobDescription:
    """What the files of ``/opt/ml/input/config`` say (contract A4, A5, A6, 22).

    Args:
        hyperparameters: decoded values, the reserved ones too.
        channels: content of ``inputdataconfig.json``.
        resources: content of ``resourceconfig.json``.
        checkpoints: folder that is synced as checkpoints, None if the job has none.
    """

    hyperparameters: dict[str, names.Value]
    channels: dict[str, Any]
    resources: dict[str, Any]
    checkpoints: Path | None

    @classmethod
    def read(cls, paths: JobPaths) -> JobDescription:
        """Read the job's configuration.

        Raises:
            InputError: a file is not JSON.
        """
        checkpoint_config = _read_json(paths.checkpoint_config)
        local_path = checkpoint_config.get("LocalPath")
        return cls(
            hyperparameters=names.decode({key: str(text) for key, text in _read_json(paths.hyperparameters).items()}),
            channels=_read_json(paths.input_data_config),
            resources=_read_json(paths.resource_config),
            checkpoints=paths.local(local_path) if local_path else None,
        )

    @property
    def user_hyperparameters(self) -> dict[str, names.Value]:
        """Hyperparameters that are neither reserved nor the toolkit's (contract 33)."""
        return {
            key: value
            for key, value in self.hyperparameters.items()
            if not key.startswith(names.RESERVED_PREFIX) and key not in TOOLKIT_KEYS
        }

    @property
    def framework_hyperparameters(self) -> dict[str, names.Value]:
        """Hyperparameters that are reserved or the toolkit's."""
        own = self.user_hyperparameters
        return {key: value for key, value in self.hyperparameters.items() if key not in own}

    @property
    def program(self) -> str:
        """Name of the script.

        Raises:
            InputError: the request names none.
        """
        program = self.hyperparameters.get(names.PROGRAM)
        if not isinstance(program, str) or not program:
            raise InputError(f"hyperparameter '{names.PROGRAM}' is missing: it names the script to run.")
        return program


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = jsontext.parsed(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object.")
    return content


def user_arguments(values: Mapping[str, names.Value]) -> list[str]:
    """Arguments of the script, sorted by key: ``--key value``, ``-k value`` for a key of one letter (contract 34)."""
    arguments = []
    for key in sorted(values):
        value = values[key]
        arguments.append(f"--{key}" if len(key) > 1 else f"-{key}")
        if isinstance(value, dict):
            arguments.append(",".join(f"{name}={value[name]}" for name in sorted(value)))
        else:
            arguments.append("" if value is None else str(value))
    return arguments


def variable(value: object) -> str:
    """How the toolkit writes a value into the environment: text raw, None as nothing, all else compact JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sm_variables(paths: JobPaths, job: JobDescription, code: Path) -> dict[str, str]:
    """All ``SM_*`` variables of one job."""
    resources = job.resources
    user_values = job.user_hyperparameters
    channels = {name: str(paths.channel(name)) for name in sorted(job.channels)}
    groups = resources.get("instance_groups", [])
    current_group = resources.get("current_group_name", "")
    program = job.program
    values: dict[str, object] = {
        "hosts": resources.get("hosts", []),
        "current_host": resources.get("current_host", ""),
        "current_instance_type": resources.get("current_instance_type", ""),
        "current_instance_group": current_group,
        "current_instance_group_hosts": next(
            (group["hosts"] for group in groups if group.get("instance_group_name") == current_group), []
        ),
        "instance_groups": [group.get("instance_group_name") for group in groups],
        "instance_groups_dict": {group.get("instance_group_name"): group for group in groups},
        "is_hetero": len(groups) > 1,
        "network_interface_name": resources.get("network_interface_name", ""),
        "hps": user_values,
        "user_entry_point": program,
        "framework_params": job.framework_hyperparameters,
        "resource_config": resources,
        "input_data_config": job.channels,
        "channels": list(channels),
        "module_name": Path(program).stem,
        "module_dir": str(code),
        "log_level": job.hyperparameters.get(names.LOG_LEVEL, DEFAULT_LOG_LEVEL),
        "input_dir": str(paths.root / "input"),
        "input_config_dir": str(paths.input_config),
        "output_dir": str(paths.output),
        "output_data_dir": str(paths.output_data),
        "output_intermediate_dir": str(paths.intermediate),
        "model_dir": str(paths.model),
        "num_cpus": os.cpu_count() or 1,
        "num_gpus": visible_gpus(),
        "num_neurons": 0,
        "user_args": user_arguments(user_values),
    }
    if job.checkpoints is not None:
        values["checkpoint_dir"] = str(job.checkpoints)
    training_env = {
        **{key: value for key, value in values.items() if key not in ("hps", "channels", "user_args")},
        "hyperparameters": user_values,
        "channel_input_dirs": channels,
        "job_name": os.environ.get(JOB_NAME_VARIABLE, ""),
        "is_master": resources.get("current_host") == next(iter(sorted(resources.get("hosts", []))), None),
    }
    variables = {f"SM_{key.upper()}": variable(value) for key, value in values.items()}
    variables |= {f"SM_CHANNEL_{name.upper()}": folder for name, folder in channels.items()}
    variables |= {f"SM_HP_{key.upper()}": variable(value) for key, value in user_values.items()}
    variables["SM_TRAINING_ENV"] = variable(training_env)
    return variables


def visible_gpus(devices: Path = Path("/dev")) -> int:
    """Number of NVIDIA devices that this process can see (contract 120)."""
    return sum(1 for device in devices.glob("nvidia[0-9]*"))


def script_environment(
    paths: JobPaths, job: JobDescription, code: Path, packages: Path | None, environ: Mapping[str, str]
) -> dict[str, str]:
    """The script's whole environment.

    Args:
        paths: the job's tree.
        job: its configuration.
        code: folder of the code; first on the import path.
        packages: folder with packages that were installed for this job; second on it.
        environ: environment of this process.
    """
    earlier = environ.get("PYTHONPATH", "")
    search = [str(code), *([str(packages)] if packages else []), *filter(None, earlier.split(os.pathsep))]
    result = {
        **environ,
        **sm_variables(paths, job, code),
        "PYTHONPATH": os.pathsep.join(search),
        "PYTHONUNBUFFERED": "1",
    }
    if region := environ.get("AWS_REGION") or environ.get("SAGEMAKER_REGION"):
        result.setdefault("AWS_REGION", region)
        result.setdefault("AWS_DEFAULT_REGION", region)
    return result | identity(environ)


def identity(environ: Mapping[str, str]) -> dict[str, str]:
    """HOME and USER for a uid that the image's passwd does not know."""
    result = {}
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = FALLBACK_USER
    result["USER"] = environ.get("USER") or name
    result["LOGNAME"] = environ.get("LOGNAME") or result["USER"]
    home = environ.get("HOME", "")
    if not home or home == "/" or not os.access(home, os.W_OK):
        home = tempfile.mkdtemp(prefix="home-")
    return result | {"HOME": home}


def _debugger(environ: Mapping[str, str]) -> list[str]:
    port = environ.get(DEBUG_PORT_VARIABLE)
    return (
        ["-Xfrozen_modules=off", "-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client"] if port else []
    )


def command(job: JobDescription, code: Path, environ: Mapping[str, str] = os.environ) -> list[str]:
    """The script's argv: Python for ``.py``, sh for ``.sh``, otherwise the file itself.

    Args:
        job: the job's configuration.
        code: folder of the code.
        environ: environment of this process; it may ask for a debugger.

    Raises:
        InputError: the code does not hold the script.
    """
    program = job.program
    script = code / program
    if not script.is_file():
        present = ", ".join(sorted(path.name for path in code.iterdir() if path.is_file())[:20]) or "no file"
        raise InputError(f"the entry point '{program}' is not in the code; its folder holds {present}.")
    arguments = user_arguments(job.user_hyperparameters)
    if script.suffix == ".py":
        return [sys.executable, *_debugger(environ), program, *arguments]
    if script.suffix == ".sh":
        return ["/bin/sh", program, *arguments]
    return [str(script), *arguments]
