"""Which answers of a store are worth asking again."""

from __future__ import annotations

import botocore.exceptions
import pytest

from batchrl.contract.errors import InputError, Unreachable
from batchrl.contract.store import is_refusal, reported


def answer(code: str, status: int) -> botocore.exceptions.ClientError:
    """What a store answered."""
    told = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.exceptions.ClientError(told, "PutObject")  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["XAmzContentSHA256Mismatch", "BadDigest", "IncompleteBody", "SlowDown"])
def test_a_body_that_changed_on_its_way_is_sent_again(code: str) -> None:
    assert not is_refusal(answer(code, 400))
    with pytest.raises(Unreachable, match=code), reported("upload"):
        raise answer(code, 400)


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("InvalidDigest", 400), ("NoSuchBucket", 404)])
def test_what_would_be_refused_again_is_not(code: str, status: int) -> None:
    assert is_refusal(answer(code, status))
    with pytest.raises(InputError, match=code), reported("upload"):
        raise answer(code, status)
