"""Jobs from their record to their end, as processes."""

from __future__ import annotations


def test_A79_a_script_that_ends_well_is_completed_with_its_results(cloud):
    job = cloud.job(
        "import os, pathlib\n"
        "print('hello', os.environ['TRAINING_JOB_NAME'])\n"
        "pathlib.Path(os.environ['SM_MODEL_DIR'], 'weights').write_text('w')\n"
        "pathlib.Path(os.environ['SM_OUTPUT_DATA_DIR'], 'deep').mkdir()\n"
        "pathlib.Path(os.environ['SM_OUTPUT_DATA_DIR'], 'deep', 'x').write_text('x')\n"
    ).start()
    record = job.wait()
    assert record.failure_reason is None
    assert job.statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job.lines == [f"hello {job.name}"]
    assert cloud.store.members(f"{job.prefix}/output/model.tar.gz") == {"weights": b"w"}
    assert cloud.store.members(f"{job.prefix}/output/output.tar.gz") == {"deep/x": b"x"}
    assert record.model_artifacts == f"s3://shim-tests/{job.prefix}/output/model.tar.gz"
    assert not job.ml.exists()
