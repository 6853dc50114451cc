"""Variables of a model's server, looked at before it is started."""

from __future__ import annotations

import pytest

from batchrl.contract.variables import mistakes


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"BATCHRL_TARGET_POLCY": "greedy"}, "BATCHRL_TARGET_POLCY: the server knows none of this name; did you mean"),
        ({"batchrl_epsilon": "0.1"}, "did you mean BATCHRL_EPSILON?"),
        ({"BATCHRL_QQQ": "1"}, "it knows BATCHRL_TARGET_POLICY, BATCHRL_EPSILON,"),
        (
            {"BATCHRL_TARGET_POLICY": "gredy"},
            "BATCHRL_TARGET_POLICY is 'gredy'. It may be greedy, epsilon_greedy, soft",
        ),
        ({"BATCHRL_EPSILON": "2"}, "BATCHRL_EPSILON is '2'. Give a number from 0 to 1."),
        ({"BATCHRL_BAD_RECORDS": "skip"}, "It may be record, reject."),
        ({"BATCHRL_TARGET_POLICY": "greedy", "BATCHRL_EPSILON": "0.1"}, "BATCHRL_EPSILON is for epsilon_greedy, and"),
    ],
)
def test_what_the_server_would_refuse_or_read_in_vain_is_named(environ: dict[str, str], said: str) -> None:
    (sentence,) = mistakes(environ)
    assert said in sentence


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"A": "b", "SAGEMAKER_MODEL_SERVER_WORKERS": "many"},
        {"BATCHRL_TARGET_POLICY": "", "BATCHRL_EPSILON": "0.1"},
        {"BATCHRL_TARGET_POLICY": "softmax", "BATCHRL_TEMPERATURE": "0.5", "BATCHRL_BAD_RECORDS": "reject"},
    ],
)
def test_what_it_takes_and_what_others_read_is_passed_over(environ: dict[str, str]) -> None:
    assert mistakes(environ) == []
