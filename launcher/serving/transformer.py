"""``Transformer``: runs a model over many states with batch transform, here or on Amazon SageMaker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batchrl.contract.errors import InputError
from batchrl.contract.layout import BucketLayout, S3Url
from launcher.api import transform_rules
from launcher.api.arguments import Vocabulary, taken_as
from launcher.api.constants import CSV
from launcher.api.instances import LOCAL_SERVING_TYPES, check_instance_type
from launcher.api.names import check_job_name, job_name_from
from launcher.api.options import keywords, settled, taken_from
from launcher.api.servingoptions import TransformOptions
from launcher.api.transform import TransformSpec, content_type_of, create_transform_job
from launcher.api.transformcall import PlanCall, TransformCall, TransformRun
from launcher.base.notices import say
from launcher.jobs import interrupt
from launcher.jobs.status import JobStatus
from launcher.jobs.tags import tags_of
from launcher.jobs.transform import TransformJob
from launcher.serving.csvheader import check_no_header
from launcher.serving.modelplan import ModelPlan
from launcher.serving.transformplan import TransformPlan
from launcher.session.session import Session, resolve_session
from launcher.staging.datasets import resolve_data

JOIN_INPUT = "Input"
SPLIT_LINE = "Line"
VOCABULARY = Vocabulary("Transformer", renamed={"sagemaker_session": "session", "model": "model_name"})
PLAN_VOCABULARY = Vocabulary("plan")
CALL_VOCABULARY = Vocabulary(
    "transform",
    refused={
        "experiment_config": "tag the job: transformer(tags={...})",
        "batch_data_capture_config": "join the input to the output: transform(join_source='Input')",
    },
)


class Transformer:
    """Batch transform with one model: described once, run on any number of inputs.

    Its arguments are the fields of ``launcher.api.servingoptions.TransformOptions``, listed in ``docs/reference.md``;
    names of SageMaker's SDK are understood or answered.

    Attributes:
        latest_transform_job: the job that was started last; None before the first.

    Raises:
        UnknownArgument: a keyword is unknown; it is an InputError and a TypeError.
        InputError: an option cannot be.
    """

    @taken_as(TransformOptions, VOCABULARY)
    def __init__(self, options: TransformOptions) -> None:
        self.options = options
        check_instance_type(self.options.instance_type, LOCAL_SERVING_TYPES)
        self.latest_transform_job: TransformJob | None = None
        self._session: Session | None = None

    @classmethod
    def attach(cls, transform_job_name: str, session: Session | None = None) -> Transformer:
        """A transformer for a job that exists already, with that job as its latest.

        Args:
            transform_job_name: name of the job.
            session: the cloud; None for the local one.

        Raises:
            InputError: there is no such job.
        """
        job = TransformJob.attach(transform_job_name, session)
        known = job.describe()
        tags = tags_of(job.session, known["TransformJobArn"])
        if tags is None:
            say(f"Transform job {transform_job_name}: its tags may not be read.")
        transformer = cls(**taken_from(TransformOptions, known | {"Tags": tags}), session=job.session)
        transformer.latest_transform_job = job
        return transformer

    @property
    def session(self) -> Session:
        """The cloud that jobs go to."""
        if self._session is None:
            kind, model = self.options.instance_type, self.options.model_name
            if self.options.session is None and not isinstance(model, str):
                self._session = model.session_for(kind)
            else:
                self._session = resolve_session(self.options.session, kind)
        return self._session

    @property
    def model_name(self) -> str:
        """Name of the model, whether or not it has been created."""
        plan = self._model_plan()
        return plan.name if plan else str(self.options.model_name)

    @property
    def output_path(self) -> str | None:
        """Where outputs go: as was chosen, else where those of the latest job are; None before the first."""
        if self.options.output_path or self.latest_transform_job is None:
            return self.options.output_path
        return str(self.latest_transform_job.output_path)

    @taken_as(PlanCall, PLAN_VOCABULARY)
    def plan(self, asked: PlanCall) -> TransformPlan:
        """The job as it would be submitted: everything is checked, nothing is sent or started.

        Arguments and errors are those of ``transform``.
        """
        options, session, model = self.options, self.session, self._model_plan()
        name = asked.job_name if asked.job_name is not None else job_name_from(self._base_name())
        check_job_name(name, "a transform job")
        place = options.code_location or f"s3://{session.default_bucket}"
        uri, uploads = resolve_data("data", asked.data, BucketLayout(S3Url.parse_place(place)))
        names = [upload.path.name for upload in uploads] or [uri]
        content_type = asked.content_type or (_common(content_type_of(each) for each in names) if names else None)
        if asked.split_type == SPLIT_LINE and transform_rules.media_type(content_type) == CSV:
            for upload in uploads:
                check_no_header(upload.path)
        joined = asked.join_source == JOIN_INPUT
        chosen = {
            "job_name": name,
            "content_type": content_type,
            "compression_type": asked.compression_type
            or ("Gzip" if all(each.endswith(".gz") for each in names) else None),
            "model_client_config": asked.model_client_config or {},
        }
        spec = settled(
            TransformSpec,
            options,
            **keywords(asked, TransformRun) | chosen,
            model_name=model.name if model else str(options.model_name),
            data_uri=uri,
            output_path=str(S3Url.parse_place(options.output_path or f"s3://{session.default_bucket}/{name}")),
            accept=options.accept or (content_type if joined else None),
            assemble_with=options.assemble_with or (asked.split_type if joined else None),
            env=options.env or {},
        )
        return TransformPlan(create_transform_job(spec), uploads, model)

    @taken_as(TransformCall, CALL_VOCABULARY)
    def transform(self, asked: TransformCall) -> TransformJob:
        """Run the model over data.

        The arguments are the fields of ``launcher.api.transformcall.TransformCall``, listed in ``docs/reference.md``;
        names of SageMaker's SDK are answered. What is left out is chosen so that it fits: the content type by the
        names of the files, and for a join the output's type and assembly as the input's type and split (contract 166).

        Raises:
            UnknownArgument: a keyword is unknown; it is an InputError and a TypeError.
            InputError: something is wrong; nothing was started.
            Unreachable: cloud or store do not answer.
            JobFailed: it failed; the message holds the object and the line that it failed on.
            JobStopped: it was stopped.
            KeyboardInterrupt: after Ctrl-C, whether it was detached from or stopped.
        """
        plan = self.plan(**keywords(asked, PlanCall))
        return self.submit(plan, asked.wait, asked.logs, asked.on_bytes or (lambda count: None))

    def submit(
        self,
        plan: TransformPlan,
        wait: bool = True,
        logs: bool | Callable[[str], object] = True,
        on_bytes: Callable[[int], None] = lambda count: None,
    ) -> TransformJob:
        """Send a plan as it is; arguments and errors as in ``transform``."""
        plan.submit(self.session, on_bytes)
        job = self.latest_transform_job = TransformJob(plan.job_name, self.session)
        if wait:
            say(f"Transform job {job.name}")
            with interrupt.handled(job.name, job.stop, lambda: job.wait(logs=logs, check=False)):
                job.wait(logs=logs)
        return job

    def wait(self, logs: bool | Callable[[str], object] = True) -> JobStatus:
        """Wait for the latest job; see ``TransformJob.wait``."""
        return self._job.wait(logs=logs)

    def stop_transform_job(self, wait: bool = True) -> None:
        """Stop the latest job.

        Args:
            wait: whether to come back when it has stopped.
        """
        self._job.stop()
        if wait:
            self._job.wait(check=False)

    def delete_model(self) -> None:
        """Remove the cloud's model; its archive stays."""
        name, session = self.model_name, self.session
        with session.reported(f"deleting the model {name}", session.sagemaker):
            session.sagemaker.delete_model(ModelName=name)

    @property
    def _job(self) -> TransformJob:
        if self.latest_transform_job is None:
            raise InputError("this transformer has run no job yet.", "Call transform() first, or Transformer.attach().")
        return self.latest_transform_job

    def _model_plan(self) -> ModelPlan | None:
        model = self.options.model_name
        return None if isinstance(model, str) else model.plan(self.session)

    def _base_name(self) -> str:
        if self.options.base_transform_job_name:
            return self.options.base_transform_job_name
        model = self.options.model_name
        return "transform" if isinstance(model, str) else f"{model.base_name}-transform"


def _common(values: Any) -> Any:
    """The one value that all have; None where they differ."""
    found = set(values)
    return found.pop() if len(found) == 1 else None
