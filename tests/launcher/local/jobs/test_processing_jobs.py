"""Processing jobs over the API, as any client of SageMaker asks for them: real servers, real shims, both executors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from api_servers import eventually, of_cloud
from jobs import run_command

from launcher.local import cloud as clouds
from launcher.local.cleanup import gc
from launcher.local.host.home import HomePaths
from launcher.local.jobs.driver import GRACE_VARIABLE

ROLE = "arn:aws:iam::000000000000:role/batchrl"
PLACE = "/opt/ml/processing"
DOUBLE = """
import json, os, pathlib, sys
source, target = map(pathlib.Path, sys.argv[1:3])
rows = [int(line) for file in sorted(source.rglob("*.txt")) for line in file.read_text().split()]
(target / "deep").mkdir(parents=True)
(target / "deep" / "doubled.txt").write_text(" ".join(str(2 * row) for row in rows))
config = pathlib.Path(os.environ["CONFIG"])
told = json.loads((config / "processingjobconfig.json").read_text())
print("told", told["ProcessingJobName"], told["ProcessingJobArn"].partition(":processing-job/")[2])
print(json.loads((config / "resourceconfig.json").read_text()))
print("GREETING", os.environ["GREETING"])
"""
SAY_AND_FAIL = """
import os, pathlib, sys
(pathlib.Path(sys.argv[1]) / "half.txt").write_text("half")
output = pathlib.Path(sys.argv[2])
(output / "message").write_text("the third file is empty")
sys.exit(3)
"""


class Processing:
    """A cloud of its own, asked by boto3 alone."""

    def __init__(self, home: Path, instance_type: str, image: str) -> None:
        self.home = home
        self.address = clouds.ensure_up(home)
        self.instance_type, self.image = instance_type, image
        self.api = of_cloud("sagemaker", self.address)
        self.store = of_cloud("s3", self.address, endpoint_url=self.address.store.endpoint_url)
        self.logs = of_cloud("logs", self.address)
        self.bucket = self.address.bucket

    def put(self, key: str, content: str) -> str:
        self.store.put_object(Bucket=self.bucket, Key=key, Body=content.encode())
        return f"s3://{self.bucket}/{key}"

    def keys(self, prefix: str) -> dict[str, str]:
        found = self.store.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return {
            one["Key"]: self.store.get_object(Bucket=self.bucket, Key=one["Key"])["Body"].read().decode()
            for one in found
        }

    def request(self, name: str, script: str, *arguments: str, **fields: Any) -> dict[str, Any]:
        code = {
            "InputName": "code",
            "S3Input": {
                "S3Uri": self.put(f"{name}/code/script.py", script),
                "LocalPath": f"{PLACE}/input/code",
                "S3DataType": "S3Prefix",
                "S3InputMode": "File",
            },
        }
        request: dict[str, Any] = {
            "ProcessingJobName": name,
            "RoleArn": ROLE,
            "AppSpecification": {
                "ImageUri": self.image,
                "ContainerEntrypoint": ["python3", f"{PLACE}/input/code/script.py"],
                "ContainerArguments": list(arguments) or ["none"],
            },
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": self.instance_type, "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
            "ProcessingInputs": [code, *fields.pop("inputs", [])],
        }
        return request | fields

    def input(self, name: str, url: str, path: str = "") -> dict[str, Any]:
        source = {"S3Uri": url, "LocalPath": path or f"{PLACE}/input/{name}", "S3DataType": "S3Prefix"}
        return {"InputName": name, "S3Input": source}

    def output(self, name: str, mode: str = "EndOfJob", **target: str) -> dict[str, Any]:
        given = {"S3Uri": f"s3://{self.bucket}/out/{name}", "LocalPath": f"{PLACE}/{name}", "S3UploadMode": mode}
        return {"OutputName": name, "S3Output": given | target}

    def ended(self, name: str) -> dict[str, Any]:
        def check() -> Any:
            found = self.api.describe_processing_job(ProcessingJobName=name)
            return found if found["ProcessingJobStatus"] in ("Completed", "Failed", "Stopped") else None

        return eventually(check, 120.0)

    def lines(self, name: str) -> list[str]:
        group = "/aws/sagemaker/ProcessingJobs"
        streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
        assert [stream["logStreamName"].startswith(f"{name}/algo-1-") for stream in streams] == [True]
        events = self.logs.get_log_events(
            logGroupName=group, logStreamName=streams[0]["logStreamName"], startFromHead=True
        )["events"]
        return [event["message"] for event in events]

    def folder(self, name: str) -> Path:
        return HomePaths.of(self.home).job(f"processing.{name}").ml


@pytest.fixture
def processing(
    tmp_path: Path, executor: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Processing]:
    # A container's first process ignores SIGTERM unless it says what to do then.
    monkeypatch.setenv(GRACE_VARIABLE, "1")
    home = tmp_path / "home"
    image = request.getfixturevalue("image") if executor == "local" else "batchrl"
    yield Processing(home, executor, image)
    clouds.down(home, stop_jobs=True)


def refused(call: Callable[..., Any], request: dict[str, Any]) -> str:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**request)
    return str(caught.value.response["Error"]["Message"])


def test_inputs_come_the_program_runs_and_outputs_go(processing: Processing) -> None:
    processing.put("in/a.txt", "1 2")
    processing.put("in/b.txt", "3")
    request = processing.request(
        "double",
        DOUBLE,
        f"{PLACE}/input/numbers",
        f"{PLACE}/result",
        inputs=[processing.input("numbers", f"s3://{processing.bucket}/in/")],
        ProcessingOutputConfig={"Outputs": [processing.output("result")]},
        Environment={"GREETING": "hello", "CONFIG": "/opt/ml/config"},
        Tags=[{"Key": "team", "Value": "mail"}],
    )
    arn = processing.api.create_processing_job(**request)["ProcessingJobArn"]
    found = processing.ended("double")
    assert (found["ProcessingJobStatus"], found.get("FailureReason")) == ("Completed", None)
    assert processing.keys("out/result") == {"out/result/deep/doubled.txt": "2 4 6"}
    assert found["ProcessingJobArn"] == arn and arn.endswith(":processing-job/double")
    for member in ("ProcessingInputs", "AppSpecification", "ProcessingResources", "Environment", "RoleArn"):
        assert found[member] == request[member]
    assert found["CreationTime"] <= found["ProcessingStartTime"] <= found["ProcessingEndTime"]
    assert processing.lines("double") == [
        "told double double",
        "{'current_host': 'algo-1', 'hosts': ['algo-1']}",
        "GREETING hello",
    ]
    (listed,) = processing.api.list_processing_jobs(NameContains="doub")["ProcessingJobSummaries"]
    assert (listed["ProcessingJobName"], listed["ProcessingJobStatus"]) == ("double", "Completed")
    assert processing.api.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "mail"}]
    assert not processing.folder("double").exists()
    assert "double" in refused(processing.api.create_processing_job, request)


def test_a_program_that_fails_is_told_with_its_message_and_what_it_wrote_is_sent(processing: Processing) -> None:
    request = processing.request(
        "fails",
        SAY_AND_FAIL,
        f"{PLACE}/result",
        "/opt/ml/output",
        ProcessingOutputConfig={"Outputs": [processing.output("result")]},
    )
    processing.api.create_processing_job(**request)
    found = processing.ended("fails")
    assert found["ProcessingJobStatus"] == "Failed"
    assert found["ExitMessage"] == "the third file is empty"
    assert found["FailureReason"] == "AlgorithmError: the third file is empty, exit code: 3"
    assert processing.keys("out/result") == {"out/result/half.txt": "half"}


def test_continuous_outputs_are_there_while_the_program_runs_and_a_stop_ends_it(processing: Processing) -> None:
    script = (
        "import pathlib, sys, time\n"
        "(pathlib.Path(sys.argv[1]) / 'early.txt').write_text('early')\nprint('up', flush=True)\ntime.sleep(300)\n"
    )
    outputs = [processing.output("result", "Continuous")]
    request = processing.request("endless", script, f"{PLACE}/result", ProcessingOutputConfig={"Outputs": outputs})
    processing.api.create_processing_job(**request)
    eventually(lambda: processing.keys("out/result"), 120.0)
    assert processing.api.describe_processing_job(ProcessingJobName="endless")["ProcessingJobStatus"] == "InProgress"
    assert "InProgress" in refused(processing.api.delete_processing_job, {"ProcessingJobName": "endless"})
    processing.api.stop_processing_job(ProcessingJobName="endless")
    assert processing.ended("endless")["ProcessingJobStatus"] == "Stopped"
    assert "InProgress" in refused(processing.api.stop_processing_job, {"ProcessingJobName": "endless"})
    processing.api.delete_processing_job(ProcessingJobName="endless")
    assert processing.api.list_processing_jobs()["ProcessingJobSummaries"] == []
    assert "not found" in refused(processing.api.describe_processing_job, {"ProcessingJobName": "endless"}).lower()


def test_a_program_out_of_time_is_stopped(processing: Processing) -> None:
    request = processing.request("slow", "import time; time.sleep(300)", StoppingCondition={"MaxRuntimeInSeconds": 1})
    processing.api.create_processing_job(**request)
    assert processing.ended("slow")["ProcessingJobStatus"] == "Stopped"


def test_an_output_that_leads_out_of_the_job_is_not_followed(processing: Processing, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    script = f"import os, sys; os.symlink({str(secret)!r}, sys.argv[1] + '/link'); open(sys.argv[1] + '/own', 'w')"
    request = processing.request(
        "links", script, f"{PLACE}/result", ProcessingOutputConfig={"Outputs": [processing.output("result")]}
    )
    processing.api.create_processing_job(**request)
    processing.ended("links")
    assert processing.keys("out/result") == {"out/result/own": ""}


def test_the_jobs_key_opens_its_inputs_and_outputs_alone(processing: Processing) -> None:
    script = (
        "import boto3, sys\nclient = boto3.client('s3')\n"
        "for key in ('in/a.txt', 'other/b.txt'):\n"
        "    try:\n        print(client.get_object(Bucket=sys.argv[1], Key=key)['Body'].read())\n"
        "    except Exception as error:\n        print(error.response['Error']['Code'])\n"
    )
    processing.put("in/a.txt", "mine")
    processing.put("other/b.txt", "not mine")
    inputs = [processing.input("numbers", f"s3://{processing.bucket}/in/")]
    processing.api.create_processing_job(**processing.request("keys", script, processing.bucket, inputs=inputs))
    found = processing.ended("keys")
    assert (found["ProcessingJobStatus"], found.get("FailureReason")) == ("Completed", None)
    assert processing.lines("keys") == ["b'mine'", "AccessDenied"]


def test_outputs_that_cannot_be_sent_stay_and_are_named(processing: Processing) -> None:
    script = "import sys; open(sys.argv[1] + '/kept.txt', 'w').write('kept')"
    gone = processing.output("result", S3Uri="s3://no-such-bucket-anywhere/out")
    request = processing.request("lost", script, f"{PLACE}/result", ProcessingOutputConfig={"Outputs": [gone]})
    processing.api.create_processing_job(**request)
    found = processing.ended("lost")
    assert found["ProcessingJobStatus"] == "Failed"
    assert "output 'result'" in found["FailureReason"] and str(processing.folder("lost")) in found["FailureReason"]
    assert (processing.folder("lost") / "processing/result/kept.txt").read_text() == "kept"
    (kept,) = gc(processing.home).kept
    assert kept.path == processing.folder("lost") and "not known to be in S3" in kept.why
    assert str(processing.folder("lost")) in refused(
        processing.api.delete_processing_job, {"ProcessingJobName": "lost"}
    )


def test_an_input_without_objects_fails_the_job_in_words(processing: Processing) -> None:
    inputs = [processing.input("numbers", f"s3://{processing.bucket}/nothing/")]
    processing.api.create_processing_job(**processing.request("empty", "print('never')", inputs=inputs))
    found = processing.ended("empty")
    assert found["ProcessingJobStatus"] == "Failed"
    assert "input 'numbers'" in found["FailureReason"] and "no S3 objects found" in found["FailureReason"]


@pytest.mark.parametrize("executor", ["local_process"])
def test_the_command_line_lists_shows_and_removes_them(processing: Processing) -> None:
    outputs = [processing.output("result")]
    request = processing.request("seen", "print('here')", ProcessingOutputConfig={"Outputs": outputs})
    processing.api.create_processing_job(**request)
    home = processing.home
    assert "Completed" in run_command(home, "wait", "seen").stdout
    assert run_command(home, "logs", "seen").stdout == "here\n"
    (row,) = json.loads(run_command(home, "ps", "--json").stdout)
    assert (row["name"], row["kind"], row["status"], row["size_bytes"]) == ("seen", "processing", "Completed", 0)
    shown = run_command(home, "show", "seen").stdout
    assert "python3 /opt/ml/processing/input/code/script.py none" in shown and "out/result" in shown
    assert json.loads(run_command(home, "show", "--kind", "processing", "--json").stdout)["ProcessingJobName"] == "seen"
    assert "Completed" in run_command(home, "doctor", "seen").stdout
    pulled = run_command(home, "pull", "seen", check=False)
    assert pulled.returncode == 2 and "s3://batchrl-local/out/result" in pulled.stderr
    assert run_command(home, "rm", "seen").stdout == "Deleted seen.\n"
    assert json.loads(run_command(home, "ps", "--json").stdout) == []


@pytest.mark.parametrize("executor", ["local_process"])
def test_a_process_has_no_image_whose_entry_point_it_could_take(processing: Processing) -> None:
    request = processing.request("bare", "print('never')")
    del request["AppSpecification"]["ContainerEntrypoint"]
    processing.api.create_processing_job(**request)
    assert "ContainerEntrypoint is missing" in processing.ended("bare")["FailureReason"]


def test_the_description_that_a_container_cannot_change_is_json(processing: Processing) -> None:
    script = "import os; print(open(os.environ['CONFIG']).read())"
    request = processing.request("told", script, Environment={"CONFIG": "/opt/ml/config/processingjobconfig.json"})
    processing.api.create_processing_job(**request)
    processing.ended("told")
    told = json.loads(processing.lines("told")[0])
    assert told["AppSpecification"] == request["AppSpecification"]
