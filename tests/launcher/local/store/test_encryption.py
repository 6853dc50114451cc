"""Wishes to encrypt at rest: S3's own change nothing, and the answer says so; keys of the client's own are refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from botocore.exceptions import ClientError

from batchrl.contract.store import Client
from launcher.api.constants import WITHOUT_EFFECT


@pytest.mark.parametrize(
    "wish",
    [
        {"ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:us-east-1:0:key/x", "BucketKeyEnabled": True},
    ],
)
def test_what_s3_would_encrypt_is_stored_and_the_answer_names_the_headers(
    client: Client, bucket: str, wish: dict[str, Any]
) -> None:
    answer = client.put_object(Bucket=bucket, Key="a", Body=b"1", **wish)
    noted = answer["ResponseMetadata"]["HTTPHeaders"][WITHOUT_EFFECT].split(", ")
    assert noted[0] == "x-amz-server-side-encryption"
    assert len(noted) == len(wish)
    assert "ServerSideEncryption" not in answer
    read = client.get_object(Bucket=bucket, Key="a")
    assert read["Body"].read() == b"1"
    assert WITHOUT_EFFECT not in read["ResponseMetadata"]["HTTPHeaders"]


def test_an_unknown_kind_of_encryption_and_keys_of_the_clients_own_are_refused(client: Client, bucket: str) -> None:
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": base64.b64encode(b"k" * 32).decode()}
    for wish in ({"ServerSideEncryption": "rot13"}, own):
        with pytest.raises(ClientError) as caught:
            client.put_object(Bucket=bucket, Key="b", Body=b"1", **wish)  # type: ignore[arg-type]
        assert caught.value.response["Error"]["Code"] == "NotImplemented"
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
