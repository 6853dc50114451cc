"""``RLEstimator``: describes a job once, and runs it here or on Amazon SageMaker."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract.errors import InputError
from batchrl.contract.layout import BucketLayout, S3Url
from launcher.api import names, training
from launcher.api.arguments import ESTIMATOR, taken_as
from launcher.api.instances import LOCAL_INSTANCE_TYPES
from launcher.api.joboptions import JobOptions
from launcher.api.options import keywords, settled
from launcher.api.servingoptions import DeployOptions
from launcher.base.notices import say
from launcher.base.product import product_scripts
from launcher.jobs import interrupt
from launcher.jobs.tags import tags_of
from launcher.jobs.training import Job
from launcher.local import preflight
from launcher.serving.model import DEPLOY_VOCABULARY, PUSH_OUR_IMAGE, Model, serving_type
from launcher.session.roles import role_arn
from launcher.session.session import LocalSession, Session, resolve_session
from launcher.staging import package
from launcher.staging.datasets import resolve_inputs
from launcher.staging.source import Source
from launcher.training import attaching, datacheck, presetting
from launcher.training import debug as debugging
from launcher.training.plan import Plan, submit

if TYPE_CHECKING:
    from launcher.results.metrics import Metrics
    from launcher.serving.predictor import Predictor
    from launcher.serving.transformer import Transformer

HOW_TO_GET_AN_IMAGE = f"""\
{PUSH_OUR_IMAGE}
or take AWS's PyTorch image, whose toolkit runs the same code (pip install sagemaker):
  sagemaker.core.image_uris.retrieve("pytorch", region="<region>", version="2.6", py_version="py312",
                                     instance_type="ml.m5.xlarge", image_scope="training")
and give the image's URI as image_uri."""

# What ``transformer`` takes for the model, by the model's own names.
_OF_MODEL = {
    "role": "role",
    "image_uri": "image_uri",
    "model_name": "name",
    "enable_network_isolation": "enable_network_isolation",
}


class RLEstimator:
    """A job on logged data, described once and run any number of times.

    Its arguments are the fields of ``launcher.api.joboptions.JobOptions``, listed in ``docs/reference.md``; names of
    SageMaker's SDK are understood or answered.

    Raises:
        UnknownArgument: a keyword is unknown; it is an InputError and a TypeError.
        InputError: an option cannot be.
    """

    @taken_as(JobOptions, ESTIMATOR)
    def __init__(self, options: JobOptions) -> None:
        options.check()
        self.options = options
        self.latest_job: Job | None = None
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The cloud that jobs go to."""
        if self._session is None:
            self._session = resolve_session(self.options.session, self.options.instance_type)
        return self._session

    def plan(
        self,
        inputs: object = None,
        job_name: str | None = None,
        debug: bool = False,
        preset_files: Sequence[Path] = (),
    ) -> Plan:
        """The job as it would be submitted: everything is checked, nothing is sent or started.

        Args:
            inputs: channels; see ``launcher.staging.datasets.resolve_inputs``.
            job_name: None for one that is made from the base name and the time.
            debug: whether the script is to run in the foreground of this terminal.
            preset_files: travel beside that of the job, for trainings that have others.

        Raises:
            InputError: whatever is wrong, before anything is sent.
        """
        options, session = self.options, self.session
        name = job_name or names.job_name_from(options.base_job_name or Path(options.entry_point).stem)
        names.check_job_name(name)
        chosen = presetting.settings(options.preset, options.hyperparameters or {})
        source = self._source(replace(chosen, files=(*chosen.files, *(set(preset_files) - set(chosen.files)))))
        code = package.build(source)
        program = code.listing.program
        script = program if code.listing.runs_product_script(product_scripts()) else None
        preset = presetting.check(chosen, script)
        instance_type = self._instance_type(debug)
        changes = _in_place(source, code, chosen, options) if instance_type == debugging.INSTANCE_TYPE else {}
        output = S3Url.parse_place(options.output_path or f"s3://{session.default_bucket}")
        layout = BucketLayout(S3Url.parse_place(options.code_location) if options.code_location else output)
        given = resolve_inputs(inputs, layout)
        datacheck.check_inputs(script, preset, given)
        code_url = layout.source_archive(code.sha256)
        spec = settled(
            training.JobSpec,
            options,
            job_name=name,
            role=role_arn(options.role, session),
            image_uri=self._image(),
            instance_type=instance_type,
            output_path=str(output),
            program=program,
            code_uri=code_url,
            region=session.region,
            channels=given.channels,
            **{"hyperparameters": chosen.hyperparameters, **changes},
        )
        return Plan(training.create_training_job(spec), code, code_url, given.uploads)

    def fit(
        self,
        inputs: object = None,
        wait: bool = True,
        logs: bool | Callable[[str], object] = True,
        job_name: str | None = None,
        debug: bool = False,
        debug_port: int | None = None,
        on_bytes: Callable[[int], None] = lambda count: None,
    ) -> Job:
        """Run the job.

        Args:
            inputs: channels; a path or an S3 URL alone is the channel ``training``.
            wait: whether to wait for its end; otherwise it is followed with the job that is returned.
            logs: whether to print its log while waiting, or what to do with each line.
            job_name: None for one that is made from the base name and the time.
            debug: run the script in the foreground of this terminal, so that ``breakpoint()`` works.
            debug_port: the same, and wait for a debugger (debugpy) at this port of loopback.
            on_bytes: told the bytes of every part that is sent.

        Raises:
            InputError: something is wrong; nothing was started.
            Unreachable: cloud or store do not answer.
            JobFailed: it failed.
            JobStopped: it was stopped, or reached its time limit.
            KeyboardInterrupt: after Ctrl-C, whether it was detached from or stopped.
        """
        debugging.check_debugger(debug_port)
        plan = self.plan(inputs, job_name, debug or debug_port is not None)
        return self.submit(plan, wait, logs, debug_port, on_bytes)

    def submit(
        self,
        plan: Plan,
        wait: bool = True,
        logs: bool | Callable[[str], object] = True,
        debug_port: int | None = None,
        on_bytes: Callable[[int], None] = lambda count: None,
    ) -> Job:
        """Send a plan as it is; arguments and errors as in ``fit``."""
        if self.session.is_local:
            preflight.check(plan.request, self.session.home)
        if isinstance(self.session, LocalSession):
            preflight.check_space(plan.size, self.session.home)
        for warning in plan.package.warnings:
            say(f"Warning: {warning}")
        submit(plan, self.session, on_bytes)
        job = self.latest_job = Job(plan.job_name, self.session)
        if plan.request["ResourceConfig"]["InstanceType"] == debugging.INSTANCE_TYPE:
            debugging.run_in_foreground(job, debug_port)
        elif wait:
            say(f"Job {job.name}")
            with interrupt.handled(job.name, job.stop, lambda: job.wait(logs=logs, check=False)):
                job.wait(logs=logs)
        return job

    @classmethod
    def attach(cls, job_name: str, session: Session | None = None) -> RLEstimator:
        """An estimator for a job that exists already, with that job as its latest.

        It has all options that the cloud tells of the job; what it does not tell (code on this computer) and what no
        option states is said. Inputs are given to ``fit``.

        Args:
            job_name: name of the job.
            session: the cloud; None for the local one.

        Raises:
            InputError: there is no such job.
        """
        job = Job.attach(job_name, session)
        known = job.describe()
        tags = tags_of(job.session, known["TrainingJobArn"])
        estimator = cls(**attaching.options_of(known | {"Tags": tags}), session=job.session)
        for fact in (*attaching.not_carried(known), *(["its tags may not be read."] if tags is None else ())):
            say(f"Job {job_name}: {fact}")
        estimator.latest_job = job
        return estimator

    @property
    def checkpoint_uri(self) -> str:
        """Where the checkpoints of the latest job lie, as ``fit`` takes it for a channel."""
        return self._job.checkpoint_uri

    @property
    def model_uri(self) -> str:
        """The model archive of the latest job."""
        return self._job.model_uri

    @property
    def model_data(self) -> str:
        """``model_uri``, as SageMaker's SDK calls it."""
        return self.model_uri

    def create_model(self, **options: Any) -> Model:
        """The model of the latest job, which must have ended.

        Args:
            options: see ``launcher.Model``; by default image, role, network and instance type are the job's.

        Raises:
            InputError: the job has not ended, has failed, or has left no model.
        """
        own = {
            "image_uri": self.options.image_uri,
            "instance_type": serving_type(self.options.instance_type),
            "enable_network_isolation": self.options.enable_network_isolation,
            "subnets": self.options.subnets,
            "security_group_ids": self.options.security_group_ids,
        }
        return Model.of_job(self._job, **(own | {name: value for name, value in options.items() if value is not None}))

    def transformer(self, instance_count: int = 1, instance_type: str | None = None, **options: Any) -> Transformer:
        """What runs the model of the latest job over many states.

        Args:
            instance_count: number of machines.
            instance_type: what they are; None for the estimator's own.
            options: see ``launcher.Transformer``; those of the model (``role``, ``image_uri``, ``model_name``,
                ``enable_network_isolation``) are taken as well.

        Raises:
            InputError: the job has not ended, has failed, or has left no model; or an option cannot be.
        """
        of_model = {_OF_MODEL[name]: options.pop(name) for name in _OF_MODEL if name in options}
        return self.create_model(**of_model).transformer(instance_count, instance_type, **options)

    @taken_as(DeployOptions, DEPLOY_VOCABULARY)
    def deploy(self, options: DeployOptions) -> Predictor:
        """Serve the model of the latest job at an endpoint; see ``Model.deploy``.

        Raises:
            InputError: the job has not ended, has failed, or has left no model; or an option cannot be.
            JobFailed: the endpoint failed; the message says why.
        """
        return self.create_model().deploy(**keywords(options))

    def metrics(self) -> Metrics:
        """The estimates of the latest job; see ``Job.metrics``."""
        return self._job.metrics()

    @property
    def _job(self) -> Job:
        if self.latest_job is None:
            raise InputError("this estimator has run no job yet.", "Call fit() first, or RLEstimator.attach(name).")
        return self.latest_job

    def _source(self, chosen: presetting.AlgorithmSettings) -> Source:
        options = self.options
        if options.source_dir is not None and "://" in str(options.source_dir):
            raise InputError(f"source_dir '{options.source_dir}': give a folder on this computer.")
        return Source(
            str(options.entry_point),
            Path(options.source_dir) if options.source_dir is not None else None,
            tuple(Path(item) for item in options.dependencies or ()),
            chosen.files,
        )

    def _instance_type(self, debug: bool) -> str:
        if not debug:
            return self.options.instance_type
        if self.options.instance_type not in LOCAL_INSTANCE_TYPES:
            raise InputError(
                f"debug: a job on {self.options.instance_type} has no terminal.", "Choose instance_type='local'."
            )
        return debugging.INSTANCE_TYPE

    def _image(self) -> str:
        if self.options.image_uri:
            return self.options.image_uri
        if not self.session.is_local:
            raise InputError("a job on AWS needs a container image.", HOW_TO_GET_AN_IMAGE)
        from launcher.local.engine.image import default_image

        return default_image()


def _in_place(
    source: Source, code: package.Package, chosen: presetting.AlgorithmSettings, options: JobOptions
) -> dict[str, Any]:
    """What is different about a job that runs its source where it lies."""
    place = debugging.in_place(source, code.listing)
    search = os.pathsep.join(str(path) for path in place.search_path)
    return {
        "submit_directory": str(place.folder),
        "hyperparameters": chosen.in_place(),
        "environment": {"PYTHONPATH": search, **(options.environment or {})},
    }
