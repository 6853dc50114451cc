"""The files and folders of one job on its own disk (contract A3).

SageMaker puts the tree at ``/opt/ml``. The process executor puts the same tree elsewhere and says where in the
environment variable ``BATCHRL_ML_ROOT``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

PLATFORM_ROOT = "/opt/ml"
ROOT_VARIABLE = "BATCHRL_ML_ROOT"
CHECKPOINT_VARIABLE = "SM_CHECKPOINT_DIR"
JOB_NAME_VARIABLE = "TRAINING_JOB_NAME"
JOB_ARN_VARIABLE = "TRAINING_JOB_ARN"
# What DescribeTrainingJob shows of the failure file (contract 80).
MAX_FAILURE_CHARACTERS = 1024
# Where a model server listens instead of port 8080: a unix socket.
SERVE_SOCKET_VARIABLE = "BATCHRL_SERVE_SOCKET"
# Port on loopback at which a Python script waits for a debugger (debugpy).
DEBUG_PORT_VARIABLE = "BATCHRL_DEBUG_PORT"

CODE_CHANNEL = "code"
FAILURE_NAME = "failure"
TRAINING_CHANNEL = "training"
CHECKPOINT_CHANNEL = "checkpoint"
# Folder of the output data for the checkpoints of a job that has no place in S3 for them: where Coach put all of them.
OUTPUT_CHECKPOINTS = "checkpoint"

CODE_ARCHIVE_NAME = "sourcedir.tar.gz"
MODEL_ARCHIVE_NAME = "model.tar.gz"
OUTPUT_ARCHIVE_NAME = "output.tar.gz"
RESOLVED_PRESET_NAME = "resolved_preset.json"
EVALUATION_NAME = "evaluation.json"
TRAINING_SUMMARY_NAME = "training_summary.json"
TRAINING_INPUTS_NAME = "training_inputs.json"


@dataclass(frozen=True)
class JobPaths:
    """Every path of a job below one root.

    Args:
        root: the folder that plays ``/opt/ml``.
        checkpoint_folder: what CheckpointConfig's LocalPath became; None for its default below the root.
    """

    root: Path = Path(PLATFORM_ROOT)
    checkpoint_folder: Path | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> JobPaths:
        """The tree of the job that this process runs in."""
        environ = os.environ if environ is None else environ
        checkpoints = environ.get(CHECKPOINT_VARIABLE)
        return cls(Path(environ.get(ROOT_VARIABLE) or PLATFORM_ROOT), Path(checkpoints) if checkpoints else None)

    def local(self, platform_path: str) -> Path:
        """Where a path that a request spells below ``/opt/ml`` lies in this tree; other paths stay as they are."""
        path = PurePosixPath(platform_path)
        if path.is_relative_to(PLATFORM_ROOT):
            return self.root / path.relative_to(PLATFORM_ROOT)
        return Path(path)

    def keeping_checkpoints(self, environ: Mapping[str, str] | None = None) -> JobPaths:
        """This tree, with checkpoints where they outlive the job: in ``output.tar.gz``, if nothing syncs their folder.

        A folder of checkpoints is synced where the request says so (contract 20, 22); the platform has made it then.
        """
        environ = os.environ if environ is None else environ
        synced = self.checkpoint_folder is not None or self.checkpoint_config.exists() or self.checkpoints.is_dir()
        if synced or JOB_NAME_VARIABLE not in environ:
            return self
        return replace(self, checkpoint_folder=self.output_data / OUTPUT_CHECKPOINTS)

    @property
    def input_config(self) -> Path:
        """Folder of the configuration files (contract 21)."""
        return self.root / "input" / "config"

    @property
    def hyperparameters(self) -> Path:
        """File of the hyperparameters (contract 27)."""
        return self.input_config / "hyperparameters.json"

    @property
    def input_data_config(self) -> Path:
        """File of the channels' descriptions."""
        return self.input_config / "inputdataconfig.json"

    @property
    def resource_config(self) -> Path:
        """File of the hosts' names."""
        return self.input_config / "resourceconfig.json"

    @property
    def checkpoint_config(self) -> Path:
        """File that names the checkpoint folder (contract 22)."""
        return self.input_config / "checkpointconfig.json"

    @property
    def input_data(self) -> Path:
        """Folder that holds one folder a channel."""
        return self.root / "input" / "data"

    def channel(self, name: str) -> Path:
        """Folder of a channel."""
        return self.input_data / name

    @property
    def code_archive(self) -> Path:
        """The code as it arrived."""
        return self.channel(CODE_CHANNEL) / CODE_ARCHIVE_NAME

    @property
    def code(self) -> Path:
        """Folder that the code is unpacked into (contract 24)."""
        return self.root / "code"

    @property
    def model(self) -> Path:
        """Folder that becomes ``model.tar.gz``."""
        return self.root / "model"

    @property
    def output(self) -> Path:
        """Folder of the job's outputs."""
        return self.root / "output"

    @property
    def output_data(self) -> Path:
        """Folder that becomes ``output.tar.gz``."""
        return self.output / "data"

    @property
    def intermediate(self) -> Path:
        """Folder that is synced while the job runs."""
        return self.output / "intermediate"

    @property
    def failure(self) -> Path:
        """File that says why the job failed (contract 80)."""
        return self.output / FAILURE_NAME

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints (contract 20)."""
        return self.checkpoint_folder or self.root / "checkpoints"
