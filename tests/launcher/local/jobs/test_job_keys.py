"""A job is not its owner: what a script tries with the key that it has, on both executors (contract 14 to 16)."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from api_servers import make_client, of_cloud
from botocore.exceptions import ClientError

from launcher.local.host.address import StoreSettings
from launcher.local.host.jobrules import JobRules
from launcher.local.keys import grants

ROLE = "arn:aws:iam::000000000000:role/batchrl"

TRIES = """
import json, os, boto3, botocore.exceptions
s3 = boto3.client('s3')
api = boto3.client('sagemaker')
tried = {}

def attempt(what, call, **arguments):
    try:
        answer = call(**arguments)
        tried[what] = 'allowed'
        return answer
    except botocore.exceptions.ClientError as error:
        tried[what] = error.response['Error']['Code']
        tried[what + ': why'] = error.response['Error'].get('Message', '')

def told():
    print(json.dumps(tried))
"""


@pytest.fixture
def job_of(cloud: Any, executor: str, request: pytest.FixtureRequest) -> Any:
    """Makes jobs for either executor, whose scripts begin with what tries things."""
    image = request.getfixturevalue("image") if executor == "local" else "batchrl"

    def make(script: str, **fields: Any) -> Any:
        body = f"{TRIES}\n{textwrap.dedent(script)}\ntold()\n"
        return cloud.job(body, instance_type=executor, AlgorithmSpecification={"TrainingImage": image}, **fields)

    return make


@pytest.fixture(params=["embedded", "external"])
def store_of(cloud: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The embedded store, which knows the keys of jobs, or one of the user's own, which does not."""
    if request.param == "external":
        monkeypatch.setenv("STORE_ACCESS", cloud.store.identity.access_key)
        monkeypatch.setenv("STORE_SECRET", cloud.store.identity.secret_key)
        url = cloud.address.store.endpoint_url
        StoreSettings(url, variables=("STORE_ACCESS", "STORE_SECRET")).write(cloud.home.settings)
    return str(request.param)


def tried(job: Any) -> dict[str, str]:
    record = job.wait()
    assert record.failure_reason is None, (record.failure_reason, job.lines)
    found: dict[str, str] = json.loads(job.lines[-1])
    return found


def test_a_script_that_submits_a_process_job_is_refused_and_nothing_runs_on_the_host(
    cloud: Any, job_of: Any, tmp_path: Path
) -> None:
    mark = tmp_path / "written-on-the-host"
    job = job_of(f"""
        request = dict(
            RoleArn='{ROLE}',
            AlgorithmSpecification=dict(
                TrainingImage='any', TrainingInputMode='File',
                ContainerEntrypoint=['/bin/sh', '-c', 'id > {mark}'],
            ),
            OutputDataConfig=dict(S3OutputPath='s3://shim-tests/out'),
            StoppingCondition=dict(MaxRuntimeInSeconds=60),
        )
        for kind in ('local_process', 'local_debug', 'local', 'ml.m5.large'):
            attempt(kind, api.create_training_job, TrainingJobName='attack-' + kind.replace('_', '').replace('.', ''),
                    ResourceConfig=dict(InstanceType=kind, InstanceCount=1, VolumeSizeInGB=1), **request)
        attempt('list', api.list_training_jobs)
        attempt('logs', boto3.client('logs').describe_log_groups)
        attempt('assume', boto3.client('sts').assume_role, RoleArn='{ROLE}', RoleSessionName='of-a-job')
        attempt('session', boto3.client('sts').get_session_token)
        attempt('invoke', boto3.client('sagemaker-runtime').invoke_endpoint, EndpointName='any', Body=b'x')
        who = boto3.client('sts').get_caller_identity()
        tried['who'] = who['Arn']
    """).start()
    found = tried(job)
    refused = ("local_process", "local_debug", "local", "ml.m5.large", "list", "logs", "invoke")
    assert {found[what] for what in refused} == {"AccessDeniedException"}
    assert "--let-jobs-call" in found["list: why"] and ROLE in found["list: why"]
    assert (found["assume"], found["session"]) == ("AccessDenied", "AccessDenied")
    assert found["who"] == "arn:aws:sts::000000000000:assumed-role/batchrl/SageMaker"
    assert [record.name for record in cloud.records.list()] == [job.name]
    assert not mark.exists()


def test_a_key_reads_its_inputs_writes_its_results_and_nothing_else(cloud: Any, job_of: Any, store_of: str) -> None:
    prefix = cloud.home.root.parent.name
    for key in ("train/a", "train10/b", "secret", "run1/old", "run10/old"):
        cloud.store.put(f"{prefix}/{key}", b"before")
    cloud.store.put("out/another-job/output/model.tar.gz", b"before")
    job = job_of(
        f"""
        bucket, p = 'shim-tests', '{prefix}'
        own = 'out/' + os.environ['TRAINING_JOB_NAME']
        def get(key): return attempt('get ' + key.replace(p, 'P'), s3.get_object, Bucket=bucket, Key=key)
        def put(key):
            what = 'put ' + key.replace(p, 'P').replace(own, 'OWN')
            attempt(what, s3.put_object, Bucket=bucket, Key=key, Body=b'after')
        for key in ('train/a', 'train10/b', 'run1/old', 'secret', 'run10/old', 'run1/../secret'): get(p + '/' + key)
        get('out/another-job/output/model.tar.gz')
        for key in ('train/a', 'train/new', 'run1/new', 'run10/old', 'secret'): put(p + '/' + key)
        put('out/another-job/output/model.tar.gz'); put(own + '/mine')
        attempt('list', s3.list_objects_v2, Bucket=bucket)
        attempt('list own', s3.list_objects_v2, Bucket=bucket, Prefix=p + '/run1/')
        attempt('buckets', s3.list_buckets)
        attempt('new bucket', s3.create_bucket, Bucket='of-a-job')
        attempt('copy out', s3.copy_object, Bucket=bucket, Key=own + '/copy', CopySource=bucket + '/' + p + '/secret')
        attempt('copy in', s3.copy_object, Bucket=bucket, Key=own + '/copy', CopySource=bucket + '/' + p + '/train/a')
        attempt('delete', s3.delete_object, Bucket=bucket, Key=p + '/secret')
        answer = attempt('delete many', s3.delete_objects, Bucket=bucket,
                         Delete=dict(Objects=[dict(Key=own + '/mine'), dict(Key=p + '/secret')]))
        for error in (answer or {{}}).get('Errors', ()):  # S3 says it for each key; the gateway for all of them
            tried['delete many'] = error['Code']
        attempt('delete own', s3.delete_objects, Bucket=bucket, Delete=dict(Objects=[dict(Key=own + '/mine')]))
        attempt('head bucket', s3.head_bucket, Bucket=bucket)
        """,
        channels={"training": f"s3://shim-tests/{prefix}/train"},
        CheckpointConfig={"S3Uri": f"s3://shim-tests/{prefix}/run1"},
    ).start()
    found = {what: code for what, code in tried(job).items() if not what.endswith(": why")}
    refused = {what for what, code in found.items() if code == "AccessDenied"}
    assert set(found.values()) == {"allowed", "AccessDenied"}, found
    assert refused == {
        *("get P/secret", "get P/run10/old", "get P/run1/../secret", "get out/another-job/output/model.tar.gz"),
        *("put P/train/a", "put P/train/new", "put P/run10/old", "put P/secret"),
        *("put out/another-job/output/model.tar.gz", "list", "buckets", "new bucket", "copy out"),
        *("delete", "delete many"),
    }
    for key in ("train/a", "run10/old", "secret"):
        assert cloud.store.get(f"{prefix}/{key}") == b"before"
    assert cloud.store.get("out/another-job/output/model.tar.gz") == b"before"
    assert cloud.store.get(f"{job.prefix}/copy") == b"before"
    assert f"{job.prefix}/mine" not in cloud.store.keys(job.prefix)


def test_a_key_is_of_no_use_after_the_jobs_end(cloud: Any, job_of: Any, store_of: str) -> None:
    job = job_of("""
        tried.update(key=os.environ['AWS_ACCESS_KEY_ID'], secret=os.environ['AWS_SECRET_ACCESS_KEY'])
        tried['url'] = os.environ['AWS_ENDPOINT_URL_S3']
        attempt('list', s3.list_objects_v2, Bucket='shim-tests', Prefix=f'out/{os.environ["TRAINING_JOB_NAME"]}/')
    """).start()
    found = tried(job)
    assert found["list"] == "allowed"
    assert (found["url"] == cloud.address.api_url) == (store_of == "external")
    for url in (cloud.address.api_url, cloud.address.store.endpoint_url):
        s3 = make_client("s3", url, found["key"], found["secret"])
        with pytest.raises(ClientError) as caught:
            s3.list_objects_v2(Bucket="shim-tests", Prefix=f"{job.prefix}/")
        assert caught.value.response["Error"]["Code"] == "InvalidAccessKeyId"
    assert list(cloud.home.keys.iterdir()) == []


def test_a_job_whose_role_may_call_submits_containers_and_no_processes(cloud: Any, job_of: Any, tmp_path: Path) -> None:
    JobRules(calling_roles=(ROLE,)).write(cloud.home.job_rules)
    owner = of_cloud("sagemaker", cloud.address)
    owner.create_model(ModelName="owners", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "any"})
    variant = {"VariantName": "a", "ModelName": "owners", "InstanceType": "local_process", "InitialInstanceCount": 1}
    owner.create_endpoint_config(EndpointConfigName="owners", ProductionVariants=[variant])
    job = job_of(f"""
        request = dict(
            RoleArn='{ROLE}',
            AlgorithmSpecification=dict(TrainingImage='any', TrainingInputMode='File'),
            OutputDataConfig=dict(S3OutputPath='s3://shim-tests/out'),
            StoppingCondition=dict(MaxRuntimeInSeconds=60),
        )
        name = os.environ['TRAINING_JOB_NAME']
        for number, kind in enumerate(('local_process', 'local_debug', 'local')):
            attempt(kind, api.create_training_job, TrainingJobName=name + '-' + str(number),
                    ResourceConfig=dict(InstanceType=kind, InstanceCount=1, VolumeSizeInGB=1), **request)
        attempt('list', api.list_training_jobs)
        attempt('assume', boto3.client('sts').assume_role, RoleArn='{ROLE}', RoleSessionName='of-a-job')
        attempt('model', api.create_model, ModelName=name, ExecutionRoleArn='{ROLE}',
                PrimaryContainer=dict(Image='any'))
        attempt('transform', api.create_transform_job, TransformJobName=name, ModelName=name,
                TransformInput=dict(DataSource=dict(S3DataSource=dict(S3DataType='S3Prefix', S3Uri='s3://b/x'))),
                TransformOutput=dict(S3OutputPath='s3://shim-tests/out'),
                TransformResources=dict(InstanceType='local_process', InstanceCount=1))
        attempt('config', api.create_endpoint_config, EndpointConfigName=name, ProductionVariants=[
            dict(VariantName='a', ModelName=name, InstanceType='local_process', InitialInstanceCount=1)])
        attempt('endpoint', api.create_endpoint, EndpointName=name, EndpointConfigName='owners')
    """).start()
    found = tried(job)
    for what in ("local_process", "local_debug", "transform", "config"):
        assert found[what] == "AccessDeniedException"
        assert "no job may start" in found[f"{what}: why"]
    assert found["endpoint"] == "ValidationException" and "no job may start" in found["endpoint: why"]
    assert found["assume"] == "AccessDenied"
    assert "local: why" not in found, found
    assert (found["local"], found["list"], found["model"]) == ("allowed", "allowed", "allowed")
    assert {record.name for record in cloud.records.list()} == {job.name, f"{job.name}-2"}
    assert cloud.records.get(f"{job.name}-2").request["Contained"] is True


def test_a_contained_job_never_becomes_a_process_where_no_engine_answers(cloud: Any) -> None:
    cloud.environ["DOCKER_HOST"] = "tcp://192.0.2.1:2375"
    job = cloud.job("print('ran')", instance_type="ml.m5.large", Contained=True).start()
    record = job.wait()
    assert record.failure_reason.startswith("ClientError: instance type 'ml.m5.large' runs jobs in containers")
    assert job.lines == []


def test_the_key_that_a_killed_shim_left_is_swept(cloud: Any, job_of: Any) -> None:
    job = job_of("print('up', flush=True); import time; time.sleep(100)").start()
    job.wait_for_line("up")
    (name,) = [path.stem for path in cloud.home.keys.iterdir()]
    assert grants.find(cloud.home, name).job == job.name
    job.shim.kill()
    grants.sweep(cloud.home, lambda owners: {record.key for record in cloud.records.running()})
    assert grants.find(cloud.home, name) is not None  # nobody has found yet that the job has ended
    cloud.records.transition(job.name, "Failed", "gone")
    grants.sweep(cloud.home, lambda owners: {record.key for record in cloud.records.running()})
    assert grants.find(cloud.home, name) is None
