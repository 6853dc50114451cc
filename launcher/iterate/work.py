"""The steps of a round, done: scripts on this computer, training and evaluation as jobs."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract.divided import Divided
from batchrl.contract.errors import DamagedContent, InputError
from batchrl.contract.paths import CHECKPOINT_CHANNEL, TRAINING_CHANNEL, TRAINING_SUMMARY_NAME
from batchrl.contract.records import from_json
from launcher.api.joboptions import JobOptions
from launcher.iterate import attempts, collectors, feasible
from launcher.iterate.settings import LoopSettings
from launcher.iterate.state import move, read_json
from launcher.iterate.step_files import Evaluated, Trained
from launcher.iterate.steps import Actor, Cut, Look, Play
from launcher.library import answering
from launcher.library.answering import Answers
from launcher.library.ask import ask
from launcher.library.scripts import script_path
from launcher.training.joboptions import DEFAULT_PRESETS, estimator_of

if TYPE_CHECKING:
    from launcher.jobs.training import Job
    from launcher.serving.model import Model
    from launcher.session.session import Session

COLLECT, GATE = "collect.py", "gate.py"
TRAIN, EVALUATE = "train.py", "evaluate.py"
DEBUG_TYPE = "local_debug"
# Stands for what there will be, in plans that are never sent.
NOWHERE = "s3://nowhere/job/output/model.tar.gz"


class Work:
    """See ``steps.Steps``.

    Args:
        settings: of the loop.
        folder: of the loop.
        say: takes a line about what happens.
    """

    def __init__(self, settings: LoopSettings, folder: Path, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._folder = folder
        self._say = say
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The cloud that the loop's jobs are on."""
        if self._session is None:
            from launcher.session.session import Session

            self._session = Session.for_instance_type(self._settings.jobs.instance_type)
        return self._session

    def check(self, behavior: Actor) -> None:
        """Refuse what could not run, before anything is started or written.

        Args:
            behavior: the policy of the first round.

        Raises:
            InputError: there is no such environment, the policy does not fit it, does not act by chance or did not log
                the data, the job options are wrong, no container could start, or the settings leave no round a chance.
        """
        feasible.check_names(self._settings)
        feasible.check_division(self._settings)
        self._check_jobs()
        play = Play("check", behavior, episodes=1, seed=0)
        options = [*self._playing(play), "--policy", behavior.policy, *self._softening(behavior), "--check"]
        with tempfile.TemporaryDirectory(prefix="batchrl-") as scratch:
            place = Path(scratch)
            told = answering.run(script_path(COLLECT), [*options, "--output", str(place / "none.parquet")])
            said = json.loads(told.splitlines()[-1])  # environments of users' own may print as well
            if not behavior.softened and not said["by_chance"]:
                raise InputError(
                    f"collect.behavior={behavior.policy}: it takes one action for certain, and where nothing is left "
                    "to chance, no other policy can be estimated.",
                    "Name one that gives several actions a probability, such as uniform.",
                )
            feasible.check_fits(self._settings, said["max_episode_steps"])
            feasible.check_eligible(said["eligible"], said["env"])
            if self._settings.data is None:
                return
            cut = Cut(self._settings.preset.gate.holdout, seed=0, prefix="", logged_by=behavior)
            kept, held_out = place / "kept.parquet", place / "held_out.parquet"
            found = self.divide(Path(self._settings.data), kept, held_out, cut)
            feasible.check_eligible(found.eligible, self._settings.data)
        if (found.features, found.actions) != (said["features"], said["actions"]):
            raise InputError(
                f"{self._settings.data} has {found.features} features and {found.actions} actions, but "
                f"{said['env']} has {said['features']} and {said['actions']}.",
                "Name the environment that the data comes from: --set env.id=ID",
            )

    def _check_jobs(self) -> None:
        """Refuse job options with which the jobs of a round would be refused: each is planned, nothing is sent."""
        from launcher.api.instances import CONTAINER_INSTANCE_TYPES
        from launcher.local.engine.image import default_image
        from launcher.local.preflight import require_container

        settings, jobs = self._settings, self._settings.jobs
        if jobs.instance_type == DEBUG_TYPE:
            raise InputError(
                f"instance_type '{DEBUG_TYPE}' runs a job in the terminal, and a loop has many.",
                "Use local_process; debug a single job with: batchrl train --debug",
            )
        planned = [(settings.training_job(self._folder), TRAIN, TRAINING_CHANNEL)]
        evaluation = settings.evaluation_job(self._folder)
        if evaluation is not None:
            planned.append((evaluation, EVALUATE, CHECKPOINT_CHANNEL))
        for options, script, channel in planned:
            # The loop's folder does not hold the user's presets yet.
            named = replace(options, preset=DEFAULT_PRESETS[script], hyperparameters=None)
            estimator_of(named, script).plan({channel: NOWHERE}, job_name=settings.name)
        if settings.preset.collect.collector != "policy":
            self._model(Actor("any", "any", True, NOWHERE)).plan()
        if jobs.instance_type in CONTAINER_INSTANCE_TYPES:
            require_container(jobs.image_uri or default_image())

    def collect(self, play: Play, target: Path) -> None:
        """Play episodes with the play's policy and write them to ``target``; see ``Steps``."""
        options = [*self._playing(play), "--with-ends", "--output", str(target)]
        with self._answering(play) as answers:
            if answers is None:
                options += ["--policy", play.actor.policy, *self._softening(play.actor)]
            answering.run(script_path(COLLECT), options, answers)

    def tidy(self, play: Play) -> None:
        """Remove what collecting left in the cloud: the endpoint or the jobs of one play."""
        if not self._is_deployed(play.actor):
            return
        if self._settings.preset.collect.collector == "endpoint":
            collectors.remove_endpoint(play.name, self.session)
        else:
            self._model(play.actor).delete()

    def divide(self, source: Path, kept: Path, held_out: Path | None, cut: Cut) -> Divided:
        """Divide a file's episodes into kept and held-out ones by the script that knows the format."""
        options = ["--seed", str(cut.seed), "--prefix", cut.prefix]
        if held_out is not None:
            options += ["--held-out", str(held_out), "--share", str(cut.share)]
        if cut.logged_by is not None:
            options += ["--logged-by", cut.logged_by.policy, *self._softening(cut.logged_by)]
        return from_json(Divided, ask("divide", str(source), str(kept), *options))

    def train(self, name: str, data: Mapping[str, Path], model: Path, training: Path) -> Trained:
        """Train a candidate by a job, and pull its model and its estimates."""
        options = self._settings.training_job(self._folder)
        with linked(data) as episodes:
            job = self._run(name, options, TRAIN, {TRAINING_CHANNEL: str(episodes)})
        pulled = model.parent / "pulled"
        for what in ("model", "output"):
            job.pull(pulled, what=what, unpack=True)
        move(pulled / "output" / "model", model)
        move(pulled / "output" / "data", training)
        summary = read_json(training / TRAINING_SUMMARY_NAME)
        if summary is None:
            raise DamagedContent(f"the job '{job.name}' has left no {TRAINING_SUMMARY_NAME}.")
        best = summary["best"]
        return Trained(
            job=job.name,
            model_uri=job.model_uri,
            checkpoint_uri=job.checkpoint_uri,
            epoch=best["epoch"],
            epochs=summary["epochs"],
            reason=best["reason"],
        )

    def judge(self, look: Look) -> Mapping[str, Any]:
        """Ask the gate's script whether the candidate earns more; its answer as JSON."""
        gate = self._settings.preset.gate
        options = [str(look.held_out), "--model", str(look.model), "--alpha", repr(look.alpha), "--json"]
        options += ["--seed", str(look.seed), *self._softened()]
        with linked(look.learnt_from) as episodes:
            if look.canary is not None:
                options += ["--canary", str(look.canary)]
            elif gate.q_function == "fqe":
                options += ["--fqe-data", str(episodes), "--fqe-updates", str(gate.fqe_updates)]
            said: dict[str, Any] = json.loads(answering.run(script_path(GATE), options))
        return said

    def evaluate(self, name: str, trained: Trained) -> Evaluated:
        """Play the candidate in the simulator by a job, and read what it returned."""
        from launcher.reports.evaluations import read_evaluation

        options = self._settings.evaluation_job(self._folder)
        assert options is not None
        job = self._run(name, options, EVALUATE, {CHECKPOINT_CHANNEL: trained.checkpoint_uri})
        found = read_evaluation(job)
        return Evaluated(
            job=job.name,
            note="",
            episodes=found.episodes,
            mean_return=found.mean_return,
            standard_error=found.standard_error,
            min_return=found.min_return,
            max_return=found.max_return,
        )

    def _playing(self, play: Play) -> list[str]:
        """Options that say what is played; every copy of the environment plays the same number of episodes."""
        env, wanted = self._settings.preset.env, play.episodes
        copies = min(self._settings.preset.collect.num_envs, wanted)
        options = ["--env", env.id, "--num-envs", str(copies), "--episodes", str(math.ceil(wanted / copies))]
        if env.max_episode_steps is not None:
            options += ["--max-episode-steps", str(env.max_episode_steps)]
        return [*options, "--seed", str(play.seed)]

    def _softening(self, actor: Actor) -> list[str]:
        """Options that make a trained policy act by chance."""
        return self._softened() if actor.softened else []

    def _softened(self) -> list[str]:
        collect = self._settings.preset.collect
        if collect.target_policy == "softmax":
            return ["--temperature", repr(collect.temperature)]
        return ["--epsilon", repr(collect.epsilon)]

    def _is_deployed(self, actor: Actor) -> bool:
        return actor.model_uri is not None and self._settings.preset.collect.collector != "policy"

    @contextmanager
    def _answering(self, play: Play) -> Iterator[Answers | None]:
        """Who answers for the policy; None where it is played in the process of the environments."""
        if not self._is_deployed(play.actor):
            yield None
        elif self._settings.preset.collect.collector == "transform":
            yield collectors.ByTransform(play.name, self._model(play.actor), self._say)
        else:
            with collectors.endpoint(play.name, self._model(play.actor), self._say) as answers:
                yield answers

    def _model(self, actor: Actor) -> Model:
        from launcher.serving.model import Model

        jobs = self._settings.jobs
        assert actor.model_uri is not None
        return Model(
            actor.model_uri,
            image_uri=jobs.image_uri,
            role=jobs.role,
            env=collectors.environment(self._settings.preset.collect),
            instance_type=jobs.instance_type,
            session=self.session,
        )

    def _run(self, name: str, options: JobOptions, script: str, channels: Mapping[str, str]) -> Job:
        from launcher.jobs.training import Job
        from launcher.training.plan import TRAINING_JOB

        session = self.session

        def find(attempt: str) -> Job | None:
            with session.reported(f"looking for the job {attempt}", session.sagemaker):
                return None if TRAINING_JOB.find(session, attempt) is None else Job(attempt, session)

        def start(attempt: str, before: Job | None) -> Job:
            # Another attempt goes on from the checkpoints of the one before.
            place = None if before is None else before.checkpoint_uri
            estimator = estimator_of(options, script, checkpoint_s3_uri=place)
            return estimator.fit(dict(channels), wait=False, job_name=attempt)

        return attempts.run(name, find, start, self._say)


def behavior_of(settings: LoopSettings) -> Actor:
    """The policy of the first round."""
    text = settings.preset.collect.behavior
    return Actor(label=_short(text), policy=text, softened=settings.behavior_sha256 is not None)


def _short(text: str) -> str:
    """A policy's text as a word or two."""
    return Path(text).name if "/" in text and not text.startswith("[") else text.rpartition(":")[2]


@contextmanager
def linked(files: Mapping[str, Path]) -> Iterator[Path]:
    """A folder, for a while, in which files have other names; what is wrong with one is told of the file itself."""
    with tempfile.TemporaryDirectory(prefix="batchrl-") as scratch:
        folder = Path(scratch)
        for name, path in files.items():
            (folder / name).symlink_to(path.absolute())
        try:
            yield folder
        except InputError as error:
            message = error.message
            for name, path in files.items():
                message = message.replace(str(folder / name), str(path))
            whole = next((str(path.parent.parent) for path in files.values()), scratch)
            raise InputError(message.replace(scratch, f"the episodes in {whole}"), error.hint) from error
