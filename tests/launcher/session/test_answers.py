"""What a cloud's answer means, on the words of AWS and of the local cloud."""

from __future__ import annotations

from typing import Any

import botocore.exceptions
import pytest

from launcher.api import errors
from launcher.session.answers import is_denied, is_unknown, known, says_taken


def answer(code: str, message: str = "") -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (errors.not_found(), is_unknown),
        (errors.could_not_find('model "x"'), is_unknown),
        (errors.job_name_taken("Training", "x"), says_taken),
        (errors.already_existing("model x"), says_taken),
    ],
)
def test_D209_what_the_local_cloud_words_is_understood(error: errors.ApiError, meaning: Any) -> None:
    said = answer(error.code, error.message)
    assert [each for each in (is_unknown, says_taken, is_denied) if each(said)] == [meaning]


def test_a_thing_that_does_not_exist_is_none_and_any_other_refusal_is_told() -> None:
    def refuse(code: str, message: str) -> Any:
        raise answer(code, message)

    assert known(refuse, code="ResourceNotFoundException", message="The specified log group does not exist.") is None
    assert known(lambda Name: None, Name="x") == {}  # noqa: N803
    with pytest.raises(botocore.exceptions.ClientError):
        known(refuse, code="ValidationException", message="Value 'a_b' failed to satisfy constraint")


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException"])
def test_who_may_not_ask_is_told_nothing_of_the_thing(code: str) -> None:
    said = answer(code, "not authorized")
    assert is_denied(said) and not is_unknown(said)
