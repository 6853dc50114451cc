"""Checkpoints both ways, the intermediate folder, and a store that comes and goes."""

from __future__ import annotations

import json
import statistics
import time

from batchrl.contract.layout import S3Url
from batchrl.contract.published import load_manifest, read_published
from launcher.local.host.faults import kept_note

# Writes an epoch's row every 0.3 s and says when; the file is replaced, as train.py does.
EPOCHS = """
import os, pathlib, time
folder = pathlib.Path(os.environ["SM_OUTPUT_INTERMEDIATE_DIR"])
text = "epoch\\n"
for epoch in range(COUNT):
    text += f"{epoch}\\n"
    (folder / "table.csv.tmp").write_text(text)
    (folder / "table.csv.tmp").rename(folder / "table.csv")
    print(epoch, time.time())
    time.sleep(0.3)
"""
CHECKPOINTS = """
import os, pathlib, time
folder = pathlib.Path(os.environ["SM_CHECKPOINT_DIR"])
print(sorted(path.name for path in folder.rglob("*") if path.is_file()))
(folder / "deep").mkdir(exist_ok=True)
(folder / "deep" / "epoch.pt.tmp").write_text("half")
(folder / "deep" / "epoch.pt").write_text("one")
print("written")
while not (folder / "go-on").exists():
    time.sleep(0.05)
(folder / "last.pt").write_text("last")
"""

RESULTS_FIRST = """
import os, pathlib, time
for name in ("SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR"):
    pathlib.Path(os.environ[name], "result").write_text("x")
print("written")
while not pathlib.Path(os.environ["SM_MODEL_DIR"]).with_name("go-on").exists():
    time.sleep(0.05)
"""


def checkpoint_config(cloud, name="run"):
    return {"S3Uri": f"s3://shim-tests/{cloud.home.root.parent.name}/{name}"}


def test_A58_A63_checkpoints_are_restored_on_a_first_run(cloud):
    prefix = cloud.home.root.parent.name
    cloud.store.put(f"{prefix}/run/a.pt", b"a")
    cloud.store.put(f"{prefix}/run/deep/b.pt", b"b")
    cloud.store.put(f"{prefix}/run10/c.pt", b"c")
    job = cloud.job(
        "import os, pathlib\n"
        "root = pathlib.Path(os.environ['SM_CHECKPOINT_DIR'])\n"
        "print(sorted(str(path.relative_to(root)) for path in root.rglob('*') if path.is_file()))\n",
        CheckpointConfig=checkpoint_config(cloud),
    ).start()
    assert job.wait().status == "Completed"
    assert job.lines == ["['a.pt', 'deep/b.pt']"]


def test_A59_A60_A65_E223_checkpoints_are_uploaded_while_the_job_runs_and_drained_at_its_end(cloud):
    prefix = f"{cloud.home.root.parent.name}/run"
    job = cloud.job(CHECKPOINTS, CheckpointConfig=checkpoint_config(cloud)).start()
    job.wait_for_line("written")
    cloud.wait_until(lambda: cloud.store.keys(prefix) == [f"{prefix}/deep/epoch.pt"], "the checkpoint is in the store")
    assert not job.record.ended
    (job.ml / "checkpoints" / "go-on").touch()
    assert job.wait().status == "Completed"
    assert cloud.store.keys(prefix) == [f"{prefix}/deep/epoch.pt", f"{prefix}/go-on", f"{prefix}/last.pt"]


def test_A74_a_failed_job_keeps_its_last_checkpoint(cloud):
    job = cloud.job(
        "import os, pathlib\npathlib.Path(os.environ['SM_CHECKPOINT_DIR'], 'x').write_text('x')\nos._exit(9)\n",
        CheckpointConfig=checkpoint_config(cloud),
    ).start()
    assert job.wait().status == "Failed"
    assert cloud.store.get(f"{cloud.home.root.parent.name}/run/x") == b"x"


def test_a_checkpoint_folder_outside_of_the_tree_needs_a_container(cloud):
    config = checkpoint_config(cloud) | {"LocalPath": "/somewhere/else"}
    reason = cloud.job("print('ran')", CheckpointConfig=config).start().wait().failure_reason
    assert reason.startswith("ClientError: CheckpointConfig.LocalPath /somewhere/else")


def test_A107_an_epochs_row_is_readable_in_a_second_on_the_median(cloud):
    count = 20
    job = cloud.job(
        EPOCHS.replace("COUNT", str(count)),
        hyperparameters={"sagemaker_s3_output": "s3://shim-tests/out"},
    ).start()
    prefix = S3Url("shim-tests", f"{job.prefix}/output/intermediate")
    seen: dict[int, float] = {}

    def look() -> bool:
        try:
            text = read_published(cloud.store.client, prefix, "table.csv").decode()
        except cloud.store.client.exceptions.ClientError:
            return False
        assert text.startswith("epoch\n") and text.endswith("\n")
        for line in text.splitlines()[1:]:
            seen.setdefault(int(line), time.time())
        return len(seen) == count

    cloud.wait_until(look, "all rows are in the store")
    assert job.wait().status == "Completed"
    written = {int(line.split()[0]): float(line.split()[1]) for line in job.lines}
    delays = [seen[epoch] - written[epoch] for epoch in range(count)]
    assert statistics.median(delays) < 1.0, delays
    assert load_manifest(cloud.store.client, prefix).files.keys() == {"table.csv"}


def test_A110_the_sync_of_the_intermediate_folder_ends_with_a_script_that_leaves_without_a_word(cloud):
    job = cloud.job(
        "import os, pathlib\n"
        "pathlib.Path(os.environ['SM_OUTPUT_INTERMEDIATE_DIR'], 'last.csv').write_text('row')\n"
        "os._exit(0)\n",
        hyperparameters={"sagemaker_s3_output": "s3://shim-tests/out"},
    ).start()
    assert job.wait().status == "Completed"
    assert cloud.store.get(f"{job.prefix}/output/intermediate/last.csv") == b"row"


def test_A73_nothing_of_model_and_output_is_in_the_store_while_the_script_runs(cloud):
    job = cloud.job(RESULTS_FIRST).start()
    job.wait_for_line("written")
    assert job.record.secondary_status == "Training"
    assert cloud.store.keys(f"{job.prefix}/") == []
    (job.ml / "go-on").touch()
    assert job.wait().status == "Completed"
    archives = [f"{job.prefix}/output/model.tar.gz", f"{job.prefix}/output/output.tar.gz"]
    assert set(archives) <= set(cloud.store.keys(f"{job.prefix}/"))


def test_a_store_that_is_restarted_in_the_middle_of_a_job_costs_nothing(cloud):
    job = cloud.job(
        EPOCHS.replace("COUNT", "10") + "pathlib.Path(os.environ['SM_MODEL_DIR'], 'w').write_text('w')\n",
        hyperparameters={"sagemaker_s3_output": "s3://shim-tests/out"},
        CheckpointConfig={"S3Uri": "s3://shim-tests/checkpoints"},
    ).start()
    job.wait_for_line("1 ")
    cloud.store.stop()
    job.wait_for_line("9 ")
    cloud.wait_until(lambda: not job.ml.exists() or (job.ml / "model" / "w").exists(), "the script has ended")
    assert not job.record.ended
    cloud.store.start()
    record = job.wait()
    assert (record.status, record.failure_reason) == ("Completed", None)
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"w": b"w"}
    table = cloud.store.get(f"{job.prefix}/output/intermediate/table.csv").decode()
    assert table.split() == ["epoch", *(str(epoch) for epoch in range(10))]


def test_a_store_that_is_away_at_the_start_is_waited_for(cloud):
    job = cloud.job("print('ran')")
    cloud.store.stop()
    job.start()
    cloud.wait_until(lambda: job.record.secondary_status == "Downloading", "the job is Downloading")
    cloud.store.start()
    assert job.wait().status == "Completed", job.record.failure_reason


def test_a_bucket_that_refuses_the_results_fails_the_job_and_keeps_them(cloud):
    job = cloud.job(
        "import os, pathlib; pathlib.Path(os.environ['SM_MODEL_DIR'], 'w').write_text('w')",
        OutputDataConfig={"S3OutputPath": "s3://no-such-bucket-here/out"},
    ).start()
    record = job.wait()
    assert record.status == "Failed"
    assert record.failure_reason.startswith("ClientError: upload of the job's model")
    assert "NoSuchBucket" in record.failure_reason
    assert record.failure_reason.endswith(kept_note(job.ml, job.name))
    assert (job.ml / "model" / "w").read_text() == "w"


def test_the_archives_have_a_manifest_with_their_digests(cloud):
    script = "import os, pathlib; pathlib.Path(os.environ['SM_MODEL_DIR'], 'w').write_text('w')"
    one, two = (cloud.job(script).start() for _ in range(2))
    for job in (one, two):
        assert job.wait().status == "Completed"
    manifests = [load_manifest(cloud.store.client, S3Url("shim-tests", f"{job.prefix}/output")) for job in (one, two)]
    assert manifests[0].files.keys() == {"model.tar.gz"}
    assert manifests[0].files == manifests[1].files, "equal contents are equal archives"


def test_json_of_the_request_survives(cloud):
    job = cloud.job(
        "import json, os; print(os.environ['SM_HPS'])", hyperparameters={"text": "ü\n", "list": "[1, 2]"}
    ).start()
    job.wait()
    assert json.loads(job.lines[0]) == {"text": "ü\n", "list": [1, 2]}


def test_a_job_without_a_network_does_not_wait_for_its_intermediate_folder(cloud):
    job = cloud.job(
        "import os, pathlib; pathlib.Path(os.environ['SM_OUTPUT_INTERMEDIATE_DIR'], 'x').write_text('x')",
        hyperparameters={"sagemaker_s3_output": "s3://shim-tests/out"},
        EnableNetworkIsolation=True,
    ).start()
    assert job.wait(30).status == "Completed"
    assert "no credentials" in job.lines[-1]


def test_a_proxy_of_the_environment_does_not_stand_before_the_loopback(cloud):
    cloud.environ |= {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
    job = cloud.job(
        "import os, boto3\n"
        "s3 = boto3.client('s3', endpoint_url=os.environ['AWS_ENDPOINT_URL_S3'])\n"
        "key = f'out/{os.environ[\"TRAINING_JOB_NAME\"]}/through/no/proxy'\n"
        "s3.put_object(Bucket='shim-tests', Key=key, Body=b'x')\n"
    ).start()
    assert job.wait(30).failure_reason is None, job.lines
