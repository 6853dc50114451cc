"""Where the intermediate folder goes; that it arrives is tested with a store, in tests/local_shim."""

from __future__ import annotations

import pytest

from batchrl.boot.intermediate import destination
from batchrl.contract.errors import InputError


def test_A107_the_key_holds_the_jobs_name():
    assert str(destination("s3://bucket/prefix/", "a-job")) == "s3://bucket/prefix/a-job/output/intermediate"


@pytest.mark.parametrize("output", [None, "", "file:///tmp/out"])
def test_A105_A106_nothing_is_uploaded_without_an_s3_output(output):
    assert destination(output, "a-job") is None


def test_A106_another_scheme_is_refused():
    with pytest.raises(InputError, match="ftp://host"):
        destination("ftp://host", "a-job")


def test_A105_a_folder_that_the_platform_made_is_left_to_it(machine):
    machine.environ["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:1"
    machine.hyperparameters(sagemaker_s3_output="s3://bucket/prefix")
    machine.script("import os, pathlib; pathlib.Path(os.environ['SM_OUTPUT_INTERMEDIATE_DIR'], 'x').write_text('x')")
    machine.paths.intermediate.mkdir(parents=True)
    assert machine.run() == (0, "")
