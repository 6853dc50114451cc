"""What the environment tells the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchrl.agents.target_policy import TargetPolicy
from batchrl.contract.errors import InputError
from batchrl.serving.settings import MEGABYTE, ServingSettings, Target, usable_cores


def settings(**environ: str) -> ServingSettings:
    return ServingSettings.from_environment(environ, cores=2)


def test_B130_C186_an_empty_environment_means_port_8080_and_a_worker_a_core() -> None:
    for found in (settings(), settings(SAGEMAKER_MODEL_SERVER_WORKERS="", BATCHRL_SERVE_SOCKET="")):
        assert (found.socket, found.port, found.workers, found.timeout) == (None, 8080, 2, 60)
        assert not found.reject
        assert found.target == Target()


def test_the_environment_is_read() -> None:
    found = settings(
        SAGEMAKER_BIND_TO_PORT="9000",
        BATCHRL_SERVE_SOCKET="/tmp/s",
        SAGEMAKER_MODEL_SERVER_WORKERS="5",
        SAGEMAKER_MODEL_SERVER_TIMEOUT="7.5",
        BATCHRL_BAD_RECORDS="reject",
        BATCHRL_TARGET_POLICY="epsilon_greedy",
        BATCHRL_EPSILON="0",
    )
    assert (found.port, found.socket, found.workers, found.timeout) == (9000, Path("/tmp/s"), 5, 7.5)
    assert found.reject
    assert found.target.of(TargetPolicy()) == TargetPolicy("epsilon_greedy", epsilon=0)


def test_B132_B133_what_the_job_asks_for_is_echoed_in_the_documented_spelling() -> None:
    assert settings().execution_parameters() == {
        "MaxConcurrentTransforms": 16,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 6,
    }
    asked = settings(
        SAGEMAKER_BATCH="true",
        SAGEMAKER_MAX_PAYLOAD_IN_MB="3",
        SAGEMAKER_MAX_CONCURRENT_TRANSFORMS="20",
        SAGEMAKER_BATCH_STRATEGY="SINGLE_RECORD",
    )
    assert asked.execution_parameters() == {
        "MaxConcurrentTransforms": 20,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": 3,
    }


@pytest.mark.parametrize("payload", range(0, 101, 5))
@pytest.mark.parametrize("workers", [1, 2, 64])
def test_B142_what_is_proposed_stays_within_the_platforms_limits(payload: int, workers: int) -> None:
    told = settings(SAGEMAKER_MAX_PAYLOAD_IN_MB=str(payload), SAGEMAKER_MODEL_SERVER_WORKERS=str(workers))
    concurrency = told.execution_parameters()["MaxConcurrentTransforms"]
    assert isinstance(concurrency, int)
    assert 1 <= concurrency <= 100
    assert concurrency * payload <= 100


def test_B133_no_concurrency_at_all_counts_as_unset() -> None:
    assert settings(SAGEMAKER_MAX_CONCURRENT_TRANSFORMS="0").concurrency == settings().concurrency


def test_B142_B174_the_limit_of_a_body_is_the_jobs_and_none_for_0() -> None:
    assert settings().most_bytes == 6 * MEGABYTE == 6_291_456
    assert settings(SAGEMAKER_MAX_PAYLOAD_IN_MB="100").most_bytes == 100 * MEGABYTE
    assert settings(SAGEMAKER_MAX_PAYLOAD_IN_MB="0").most_bytes is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SAGEMAKER_BIND_TO_PORT", "http", "a whole number from 1 to 65535"),
        ("SAGEMAKER_BIND_TO_PORT", "70000", "from 1 to 65535"),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "101", "from 0 to 100"),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "1.5", "a whole number"),
        ("SAGEMAKER_MODEL_SERVER_WORKERS", "0", "from 1"),
        ("SAGEMAKER_BATCH_STRATEGY", "MultiRecord", "MULTI_RECORD, SINGLE_RECORD"),
        ("BATCHRL_TARGET_POLICY", "best", "greedy, epsilon_greedy, softmax"),
        ("BATCHRL_EPSILON", "2", "from 0 to 1"),
        ("BATCHRL_TEMPERATURE", "0", "a number from"),
        ("BATCHRL_TEMPERATURE", "nan", "a number from"),
        ("BATCHRL_BAD_RECORDS", "skip", "record, reject"),
    ],
)
def test_a_variable_with_a_wrong_value_is_named_with_what_would_be_right(name: str, value: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        settings(**{name: value})
    assert name in refused.value.message
    assert value in refused.value.message
    assert says in str(refused.value.hint)


def test_a_number_of_another_kind_of_policy_is_refused() -> None:
    with pytest.raises(InputError, match=r"BATCHRL_EPSILON is 0\.1, but the target policy is softmax"):
        settings(BATCHRL_EPSILON="0.1").target.of(TargetPolicy("softmax"))
    with pytest.raises(InputError, match="BATCHRL_TEMPERATURE is 2, but the target policy is greedy"):
        settings(BATCHRL_TARGET_POLICY="greedy", BATCHRL_TEMPERATURE="2").target.of(TargetPolicy("softmax"))


def test_cores_are_those_of_the_containers_quota(tmp_path: Path) -> None:
    own = usable_cores(tmp_path)
    assert own >= 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) == own
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert usable_cores(tmp_path) == 1
    old = tmp_path / "old"
    (old / "cpu").mkdir(parents=True)
    (old / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (old / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(old) == own
    (old / "cpu" / "cpu.cfs_quota_us").write_text("100000\n")
    assert usable_cores(old) == 1
