"""The ``sagemaker`` SDK, version 3, against the local cloud: see ``sdk_checks``."""

from __future__ import annotations

import sys
import tarfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, TrainingJob, TransformJob
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
from sagemaker.core.training.configs import CheckpointConfig, Compute, InputData, SourceCode, StoppingCondition
from sagemaker.train import ModelTrainer
from sdk_checks import BUCKET, PROCESS, ROLE, check, main, refused, source_folder

DATA = f"s3://{BUCKET}/sdk-v3/train"
SHELL = ["/bin/sh", "-c"]


def training_job(name: str, script: str, **changes: Any) -> TrainingJob:
    """A job of one shell command, created as the SDK's resources are."""
    options: dict[str, Any] = {
        "training_job_name": name,
        "role_arn": ROLE,
        "algorithm_specification": {
            "training_image": "unused",
            "training_input_mode": "File",
            "container_entrypoint": [*SHELL, script],
        },
        "output_data_config": {"s3_output_path": f"s3://{BUCKET}/sdk-v3/out"},
        "resource_config": {"instance_type": PROCESS, "instance_count": 1, "volume_size_in_gb": 1},
        "stopping_condition": {"max_runtime_in_seconds": 600},
    }
    created = TrainingJob.create(**(options | changes))
    assert created is not None
    return created


def model(name: str, archive: str) -> Model:
    """A model of one container."""
    container = ContainerDefinition(image="unused", model_data_url=archive)
    return Model.create(model_name=name, primary_container=container, execution_role_arn=ROLE)


@check("iam:SimulatePrincipalPolicy", "iam:GetRole")
def a_model_trainer_is_built_with_a_role_and_without(folder: Path) -> None:
    session = Session()
    assert session.default_bucket() == BUCKET
    for given in ({}, {"role": "batchrl-local"}, {"role": ROLE}):
        trainer = ModelTrainer(training_image="unused", sagemaker_session=session, **given)
        assert trainer.role == ROLE, (given, trainer.role)


@check("CreateTrainingJob", "DescribeTrainingJob", "logs:GetLogEvents")
def a_model_trainer_trains(folder: Path) -> None:
    """An image with a program of its own, ours: hyperparameters, channels without a slash, checkpoints, logs."""
    session = Session()
    session.upload_string_as_file_body("1,2\n", BUCKET, "sdk-v3/train/a.csv")
    with tarfile.open(folder / "sourcedir.tar.gz", "w:gz") as tar:
        tar.add(source_folder(folder), arcname=".")
    session.upload_data(str(folder / "sourcedir.tar.gz"), BUCKET, "sdk-v3/code")
    trainer = ModelTrainer(
        training_image="unused",
        base_job_name="sdk-v3",
        compute=Compute(instance_type=PROCESS, instance_count=1),
        hyperparameters={"lr": 0.1, "epochs": 2, "sagemaker_program": "train.py"},
        stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
        checkpoint_config=CheckpointConfig(s3_uri=f"s3://{BUCKET}/sdk-v3/checkpoints"),
        sagemaker_session=session,
    )
    channels = {"training": DATA, "code": f"s3://{BUCKET}/sdk-v3/code"}
    trainer.train([InputData(channel_name=name, data_source=source) for name, source in channels.items()])
    job = trainer._latest_training_job.refresh()
    assert (job.training_job_status, job.role_arn) == ("Completed", ROLE), job.failure_reason
    assert job.model_artifacts.s3_model_artifacts.endswith("/output/model.tar.gz")


@check("CreateTrainingJob")
def a_model_trainer_sends_source_code_in_channels(folder: Path) -> None:
    """The SDK's own driver runs at ``/opt/ml``, which only containers have: what it needs arrives where it looks."""
    session = Session()
    trainer = ModelTrainer(
        training_image="unused",
        base_job_name="sdk-v3-code",
        source_code=SourceCode(source_dir=source_folder(folder), entry_script="train.py"),
        compute=Compute(instance_type=PROCESS, instance_count=1),
        hyperparameters={"lr": 0.1, "epochs": 1},
        sagemaker_session=session,
    )
    trainer.train(wait=False, logs=False)
    sent = trainer._latest_training_job.input_data_config
    sources = {one.channel_name: one.data_source.s3_data_source.s3_uri for one in sent}
    assert set(sources) == {"code", "sm_drivers"}
    assert not any(uri.endswith("/") for uri in sources.values()), sources
    channels = [
        {"channel_name": name, "data_source": {"s3_data_source": {"s3_data_type": "S3Prefix", "s3_uri": uri}}}
        for name, uri in sources.items()
    ]
    looking = training_job(
        "sdk-v3-looks", "ls input/data/sm_drivers/sm_train.sh input/data/code/train.py", input_data_config=channels
    )
    looking.wait(poll=1)
    assert looking.refresh().training_job_status == "Completed", looking.failure_reason


@check("CreateTrainingJob", "DescribeTrainingJob", "ListTrainingJobs", "StopTrainingJob", "DeleteTrainingJob")
def training_jobs_are_resources(folder: Path) -> None:
    """Create, get, get_all, wait with logs, stop, delete."""
    done = training_job("sdk-v3-done", "echo hello")
    done.wait(poll=1, logs=True)
    assert TrainingJob.get("sdk-v3-done").training_job_status == "Completed"
    stopped = training_job("sdk-v3-stopped", "sleep 600")
    while stopped.refresh().secondary_status != "Training":
        time.sleep(0.2)
    stopped.stop()
    stopped.wait(poll=1)
    assert stopped.refresh().training_job_status == "Stopped"
    names = [one.training_job_name for one in TrainingJob.get_all(name_contains="sdk-v3-done")]
    assert names == ["sdk-v3-done"]
    done.delete()
    assert not list(TrainingJob.get_all(name_contains="sdk-v3-done"))


@check("CreateModel", "CreateTransformJob", "DescribeTransformJob", "DeleteModel")
def transform_jobs_are_resources(folder: Path) -> None:
    """Model and TransformJob: create, wait, delete."""
    session = Session()
    session.upload_string_as_file_body("[0.1,0,0,0]\n", BUCKET, "sdk-v3/in/a.jsonl")
    ours = model("sdk-v3-transform", Path("model.txt").read_text())
    source = {"s3_data_source": {"s3_data_type": "S3Prefix", "s3_uri": f"s3://{BUCKET}/sdk-v3/in/"}}
    job = TransformJob.create(
        transform_job_name="sdk-v3-transform",
        model_name="sdk-v3-transform",
        transform_input={"data_source": source, "content_type": "application/jsonlines", "split_type": "Line"},
        transform_output={"s3_output_path": f"s3://{BUCKET}/sdk-v3/out", "accept": "application/jsonlines"},
        transform_resources={"instance_type": PROCESS, "instance_count": 1},
    )
    job.wait(poll=1)
    assert "action" in session.read_s3_file(BUCKET, "sdk-v3/out/a.jsonl.out")
    ours.delete()


@check(
    *("CreateModel", "CreateEndpointConfig", "CreateEndpoint", "DescribeEndpoint", "DeleteEndpoint"),
    *("DeleteEndpointConfig", "sagemaker-runtime:InvokeEndpoint", "UpdateEndpoint"),
)
def endpoints_are_resources(folder: Path) -> None:
    """Model, EndpointConfig and Endpoint: create, wait, invoke, delete; an update is refused."""
    ours = model("sdk-v3-deploy", Path("model.txt").read_text())
    variant = ProductionVariant(
        variant_name="all", model_name="sdk-v3-deploy", initial_instance_count=1, instance_type=PROCESS
    )
    config = EndpointConfig.create(endpoint_config_name="sdk-v3", production_variants=[variant])
    endpoint = Endpoint.create(endpoint_name="sdk-v3", endpoint_config_name="sdk-v3")
    endpoint.wait_for_status("InService", poll=1)
    answer = endpoint.invoke(body=b"[0.1,0,0,0]\n", content_type="application/jsonlines")
    assert b"action" in answer.body.read()
    refused(
        lambda: endpoint.update(retain_all_variant_properties=True), "create an endpoint with the other configuration"
    )
    endpoint.delete()
    endpoint.wait_for_delete(poll=1)
    config.delete()
    ours.delete()


@check("CreateProcessingJob", "DescribeProcessingJob")
def a_script_processor_processes(folder: Path) -> None:
    """A script of one's own."""
    from sagemaker.core.processing import ScriptProcessor

    script = folder / "process.py"
    script.write_text("print('processed')\n")
    processor = ScriptProcessor(
        image_uri="unused", command=["python3"], instance_type=PROCESS, instance_count=1, sagemaker_session=Session()
    )
    processor.run(code=str(script), logs=False)
    assert processor.latest_job.refresh().processing_job_status == "Completed"


@check("UpdateTrainingJob", "CreateTrainingJob")
def what_is_not_here_is_refused_in_words(folder: Path) -> None:
    two = {"instance_type": PROCESS, "instance_count": 2, "volume_size_in_gb": 1}
    refused(lambda: training_job("sdk-v3-two", "true", resource_config=two), "set InstanceCount to 1")
    done = training_job("sdk-v3-update", "true")
    refused(lambda: done.update(resource_config={"keep_alive_period_in_seconds": 60}), "stop it, and start another")


if __name__ == "__main__":
    main()
