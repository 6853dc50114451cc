"""What holds for a job."""

from __future__ import annotations

import pytest
from transforms import transform_request

from batchrl.contract.errors import InputError
from launcher.local.transform.settings import TransformSettings, batch_variables


def test_B129_variables_are_those_that_the_user_set():
    assert batch_variables(transform_request()) == {"SAGEMAKER_BATCH": "true"}
    request = transform_request(MaxPayloadInMB=0, BatchStrategy="SingleRecord", MaxConcurrentTransforms=4)
    assert batch_variables(request) == {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "0",
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "4",
    }
    assert "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS" not in batch_variables(transform_request(MaxConcurrentTransforms=0))


OFFER = {"MaxConcurrentTransforms": 8, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 3}


@pytest.mark.parametrize(
    ("asked", "offered", "expected"),
    [
        ({}, None, (1, 6, False)),
        ({}, {}, (1, 6, False)),
        ({}, OFFER, (8, 3, True)),
        ({}, {"MaxConcurrentTransforms": None, "MaxPayloadInMB": 0}, (1, 0, False)),
        ({"MaxConcurrentTransforms": 2, "MaxPayloadInMB": 1, "BatchStrategy": "MultiRecord"}, OFFER, (2, 1, False)),
        ({"MaxConcurrentTransforms": 0}, OFFER, (8, 3, True)),
        ({"MaxConcurrentTransforms": 0}, None, (1, 6, False)),
        ({"MaxPayloadInMB": 0}, OFFER, (8, 0, True)),
        ({}, {"BatchStrategy": "SingleRecord"}, (1, 6, True)),
    ],
)
def test_B132_B133_the_request_wins_over_the_servers_offer_and_that_over_the_defaults(asked, offered, expected):
    settings = TransformSettings.of(transform_request(**asked), offered)
    assert (settings.max_concurrent, settings.max_payload_mb, settings.single_record) == expected


@pytest.mark.parametrize(
    ("asked", "offered", "expected"),
    [
        ({"MaxConcurrentTransforms": 32}, None, (32, 3)),
        ({"MaxConcurrentTransforms": 100}, None, (100, 1)),
        ({"MaxPayloadInMB": 50}, {"MaxConcurrentTransforms": 16}, (2, 50)),
        ({"MaxConcurrentTransforms": 50}, {"MaxPayloadInMB": 6}, (50, 2)),
        ({}, {"MaxConcurrentTransforms": 100, "MaxPayloadInMB": 100}, (1, 100)),
        ({"MaxPayloadInMB": 0}, {"MaxConcurrentTransforms": 100}, (100, 0)),
    ],
)
def test_B142_what_was_not_asked_for_gives_way_to_a_hundred_MB_at_once(asked, offered, expected):
    settings = TransformSettings.of(transform_request(**asked), offered)
    assert (settings.max_concurrent, settings.max_payload_mb) == expected


def test_B142_payloads_of_any_size():
    assert TransformSettings.of(transform_request(MaxPayloadInMB=0), None).max_payload_bytes is None
    assert TransformSettings.of(transform_request(MaxPayloadInMB=2), None).max_payload_bytes == 2 * 1024 * 1024


@pytest.mark.parametrize(
    ("offered", "what"),
    [
        ({"MaxConcurrentTransforms": "4"}, "MaxConcurrentTransforms '4'"),
        ({"MaxConcurrentTransforms": 101}, "from 0 to 100"),
        ({"MaxPayloadInMB": -1}, "MaxPayloadInMB -1"),
        ({"MaxPayloadInMB": True}, "MaxPayloadInMB True"),
        ({"BatchStrategy": "ALL"}, "MULTI_RECORD or SINGLE_RECORD"),
    ],
)
def test_B132_an_offer_that_is_none_is_told(offered, what):
    with pytest.raises(InputError, match=what):
        TransformSettings.of(transform_request(), offered)


def test_B132_a_whole_number_may_be_spelled_with_a_fraction():
    settings = TransformSettings.of(transform_request(), {"MaxConcurrentTransforms": 2.0, "MaxPayloadInMB": 3.0})
    assert (settings.max_concurrent, settings.max_payload_mb) == (2, 3)
    assert settings.described().startswith("MaxConcurrentTransforms=2, MaxPayloadInMB=3")
    with pytest.raises(InputError, match=r"MaxPayloadInMB 2\.5"):
        TransformSettings.of(transform_request(), {"MaxPayloadInMB": 2.5})


def test_B134_the_effective_values_as_the_data_log_has_them():
    request = transform_request(MaxConcurrentTransforms=4, BatchStrategy="SingleRecord")
    assert TransformSettings.of(request, None).described() == (
        "MaxConcurrentTransforms=4, MaxPayloadInMB=6, BatchStrategy=SINGLE_RECORD"
    )
    assert TransformSettings().described() == "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"


def test_B171_timeout_and_retries_of_invocations():
    settings = TransformSettings.of(transform_request(), None)
    assert (settings.timeout_seconds, settings.retries) == (600, 3)
    client = {"InvocationsTimeoutInSeconds": 5, "InvocationsMaxRetries": 0}
    settings = TransformSettings.of(transform_request(ModelClientConfig=client), None)
    assert (settings.timeout_seconds, settings.retries) == (5, 0)


def test_what_else_the_request_says():
    request = transform_request(
        TransformInput={"ContentType": "Text/CSV; header=absent", "SplitType": "Line", "CompressionType": "Gzip"},
        TransformOutput={"Accept": "text/csv", "AssembleWith": "Line"},
        DataProcessing={"InputFilter": "$[1:]", "OutputFilter": "$[0,-1]", "JoinSource": "Input"},
    )
    settings = TransformSettings.of(request, None)
    assert (settings.split, settings.gzip, settings.assemble_lines, settings.join) == ("Line", True, True, True)
    assert (settings.content_type, settings.content_kind) == ("Text/CSV; header=absent", "text/csv")
    assert (settings.input_filter.text, settings.output_filter.text) == ("$[1:]", "$[0,-1]")
    assert TransformSettings(content_type="application/json").answer_kind == "application/json"
