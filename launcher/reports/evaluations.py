"""What an evaluation job found."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract import jsontext
from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.paths import CHECKPOINT_CHANNEL, EVALUATION_NAME
from launcher.base.notices import say
from launcher.base.product import TRAIN_SCRIPT
from launcher.base.units import with_error
from launcher.jobs.kinds import EVALUATION, channels_in, kind_in
from launcher.jobs.training import LOOKED_AT, program_of

if TYPE_CHECKING:
    from launcher.jobs.training import Job
    from launcher.session.session import Session

# A job that is stopped leaves what it had learnt.
WITH_MODEL = frozenset({"Completed", "Stopped"})


@dataclass(frozen=True)
class Evaluation:
    """Returns of whole episodes, plain and discounted.

    Args:
        mean_return: over all episodes.
        standard_error: of that mean; None with one episode.
        min_return, max_return: of an episode.
        episodes, steps: how many were played.
        discount: of one step; None where the policy does not say it.
        discounted_return: mean over all episodes.
        discounted_standard_error: of that mean.
        env: the simulator; None where the file does not say it.
        policy: what it says of the policy that played.
    """

    mean_return: float
    standard_error: float | None
    min_return: float
    max_return: float
    episodes: int
    steps: int
    discount: float | None = None
    discounted_return: float | None = None
    discounted_standard_error: float | None = None
    env: str | None = None
    policy: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Evaluation:
        """Read the file that an evaluation job writes.

        Raises:
            DamagedContent: it is not what such a job writes.
        """
        try:
            values: dict[str, Any] = jsontext.parsed(path.read_text())
            wanted = [each.name for each in fields(cls) if each.name in values or _is_needed(each)]
            return cls(**{name: values[name] for name in wanted})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedContent(f"{path} does not hold an evaluation: {error!r}.") from error

    @property
    def mean(self) -> str:
        """The mean with its standard error."""
        return with_error(self.mean_return, self.standard_error)

    @property
    def discounted_mean(self) -> str:
        """The discounted mean with its standard error; a dash where it is not known."""
        return (
            "-"
            if self.discounted_return is None
            else with_error(self.discounted_return, self.discounted_standard_error)
        )

    def sentence(self) -> str:
        """The result in a line."""
        discounted = ""
        if self.discounted_return is not None:
            discounted = f" Discounted by {self.discount:g} a step: {self.discounted_mean}."
        span = f"{self.min_return:g} to {self.max_return:g}"
        return f"Mean return {self.mean}, {self.episodes} episodes, {span}.{discounted}"


def _is_needed(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def read_evaluation(job: Job) -> Evaluation:
    """The result of an evaluation job that has ended.

    Raises:
        InputError: the job has no output.
        DamagedContent: its output holds no evaluation.
        Unreachable: the store does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="batchrl-") as folder:
        job.pull(folder, what="output", unpack=True)
        return Evaluation.read(Path(folder) / "output" / "data" / EVALUATION_NAME)


def find_evaluation(trained: Job) -> tuple[Job, Evaluation] | None:
    """The newest job among the newest that evaluated a training job's checkpoints, and what it found; None for none.

    One whose output is missing or damaged is passed over, with a notice.

    Raises:
        Unreachable: cloud or store does not answer.
    """
    from launcher.jobs.training import Job, list_jobs

    place = trained.checkpoint_uri.rstrip("/")
    for summary in list_jobs(trained.session, status="Completed", limit=LOOKED_AT):
        job = Job(summary.name, trained.session)
        answer = job.find()  # None where it was deleted meanwhile
        if answer is None or kind_in(answer) != EVALUATION:
            continue
        if channels_in(answer).get(CHECKPOINT_CHANNEL, "").rstrip("/") != place:
            continue
        try:
            return job, read_evaluation(job)
        except (InputError, DamagedContent) as error:
            say(f"The evaluation {job.name} is left out: {error.message}")
    return None


def newest_training(session: Session) -> Job:
    """The newest job that ran the product's ``train.py`` and has ended well; a notice says which it is.

    Raises:
        InputError: there is none among the newest jobs.
        Unreachable: the cloud does not answer.
    """
    from launcher.jobs.training import Job, list_jobs

    for summary in list_jobs(session, limit=LOOKED_AT):
        job = Job(summary.name, session)
        if summary.status in WITH_MODEL and program_of(job) == TRAIN_SCRIPT:
            say(f"No model was named: that of the newest training job, {job.name}")
            return job
    raise InputError(
        "there is no training job that has ended with a model.", "Name one: --job NAME, or --checkpoint URI"
    )
