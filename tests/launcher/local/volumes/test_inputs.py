"""Channels and the tree of /opt/ml, as a job finds them."""

from __future__ import annotations

import io
import json

import pytest
from botocore.response import StreamingBody
from memory_s3 import MemoryS3

from batchrl.contract.layout import S3Url
from batchrl.contract.manifest import sha256_of
from batchrl.contract.paths import JobPaths
from launcher.local.volumes.inputs import Fetched, fetch
from launcher.local.volumes.tree import plan_tree

LIST = """
import os, pathlib
root = pathlib.Path(os.environ["SM_INPUT_DIR"]).parent
for path in sorted(root.rglob("*")):
    if path.is_file() and "code" not in path.parts:
        print(path.relative_to(root), path.stat().st_size)
"""


def request(**fields):
    return {
        "HyperParameters": {},
        "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **fields,
    }


def channel(name, **fields):
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/k"}},
        **fields,
    }


@pytest.fixture
def tree(tmp_path):
    paths = JobPaths(tmp_path / "ml")

    def write(**fields):
        plan_tree(request(**fields), paths).write()
        return paths

    return write


def read(path):
    return json.loads(path.read_text())


def test_A19_A21_A23_A28_A38_the_least_tree(tree):
    paths = tree()
    folders = (paths.input_config, paths.input_data, paths.model, paths.output, paths.output_data)
    assert all(folder.is_dir() for folder in folders)
    assert read(paths.hyperparameters) == {}
    assert read(paths.input_data_config) == {}
    written = {path.name for path in paths.input_config.iterdir()}
    assert written == {"hyperparameters.json", "inputdataconfig.json", "resourceconfig.json"}
    assert not paths.checkpoints.exists() and not paths.checkpoint_config.exists() and not paths.intermediate.exists()


def test_A27_hyperparameters_are_the_strings_of_the_request(tree):
    values = {"epochs": "5", "name": '"quoted"'}
    assert read(tree(HyperParameters=values).hyperparameters) == values


def test_A36_A37_A54_what_the_channels_are(tree):
    paths = tree(InputDataConfig=[channel("a"), channel("b", InputMode="FastFile", ContentType="text/csv")])
    assert read(paths.input_data_config) == {
        "a": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"},
        "b": {
            "TrainingInputMode": "FastFile",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
            "ContentType": "text/csv",
        },
    }
    assert paths.channel("a").is_dir()


def test_A36_A55_a_sharded_channel_is_told_as_sharded_to_the_one_host(tree):
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/k", "S3DataDistributionType": "ShardedByS3Key"}
    paths = tree(InputDataConfig=[channel("a", DataSource={"S3DataSource": source})])
    assert read(paths.input_data_config)["a"]["S3DistributionType"] == "ShardedByS3Key"
    assert read(paths.resource_config)["hosts"] == ["algo-1"]


def test_A39_A40_A41_A42_A43_what_the_host_is(tree):
    assert read(tree().resource_config) == {
        "current_host": "algo-1",
        "hosts": ["algo-1"],
        "current_instance_type": "ml.m5.large",
        "current_group_name": "homogeneousCluster",
        "current_instance_group": "homogeneousCluster",
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.large", "hosts": ["algo-1"]}
        ],
        "network_interface_name": "eth0",
    }


@pytest.mark.parametrize("given", [None, "/opt/ml/saved"])
def test_A20_A22_the_checkpoint_folder(tree, given):
    config = {"S3Uri": "s3://b/c", **({"LocalPath": given} if given else {})}
    paths = tree(CheckpointConfig=config)
    expected = given or "/opt/ml/checkpoints"
    assert read(paths.checkpoint_config) == {"LocalPath": expected}
    assert paths.local(expected).is_dir()


def test_A47_A48_a_prefix_is_a_raw_prefix_and_a_folder_of_its_name_is_left_out(cloud):
    for key in ("train/a.csv", "train/deep/b.csv", "train-2/c.csv", "train.csv", "test/d.csv"):
        cloud.store.put(f"{cloud.home.root.parent.name}/{key}", b"12345")
    job = cloud.job(LIST, channels={"training": f"s3://shim-tests/{cloud.home.root.parent.name}/train"}).start()
    assert job.wait().status == "Completed"
    below = {line.removeprefix("input/data/training/") for line in job.lines if "training/" in line}
    assert below == {"train-2/c.csv 5", "train.csv 5", "a.csv 5", "deep/b.csv 5"}


def test_A25_A55_the_one_host_has_all_objects_of_a_channel_as_copies_that_it_may_change(cloud):
    prefix = f"{cloud.home.root.parent.name}/shards"
    objects = {f"{prefix}/{name}": name.encode() for name in ("a", "b", "c")}
    for key, content in objects.items():
        cloud.store.put(key, content)
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://shim-tests/{prefix}/"}
    source["S3DataDistributionType"] = "ShardedByS3Key"
    command = "cd input/data/training && echo * && printf other > a && printf new > new"
    job = cloud.job(
        None,
        AlgorithmSpecification={"ContainerEntrypoint": ["/bin/sh", "-c"], "ContainerArguments": [command]},
        InputDataConfig=[channel("training", DataSource={"S3DataSource": source})],
    ).start()
    assert job.wait().status == "Completed"
    assert job.lines == ["a b c"]
    assert {key: cloud.store.get(key) for key in cloud.store.keys(prefix)} == objects


def test_A49_one_object_is_one_file(cloud):
    key = f"{cloud.home.root.parent.name}/data.csv"
    cloud.store.put(key, b"12345")
    job = cloud.job(LIST, channels={"training": f"s3://shim-tests/{key}"}).start()
    assert job.wait().status == "Completed"
    assert "input/data/training/data.csv 5" in job.lines


def test_a_prefix_without_objects_fails_the_job_with_channel_and_url(cloud):
    job = cloud.job("print('ran')", channels={"training": "s3://shim-tests/nothing/here"}).start()
    record = job.wait()
    assert record.status == "Failed"
    assert record.failure_reason.startswith(
        "ClientError: channel 'training': download of s3://shim-tests/nothing/here: "
    )
    assert "no S3 objects found" in record.failure_reason
    assert job.statuses == ["Starting", "Downloading", "Failed"]
    assert not job.ml.exists()


def test_a_bucket_that_does_not_exist_is_named(cloud):
    job = cloud.job("print('ran')", channels={"training": "s3://no-such-bucket-here/x"}).start()
    reason = job.wait().failure_reason
    assert reason.startswith("ClientError: channel 'training': download of s3://no-such-bucket-here/x")
    assert "NoSuchBucket" in reason


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"InputMode": "Pipe"}, "input mode Pipe is not supported"),
        ({"DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": "s3://b/k"}}}, "ManifestFile"),
        ({"DataSource": {"FileSystemDataSource": {}}}, "from S3 only"),
    ],
)
def test_A50_A53_kinds_of_channels_that_are_not_known_are_named(cloud, fields, expected):
    job = cloud.job(None, InputDataConfig=[channel("training", **fields)])
    reason = job.start().wait().failure_reason
    assert reason.startswith("ClientError: channel 'training'") and expected in reason


def test_a_full_disk_is_said_before_anything_is_fetched(cloud, monkeypatch):
    from launcher.local.host.faults import JobFault
    from launcher.local.volumes import inputs

    paths = JobPaths(cloud.home.root / "ml")
    paths.channel("training").mkdir(parents=True)
    cloud.store.put("big/data", b"x" * 1000)
    monkeypatch.setattr(inputs.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 999}))
    wanted = request(InputDataConfig=[channel("training")])
    wanted["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = "s3://shim-tests/big/"
    with pytest.raises(JobFault, match=r"ClientError: channel 'training'.* 1,000 bytes.* 999 free"):
        inputs.download_channels(cloud.store.client, wanted, paths)
    assert list(paths.channel("training").iterdir()) == []


class Cutting(MemoryS3):
    """Cuts so many bodies short, with the length of the whole in the answer's head."""

    cuts = 3

    def get_object(self, **arguments):
        whole = self.objects[arguments["Key"]]
        self.cuts -= 1
        body = io.BytesIO(whole[:-1] if self.cuts >= 0 else whole)
        return {"Body": StreamingBody(body, len(whole)), "ContentLength": len(whole)}


def test_a_store_that_cuts_bodies_short_is_waited_for(tmp_path):
    store = Cutting()
    store.objects = {"in/a": b"0123456789"}
    assert fetch(store, S3Url("bucket", "in/"), tmp_path, "channel") == Fetched(1, 10)
    assert (tmp_path / "a").read_bytes() == b"0123456789"
    assert store.cuts == -1


def test_an_input_that_was_damaged_in_the_store_fails_the_job_before_its_script(cloud):
    key = f"datasets/{sha256_of(b'1,2,3')}/data.csv"
    cloud.store.put(key, b"1,2,7")
    job = cloud.job("print('ran')", channels={"training": f"s3://shim-tests/{key}"}).start()
    reason = job.wait().failure_reason
    assert reason.startswith("ClientError: channel 'training': download of s3://shim-tests/datasets/")
    assert "does not hold what was uploaded" in reason and "submit the job again" in reason
    assert job.statuses == ["Starting", "Downloading", "Failed"]
