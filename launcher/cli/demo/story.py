"""The whole workflow on CartPole, for real: collect, train as a job, watch, plot, evaluate, report."""

from __future__ import annotations

import json
import math
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract import columns
from batchrl.contract.errors import BatchRLError, DamagedContent, InputError
from batchrl.contract.paths import (
    CHECKPOINT_CHANNEL,
    EVALUATION_NAME,
    RESOLVED_PRESET_NAME,
    TRAINING_CHANNEL,
    TRAINING_SUMMARY_NAME,
)
from launcher.base import extras
from launcher.cli.demo.report import WIDTH, DemoReport, LoggedData, Score, Selection
from launcher.cli.estimates import HEADING, follow_frames, new_rows, shown_row
from launcher.reports.evaluations import Evaluation
from launcher.session.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from launcher.jobs.training import Job
from launcher.base.product import COLLECT_SCRIPT, TRAIN_SCRIPT
from launcher.library.scripts import run_script, script_path

ENVIRONMENT = "CartPole-v0"
NUM_ENVS = 100
EPISODES_PER_ENV = 5
EVALUATE_PRESET = "cartpole-ddqn-bcq-env"
EVALUATE_STEPS = 1000
# So many lines of estimates, and the first epoch's; `batchrl metrics` has all of them.
SHOWN_EPOCHS = 6

Say = Callable[[str], None]


@dataclass(frozen=True)
class ExecutorChoice:
    """Where the jobs of the demo run.

    Args:
        instance_type: ``local`` or ``local_process``.
        sentence: what was chosen, and why.
    """

    instance_type: str
    sentence: str


@dataclass(frozen=True)
class Demo:
    """One run of the demo.

    Args:
        executor: ``auto``, ``docker`` or ``process``.
        preset: of the training, a name or the path of a YAML file; it must fit CartPole.
        epochs: of the training; None for as many as the preset says.
        folder: where its files go; made if need be, what an earlier run left is replaced.
        seed: of everything random.
        say: takes each line about what happens.
    """

    executor: str
    preset: str
    epochs: int | None
    folder: Path
    seed: int
    say: Say

    def run(self) -> DemoReport:
        """Run everything.

        Raises:
            InputError: packages are not installed, the preset is none for training, the folder cannot be written, or
                containers were asked for and cannot be had.
            JobFailed: a job failed.
            Unreachable: cloud or store do not answer.
        """
        started = time.monotonic()
        epochs = self._epochs()
        self.say("Starting the local cloud.")
        extras.require("the demo", extras.LOCAL, extras.JOB, extras.PLOTS)
        chosen = choose_executor(self.executor)
        for line in textwrap.wrap(chosen.sentence, WIDTH, break_on_hyphens=False):
            self.say(line)
        data, picture = self.folder / "cartpole.csv", self.folder / "ope.png"
        self._make_folder()
        _ = Session.local().address  # asking for it starts the cloud
        self._collect(data)
        training = self._train(data, chosen.instance_type, epochs)
        training.metrics().plot(picture)
        training.pull(self.folder / "training", what="output", unpack=True)
        evaluating = self._evaluate(training, chosen.instance_type)
        evaluating.pull(self.folder / "evaluation", what="output", unpack=True)
        evaluating.pull(self.folder / "evaluation", what="intermediate")
        return self._report(chosen, training, evaluating, time.monotonic() - started)

    def _settings(self) -> dict[str, str | int]:
        return {"seed": self.seed} if self.epochs is None else {"seed": self.seed, "epochs": self.epochs}

    def _epochs(self) -> int:
        """How many there will be; a preset that training would refuse is refused before anything is played."""
        from launcher.training import presetting
        from presets.schema import TrainPreset

        preset = presetting.check(presetting.settings(self.preset, self._settings()), TRAIN_SCRIPT)
        assert isinstance(preset, TrainPreset)
        return preset.epochs

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be made: {error.strerror}.", "Give another one: --output"
            ) from error

    def _collect(self, data: Path) -> None:
        self.say(f"1. Collect: {NUM_ENVS} environments, {EPISODES_PER_ENV} episodes each, uniform policy")
        options = {
            "--env": ENVIRONMENT,
            "--num-envs": str(NUM_ENVS),
            "--episodes": str(EPISODES_PER_ENV),
            "--seed": str(self.seed),
            "--output": str(data),
        }
        arguments = tuple(part for option in options.items() for part in option)
        # stdout is for the report: with --json it must hold nothing else.
        code = run_script(script_path(COLLECT_SCRIPT), arguments, stdout=sys.stderr.fileno())
        if code:
            fault = BatchRLError(f"the collection ended with exit code {code}.")
            fault.exit_code = code
            raise fault

    def _train(self, data: Path, instance_type: str, epochs: int) -> Job:
        from launcher.training.estimator import RLEstimator

        estimator = RLEstimator(
            "train.py",
            preset=self.preset,
            instance_type=instance_type,
            hyperparameters=self._settings(),
            base_job_name="demo-train",
        )
        job = estimator.fit({TRAINING_CHANNEL: str(data)}, wait=False)
        self.say(f"2. Train: {Path(self.preset).stem}, {epochs} epochs, job {job.name}\n{HEADING}")
        every = math.ceil(epochs / SHOWN_EPOCHS)
        with stopped_on_interrupt(job):
            for row in new_rows(follow_frames(job)):
                epoch = int(row[columns.EPOCH])
                if epoch == 1 or epoch % every == 0 or epoch == epochs:
                    self.say(shown_row(row))
            job.wait()
        return job

    def _evaluate(self, training: Job, instance_type: str) -> Job:
        from launcher.training.estimator import RLEstimator

        estimator = RLEstimator(
            "evaluate.py",
            preset=EVALUATE_PRESET,
            instance_type=instance_type,
            hyperparameters={"evaluate_steps": EVALUATE_STEPS, "seed": self.seed},
            base_job_name="demo-evaluate",
        )
        job = estimator.fit({CHECKPOINT_CHANNEL: training.checkpoint_uri}, wait=False)
        self.say(f"3. Evaluate in the simulator: job {job.name}")
        with stopped_on_interrupt(job):
            job.wait()
        return job

    def _report(self, chosen: ExecutorChoice, training: Job, evaluating: Job, seconds: float) -> DemoReport:
        trained = self.folder / "training" / "output" / "data"
        evaluated = self.folder / "evaluation" / "output"
        preset = _read_json(trained / RESOLVED_PRESET_NAME)
        discount = float(preset["agent"]["discount"])
        summary = _read_json(trained / TRAINING_SUMMARY_NAME)
        data = self.folder / "cartpole.csv"
        files = {
            "logged data": data,
            "curves": self.folder / "ope.png",
            "estimates": trained / columns.INTERMEDIATE_CSV,
            "evaluation": evaluated / "data" / EVALUATION_NAME,
        }
        for gif in sorted((evaluated / "intermediate").rglob("*.gif"))[:1]:
            files["an episode"] = gif
        return DemoReport(
            executor=chosen.sentence,
            preset=self.preset,
            training_job=training.name,
            evaluation_job=evaluating.name,
            logged=logged_data(data, discount),
            selection=_selection(summary, training.metrics().frame, discount),
            evaluation=Evaluation.read(files["evaluation"]),
            folder=self.folder,
            files=files,
            objects={"checkpoints": training.checkpoint_uri, "model": training.model_uri},
            seconds=seconds,
        )


@contextmanager
def stopped_on_interrupt(job: Job) -> Iterator[None]:
    """A block that waits for a job: Ctrl-C stops the job and waits for its end before it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        job.stop()
        job.wait(check=False)
        raise


def choose_executor(wanted: str) -> ExecutorChoice:
    """Containers when an engine answers and has the image, processes when not; the sentence says which and why.

    Raises:
        InputError: containers are wanted and no engine answers, or it does not have the image.
    """
    from launcher.local.engine.image import default_image, present
    from launcher.local.engine.status import engine_status
    from launcher.local.preflight import require_container

    if wanted == "process":
        return ExecutorChoice("local_process", "Jobs run as processes, as asked.")
    image = default_image()
    if wanted == "docker":
        require_container(image)
        return ExecutorChoice("local", f"Jobs run in containers of the image {image}, as asked.")
    status = engine_status()
    if not status.available:
        return ExecutorChoice("local_process", f"Jobs run as processes: {status.reason}.")
    if not present(image):
        return ExecutorChoice(
            "local_process",
            f"Jobs run as processes: Docker answers but has no image {image} (`batchrl image build` makes it).",
        )
    return ExecutorChoice(
        "local", f"Jobs run in containers: Docker {status.version} answers and has the image {image}."
    )


def logged_data(path: Path, discount: float) -> LoggedData:
    """Returns of the logged episodes.

    Args:
        path: the csv.
        discount: of the discounted return.

    Raises:
        DamagedContent: it is no such csv.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(path, usecols=[columns.EPISODE_ID, columns.REWARD])
    except (OSError, ValueError) as error:
        raise DamagedContent(f"{path} does not hold logged episodes: {error}") from error
    rewards = frame[columns.REWARD].fillna(0.0)
    steps = frame.groupby(columns.EPISODE_ID).cumcount()
    returns = rewards.groupby(frame[columns.EPISODE_ID]).sum()
    discounted = (rewards * discount**steps).groupby(frame[columns.EPISODE_ID]).sum()
    standard_error = float(returns.std(ddof=1)) / len(returns) ** 0.5
    return LoggedData(len(returns), float(returns.mean()), standard_error, float(discounted.mean()))


def _selection(summary: dict[str, Any], frame: pd.DataFrame, discount: float) -> Selection:
    from launcher.cli.estimates import records

    best, estimates = summary["best"], summary["estimates"]
    (row,) = records(frame[frame[columns.EPOCH] == best["epoch"]])
    return Selection(
        epoch=best["epoch"],
        epochs=len(frame),
        reason=best["reason"],
        beside=summary["beside"],
        discount=discount,
        row=row,
        score=Score.of(estimates["score"], estimates["episodes"], estimates["episodes_of"]),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DamagedContent(f"{path} cannot be read: {error}") from error
    return values
