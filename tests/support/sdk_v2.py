"""The ``sagemaker`` SDK, version 2, against the local cloud: see ``sdk_checks``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.model import Model
from sdk_checks import BUCKET, PROCESS, ROLE, check, main, refused, source_folder

METRICS = [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]
DATA = f"s3://{BUCKET}/sdk-v2/train"


def session() -> Any:
    return sagemaker.Session()


def estimator(folder: Path, **changes: Any) -> Any:
    """An estimator in script mode, as the SDK's documents have it, without a role."""
    options = {
        "image_uri": "unused",
        "entry_point": "train.py",
        "source_dir": source_folder(folder),
        "instance_count": 1,
        "instance_type": PROCESS,
        "hyperparameters": {"lr": 0.1, "epochs": 3},
        "metric_definitions": METRICS,
        "sagemaker_session": session(),
    }
    return Estimator(**(options | changes))


def put_data() -> str:
    session().upload_string_as_file_body("1,2\n", BUCKET, "sdk-v2/train/a.csv")
    return DATA


def archive() -> str:
    """The model of a policy for CartPole, trained before."""
    return Path("model.txt").read_text()


@check("CreateTrainingJob", "DescribeTrainingJob", "ListTags", "logs:DescribeLogStreams", "logs:GetLogEvents")
def trains_in_script_mode(folder: Path) -> None:
    """Default bucket and role, a channel without a slash at its end, logs, artifact, tags, attach."""
    assert session().default_bucket() == BUCKET
    job = estimator(folder, tags=[{"Key": "team", "Value": "rl"}])
    job.fit({"training": put_data()})
    name = job.latest_training_job.name
    described = session().describe_training_job(name)
    assert described["RoleArn"] == ROLE
    assert described["FinalMetricDataList"][0]["Value"] == 1 / 3
    attached = Estimator.attach(name, sagemaker_session=session())
    assert attached.model_data == job.model_data == f"s3://{BUCKET}/{name}/output/model.tar.gz"
    assert json.loads(attached.hyperparameters()["lr"]) == 0.1
    tags = session().list_tags(described["TrainingJobArn"])
    assert {"Key": "team", "Value": "rl"} in tags


@check("CreateTrainingJob", "StopTrainingJob")
def stops_and_keeps_checkpoints(folder: Path) -> None:
    """Checkpoints, spot and limits pass through; a stopped job keeps what it had."""
    saving = source_folder(
        folder / "saving",
        "import os, time, pathlib\n"
        "root = pathlib.Path(os.environ['SM_MODEL_DIR']).parent\n"
        "(root / 'checkpoints' / 'one').write_text('1')\n"
        "time.sleep(600)\n",
    )
    place = f"s3://{BUCKET}/sdk-v2/checkpoints"
    options = {"use_spot_instances": True, "max_run": 900, "max_wait": 900, "checkpoint_s3_uri": place}
    job = estimator(folder, source_dir=saving, base_job_name="stopped", **options)
    job.fit(wait=False)
    name = job.latest_training_job.name
    client = session().boto_session.client("s3")
    deadline = time.monotonic() + 60
    while not client.list_objects_v2(Bucket=BUCKET, Prefix="sdk-v2/checkpoints/one").get("KeyCount"):
        assert time.monotonic() < deadline, session().describe_training_job(name)
        time.sleep(0.2)
    session().stop_training_job(name)
    while (described := session().describe_training_job(name))["TrainingJobStatus"] in ("InProgress", "Stopping"):
        time.sleep(0.2)
    assert (described["TrainingJobStatus"], described["EnableManagedSpotTraining"]) == ("Stopped", True)


@check("CreateTrainingJob")
def the_estimators_of_frameworks_train(folder: Path) -> None:
    """RLEstimator, as the article has it, and PyTorch, each with an image of one's own."""
    from sagemaker.pytorch import PyTorch
    from sagemaker.rl import RLEstimator

    for kind in (RLEstimator, PyTorch):
        job = kind(
            entry_point="train.py",
            source_dir=source_folder(folder),
            image_uri="unused",
            role=ROLE,
            instance_count=1,
            instance_type=PROCESS,
            hyperparameters={"lr": 0.1, "epochs": 1},
            sagemaker_session=session(),
        )
        job.fit({"training": put_data()}, logs=False)
        assert job.model_data.endswith("/output/model.tar.gz")


@check("CreateModel", "CreateTransformJob", "DescribeTransformJob", "DeleteModel")
def transforms(folder: Path) -> None:
    """A model of ours, records joined to their answers, attach."""
    from sagemaker.transformer import Transformer

    client = session().boto_session.client("s3")
    client.put_object(Bucket=BUCKET, Key="sdk-v2/in/a.jsonl", Body=b"[0.1,0,0,0]\n[0,0,0,0.1]\n")
    model = Model("unused", model_data=archive(), sagemaker_session=session(), name="sdk-v2-transform")
    transformer = model.transformer(
        1, PROCESS, strategy="MultiRecord", assemble_with="Line", accept="application/jsonlines",
        output_path=f"s3://{BUCKET}/sdk-v2/out",
    )  # fmt: skip
    transformer.transform(
        f"s3://{BUCKET}/sdk-v2/in/", content_type="application/jsonlines", split_type="Line", join_source="Input",
        logs=False, wait=True,
    )  # fmt: skip
    lines = client.get_object(Bucket=BUCKET, Key="sdk-v2/out/a.jsonl.out")["Body"].read().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["SageMakerInput"] for record in records] == [[0.1, 0, 0, 0], [0, 0, 0, 0.1]]
    assert all("action" in record["SageMakerOutput"] for record in records)
    name = transformer.latest_transform_job.name
    assert Transformer.attach(name, sagemaker_session=session()).output_path == f"s3://{BUCKET}/sdk-v2/out"
    transformer.delete_model()


@check(
    *("CreateModel", "CreateEndpointConfig", "CreateEndpoint", "DescribeEndpoint", "DescribeEndpointConfig"),
    *("sagemaker-runtime:InvokeEndpoint", "DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel"),
)
def deploys_and_predicts(folder: Path) -> None:
    """An endpoint answers JSON and lines, and is deleted with all that it was made of."""
    from sagemaker.deserializers import JSONDeserializer
    from sagemaker.serializers import JSONSerializer

    model = Model("unused", model_data=archive(), predictor_cls=sagemaker.Predictor,
                  sagemaker_session=session(), name="sdk-v2-deploy")  # fmt: skip
    predictor = model.deploy(
        1, PROCESS, endpoint_name="sdk-v2", serializer=JSONSerializer(), deserializer=JSONDeserializer()
    )
    answer = predictor.predict([[0.1, 0, 0, 0]])
    assert json.dumps(answer).count("action") >= 1, answer
    refused(lambda: predictor.predict({"no": "state"}), "ModelError")
    runtime = session().sagemaker_runtime_client
    refused(
        lambda: runtime.invoke_endpoint_with_response_stream(EndpointName="sdk-v2", Body=b"x"), "call InvokeEndpoint"
    )
    refused(
        lambda: runtime.invoke_endpoint_async(EndpointName="sdk-v2", InputLocation=f"s3://{BUCKET}/x"),
        "call InvokeEndpoint",
    )
    predictor.delete_model()
    predictor.delete_endpoint()


@check("CreateProcessingJob", "DescribeProcessingJob")
def processes(folder: Path) -> None:
    """A script with an output that is fetched from where the SDK puts it."""
    from sagemaker.processing import ProcessingOutput, ScriptProcessor

    script = folder / "process.py"
    script.write_text("import pathlib\n(next(pathlib.Path.cwd().rglob('output/made')) / 'a.txt').write_text('made')\n")
    processor = ScriptProcessor(
        image_uri="unused", command=["python3"], instance_type=PROCESS, instance_count=1, sagemaker_session=session()
    )
    place = f"s3://{BUCKET}/sdk-v2/made"
    made = ProcessingOutput(source="/opt/ml/processing/output/made", destination=place, output_name="made")
    processor.run(str(script), outputs=[made], logs=False)
    assert processor.latest_job.describe()["ProcessingJobStatus"] == "Completed"
    assert session().read_s3_file(BUCKET, "sdk-v2/made/a.txt") == "made"


@check(
    *("CreateHyperParameterTuningJob", "DescribeHyperParameterTuningJob"),
    "ListTrainingJobsForHyperParameterTuningJob",
)
def tunes(folder: Path) -> None:
    """Two trainings, one after the other; the better one is named, and the SDK lists both."""
    from sagemaker.tuner import ContinuousParameter, HyperparameterTuner

    tuner = HyperparameterTuner(
        estimator(folder), "loss", {"lr": ContinuousParameter(0.1, 1)}, METRICS,
        objective_type="Minimize", max_jobs=2, max_parallel_jobs=1, base_tuning_job_name="sdk-v2",
    )  # fmt: skip
    tuner.fit({"training": put_data()})
    summaries = tuner.analytics().training_job_summaries()
    assert [one["TrainingJobStatus"] for one in summaries] == ["Completed", "Completed"]
    assert tuner.best_training_job() in [one["TrainingJobName"] for one in summaries]


@check("CreateTrainingJob", "UpdateTrainingJob", "Search", "CreatePipeline", "CreateExperiment")
def what_training_users_call_next_is_refused_in_words(folder: Path) -> None:
    from sagemaker.experiments import Run
    from sagemaker.workflow.pipeline import Pipeline

    data = {"training": put_data()}
    refused(lambda: estimator(folder, instance_count=2).fit(data), "InstanceCount 2", "set InstanceCount to 1")
    refused(lambda: estimator(folder, input_mode="Pipe").fit(data), "Pipe", "use File")
    pipeline = Pipeline("pipeline", steps=[], sagemaker_session=session())
    refused(lambda: pipeline.create(ROLE), "call the steps one after the other")
    refused(lambda: Run("experiment", run_name="one", sagemaker_session=session()).__enter__(), "batchrl compare")
    client = session().sagemaker_client
    refused(lambda: client.update_training_job(TrainingJobName="x"), "stop it, and start another")
    refused(lambda: client.search(Resource="TrainingJob"), "ListTrainingJobs with NameContains")


@check("UpdateEndpoint", "CreateEndpointConfig", "ListMonitoringSchedules", "CreateModel", "CreateModelPackage")
def what_serving_users_call_next_is_refused_in_words(folder: Path) -> None:
    from sagemaker.async_inference import AsyncInferenceConfig
    from sagemaker.model_monitor import DataCaptureConfig
    from sagemaker.pipeline import PipelineModel
    from sagemaker.serverless import ServerlessInferenceConfig

    def model() -> Any:
        return Model("unused", model_data=f"s3://{BUCKET}/x/model.tar.gz", sagemaker_session=session())

    serverless = ServerlessInferenceConfig()
    refused(lambda: model().deploy(serverless_inference_config=serverless), "ServerlessConfig", "give InstanceType")
    asynchronous = AsyncInferenceConfig(output_path=f"s3://{BUCKET}/async")
    refused(lambda: model().deploy(1, PROCESS, async_inference_config=asynchronous), "AsyncInferenceConfig")
    capture = DataCaptureConfig(True, destination_s3_uri=f"s3://{BUCKET}/captured")
    refused(lambda: model().deploy(1, PROCESS, data_capture_config=capture), "DataCaptureConfig", "keep what it sends")
    both = PipelineModel([model(), model()], ROLE, sagemaker_session=session())
    refused(lambda: both.deploy(1, PROCESS), "give one PrimaryContainer")
    client = session().sagemaker_client
    refused(lambda: client.create_model_package(ModelPackageName="package"), "CreateModel with Image and ModelDataUrl")
    refused(lambda: client.list_monitoring_schedules(), "nothing is monitored here")
    refused(
        lambda: client.update_endpoint(EndpointName="sdk-v2", EndpointConfigName="other"), "create an endpoint with"
    )


@check("CreateModel", "CreateTransformJob", "DescribeTransformJob", "DeleteModel")
def a_model_of_tensorflow_is_ours_by_an_alias(folder: Path) -> None:
    """What ``RLEstimator.create_model`` makes for Coach; its answers hold what TensorFlow Serving's do."""
    from sagemaker.tensorflow import TensorFlowModel

    client = session().boto_session.client("s3")
    client.put_object(Bucket=BUCKET, Key="sdk-v2/tf/a.jsonl", Body=b"[0.1,0,0,0]\n")
    model = TensorFlowModel(model_data=archive(), role=ROLE, framework_version="1.11", sagemaker_session=session())
    transformer = model.transformer(1, "ml.m4.xlarge", assemble_with="Line", output_path=f"s3://{BUCKET}/sdk-v2/tf/out")
    place = f"s3://{BUCKET}/sdk-v2/tf/a.jsonl"
    transformer.transform(place, content_type="application/jsonlines", split_type="Line", logs=False, wait=True)
    answer = json.loads(client.get_object(Bucket=BUCKET, Key="sdk-v2/tf/out/a.jsonl.out")["Body"].read())
    assert sum(answer["predictions"][0]) == 1
    transformer.delete_model()


@check(
    *("CreateTrainingJob", "DescribeTrainingJob", "CreateModel", "CreateTransformJob", "DescribeTransformJob"),
    *("DeleteModel", "iam:CreateRole", "iam:AttachRolePolicy"),
)
def the_articles_notebook_runs_as_it_is(folder: Path) -> None:
    """Every cell of examples/article, unedited: no name of ours, and Coach's images, presets and channel."""
    import notebooks

    names = notebooks.run(notebooks.ARTICLE, folder)
    assert names["avg_rewards"] < 30 and len(names["steps"]) == 100
    assert len(names["ope"]) >= 1 and set(names["actions"]) <= {0, 1}
    # Learnt from the log of a policy that earns 22.
    assert names["rewards"]["reward-testing"] > 40, names["rewards"]


if __name__ == "__main__":
    main()
