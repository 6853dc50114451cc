"""``Model``: a trained policy with the image that serves it, for transform jobs and endpoints on either cloud."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3_SCHEME, BucketLayout, JobLayout, S3Url
from batchrl.contract.paths import MODEL_ARCHIVE_NAME
from launcher.api.arguments import Vocabulary, taken_as
from launcher.api.instances import LOCAL_SERVING_TYPES, check_instance_type
from launcher.api.model import create_model, named_by_content, without_time
from launcher.api.names import check_job_name
from launcher.api.servingoptions import DeployOptions, ModelOptions
from launcher.jobs.training import Job
from launcher.serving.modelplan import MODEL, ModelPlan, archive_of, check_local_archive
from launcher.session.roles import role_arn
from launcher.session.session import Session, resolve_session
from launcher.staging.datasets import FILE_SCHEME, Upload, resolve_data

if TYPE_CHECKING:
    from launcher.serving.predictor import Predictor
    from launcher.serving.transformer import Transformer

PUSH_OUR_IMAGE = """\
Build the product's own image and push it to ECR:
  batchrl image build
  docker tag batchrl:<version> <account>.dkr.ecr.<region>.amazonaws.com/batchrl:<version>
  docker push <account>.dkr.ecr.<region>.amazonaws.com/batchrl:<version>"""
SERVING_IMAGE = f"""\
{PUSH_OUR_IMAGE}
or take AWS's PyTorch inference image, whose toolkit finds its handlers in the archive (pip install sagemaker):
  sagemaker.core.image_uris.retrieve("pytorch", region="<region>", version="2.6", py_version="py312",
                                     instance_type="ml.m5.xlarge", image_scope="inference")
and give the image's URI as image_uri."""
# Part of the names of AWS's images that train, and have no server.
AWS_TRAINING_IMAGE = re.compile(r"/[a-z-]+-training[:@]")

_OWN_SERVER = "the server is part of the image, and what it loads is in the archive; leave it out"
VOCABULARY = Vocabulary(
    "Model",
    renamed={"sagemaker_session": "session", "image": "image_uri"},
    ignored={
        "predictor_cls": "deploy() gives a launcher.Predictor",
        "container_log_level": "the server decides what it logs",
        "framework_version": "the image decides it",
        "py_version": "the image decides it",
    },
    refused={
        "vpc_config": "give subnets and security_group_ids",
        "entry_point": _OWN_SERVER,
        "source_dir": _OWN_SERVER,
        "dependencies": _OWN_SERVER,
        "git_config": _OWN_SERVER,
        "image_config": "use an image of ECR",
        "model_kms_key": "the key of the bucket is used",
    },
)

_ONE_SERVER = "only endpoints with servers that always run are made here"
DEPLOY_VOCABULARY = Vocabulary(
    "deploy",
    ignored={
        "serializer": "predict() takes states as lists, arrays or frames",
        "deserializer": "predict() gives a launcher.Prediction",
        "predictor_cls": "deploy() gives a launcher.Predictor",
    },
    refused={
        "accelerator_type": "choose an instance_type with an accelerator",
        "serverless_inference_config": _ONE_SERVER,
        "async_inference_config": _ONE_SERVER,
        "data_capture_config": "log what predict() gives, with its propensities",
        "update_endpoint": "deploy under another name, then delete the old one",
    },
)


class Model:
    """A trained policy, served by batch transform or by an endpoint.

    Nothing is sent when it is made. The cloud's own model is created when a transform job or an endpoint first needs
    it; see ``launcher.serving.modelplan`` for its name and for who removes it.

    Its arguments are the fields of ``launcher.api.servingoptions.ModelOptions``, listed in ``docs/reference.md``; names
    of SageMaker's SDK are understood or answered.

    Raises:
        UnknownArgument: a keyword is unknown; it is an InputError and a TypeError.
        InputError: an option cannot be.
    """

    @taken_as(ModelOptions, VOCABULARY)
    def __init__(self, options: ModelOptions) -> None:
        self.options = options
        check_instance_type(self.options.instance_type, LOCAL_SERVING_TYPES)
        if self.options.name is not None:
            check_job_name(self.options.name, "a model")
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"Model({str(self.options.model_data)!r})"

    @classmethod
    def of_job(cls, job: Job, **options: Any) -> Model:
        """The model of a training job that has ended.

        Args:
            job: the job.
            options: as for ``Model``; by default image, role and instance type are those of the job.

        Raises:
            InputError: the job has not ended, has failed, or has left no model.
            Unreachable: cloud or store do not answer.
        """
        archive = archive_of(job)
        known = job.describe()
        kind = known.get("ResourceConfig", {}).get("InstanceType") or "local"
        given = {name: value for name, value in options.items() if value is not None}
        defaults: dict[str, Any] = {
            "session": job.session,
            "role": known.get("RoleArn"),
            "instance_type": serving_type(kind),
        }
        if not {"image_uri", "image"} & given.keys():
            defaults["image_uri"] = _image_of(job, known)
        return cls(archive, **(defaults | given))

    @property
    def session(self) -> Session:
        """The cloud that the model is on, as far as it says itself."""
        return self.session_for(self.options.instance_type)

    def session_for(self, instance_type: str) -> Session:
        """The cloud that serves the model on a type of instance.

        Raises:
            InputError: the type is of no cloud, or not of the one that the model is on.
        """
        check_instance_type(instance_type, LOCAL_SERVING_TYPES)
        if self._session is None:
            self._session = resolve_session(self.options.session, instance_type)
        return resolve_session(self._session, instance_type)

    @property
    def name(self) -> str:
        """Its name, whether or not it has been created."""
        return self.options.name or self.plan().name

    @property
    def base_name(self) -> str:
        """What the names of its transform jobs and endpoints begin with: the name of its job, without the time."""
        return without_time(self._origin)

    def plan(
        self, session: Session | None = None, name: str | None = None, env: Mapping[str, str] | None = None
    ) -> ModelPlan:
        """The model as it would be created: everything is checked, nothing is sent.

        Args:
            session: the cloud, for a model that names none itself.
            name: what it is called unless it has a name of its own; None for one that is made from its content.
            env: environment variables on top of its own.

        Raises:
            InputError: whatever is wrong, before anything is sent.
        """
        options, session = self.options, session or self.session
        url, uploads = self._archive(session)
        spec = replace(
            options,
            model_data=url,
            image_uri=self._image(session),
            role=role_arn(options.role, session),
            env={**(options.env or {}), **(env or {})},
            name=options.name or name or "model",
        )
        if options.name is None and name is None:
            spec = named_by_content(spec, self._origin)
        return ModelPlan(create_model(spec), uploads)

    def create(self, on_bytes: Callable[[int], None] = lambda count: None) -> str:
        """Have the model in the cloud, and return its name; the very same one is not created twice.

        Args:
            on_bytes: told the bytes of every part of the archive that was sent.

        Raises:
            InputError: another model has its name, there is no archive, or the cloud refuses.
            Unreachable: cloud or store do not answer.
        """
        plan = self.plan()
        plan.ensure(self.session, on_bytes)
        return plan.name

    def transformer(self, instance_count: int = 1, instance_type: str | None = None, **options: Any) -> Transformer:
        """What runs this model over many states; see ``launcher.Transformer`` for the options."""
        from launcher.serving.transformer import Transformer

        kind = instance_type or self.options.instance_type
        return Transformer(self, instance_count=instance_count, instance_type=kind, **options)

    @taken_as(DeployOptions, DEPLOY_VOCABULARY)
    def deploy(self, options: DeployOptions) -> Predictor:
        """Serve this model at an endpoint.

        The arguments are the fields of ``launcher.api.servingoptions.DeployOptions``, listed in ``docs/reference.md``.

        Raises:
            InputError: something is wrong; nothing was started.
            JobFailed: the endpoint failed; the message says why.
            Unreachable: cloud or store do not answer.
        """
        from launcher.serving.deployment import deploy

        return deploy(self, replace(options, instance_type=options.instance_type or self.options.instance_type))

    def delete(self) -> None:
        """Remove the cloud's model; its archive stays. One that is not there is no fault."""
        with self.session.reported(f"deleting the model {self.name}", self.session.sagemaker):
            if MODEL.find(self.session, self.name) is not None:
                self.session.sagemaker.delete_model(ModelName=self.name)

    @property
    def _origin(self) -> str:
        """Name of the job that left the archive, as far as its URL tells."""
        data = str(self.options.model_data)
        if data.startswith(S3_SCHEME):
            archive = S3Url.parse(data)
            folder, _, _ = archive.key.rpartition(f"/output/{MODEL_ARCHIVE_NAME}")
            name = folder.rpartition("/")[2]
            if name and JobLayout(S3Url(archive.bucket, folder.rpartition("/")[0]), name).model_archive == archive:
                return name
        return "model"

    def _archive(self, session: Session) -> tuple[str, tuple[Upload, ...]]:
        data = str(self.options.model_data)
        if "://" not in data or data.startswith(FILE_SCHEME):
            check_local_archive(Path(data.removeprefix(FILE_SCHEME)).expanduser())
        place = self.options.code_location or f"s3://{session.default_bucket}"
        return resolve_data("model", data, BucketLayout(S3Url.parse_place(place)))

    def _image(self, session: Session) -> str:
        image = self.options.image_uri
        if image and not session.is_local and AWS_TRAINING_IMAGE.search(image):
            raise InputError(f"the image {image} trains models and has no server.", SERVING_IMAGE)
        if image:
            return image
        if not session.is_local:
            raise InputError("a model on AWS needs a container image that serves it.", SERVING_IMAGE)
        from launcher.local.engine.image import default_image

        return default_image()


def serving_type(training_type: str) -> str:
    """The instance type that serves what a type trained: a debugged job's model is served by a process."""
    return "local_process" if training_type == "local_debug" else training_type


def _image_of(job: Job, known: Mapping[str, Any]) -> str | None:
    """The image that trained a model serves it as well; of our own images, the one of this version."""
    from launcher.local.engine.image import REPOSITORY

    image: str | None = known.get("AlgorithmSpecification", {}).get("TrainingImage")
    if image and job.session.is_local and image.partition(":")[0] == REPOSITORY:
        return None
    return image
