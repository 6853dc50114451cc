"""Hyperparameters on the wire: a flat map of strings (contract A4).

One rule for both clouds: a value that is read back as itself travels bare, everything else as JSON. The reader is the
one of SageMaker's training toolkit (contract 31): JSON where that parses, the raw text where not.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from batchrl.contract import jsontext
from batchrl.contract.errors import InputError, shortened

RESERVED_PREFIX = "sagemaker_"
PROGRAM = "sagemaker_program"
SUBMIT_DIRECTORY = "sagemaker_submit_directory"
S3_OUTPUT = "sagemaker_s3_output"
JOB_NAME = "sagemaker_job_name"
REGION = "sagemaker_region"
LOG_LEVEL = "sagemaker_container_log_level"

PRESET = "preset"
LEGACY_PRESET = "RLCOACH_PRESET"
SAVE_MODEL = "save_model"
EVALUATE_STEPS = "evaluate_steps"
# Names of one script that mean nothing to the other: why, and what to do.
MISPLACED = {
    "train": (EVALUATE_STEPS, "a training plays no episodes", "Give it to the evaluation, evaluate.py."),
    "evaluate": (SAVE_MODEL, "an evaluation makes no model", "Give it to the training, train.py."),
}

MAX_PAIRS = 100
MAX_KEY_LENGTH = 256
MAX_VALUE_LENGTH = 2500

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]


def refuse_misplaced(names: Collection[str], kind: str) -> None:
    """Refuse a hyperparameter that belongs to the other one of the product's scripts.

    Args:
        names: of the hyperparameters that were given.
        kind: ``train`` or ``evaluate``: the script that is to run.

    Raises:
        InputError: naming it, and where it belongs.
    """
    name, why, hint = MISPLACED[kind]
    if name in names:
        raise InputError(f"hyperparameter '{name}' means nothing here: {why}.", hint)


def encode_value(value: Value) -> str:
    """The wire form of one value; ``decode_value`` gives the value back."""
    if isinstance(value, str) and decode_value(value) == value:
        return value
    return json.dumps(value, sort_keys=True)


def decode_value(text: str) -> Value:
    """Read one wire value as SageMaker's toolkit does: ``"0.1"`` is a number, ``"00123"`` is text."""
    try:
        decoded: Value = jsontext.parsed(text)
    except ValueError:
        return text
    return decoded


def encode(values: Mapping[str, Value]) -> dict[str, str]:
    """Wire form of all hyperparameters.

    Raises:
        InputError: a key or value is longer than the API takes, holds a newline or what is no text, is nested too
            deeply, or there are too many pairs.
        TypeError: a value is none of JSON's.
    """
    if len(values) > MAX_PAIRS:
        raise InputError(f"{len(values)} hyperparameters given; a job takes at most {MAX_PAIRS}.")
    encoded = {}
    for key, value in values.items():
        try:
            text = encode_value(value)
            (key + text).encode()
            if not isinstance(value, str):
                jsontext.parsed(text)  # as the job will read it
        except (ValueError, RecursionError) as error:
            why = "it holds half of a character" if isinstance(error, UnicodeEncodeError) else str(error)
            raise InputError(f"hyperparameter {key[:40]!a}: the value cannot be sent as JSON: {why}.") from error
        if not key or len(key) > MAX_KEY_LENGTH:
            raise InputError(f"hyperparameter name '{key[:40]}': give 1 to {MAX_KEY_LENGTH} characters.")
        if len(text) > MAX_VALUE_LENGTH or "\n" in text:
            raise InputError(
                f"hyperparameter '{shortened(key)}': the value is {len(text)} characters long or holds a newline; "
                f"a job takes one line of at most {MAX_VALUE_LENGTH} characters.",
                "Put long settings into a preset file of your own.",
            )
        encoded[key] = text
    return encoded


def decode(wire: Mapping[str, str]) -> dict[str, Value]:
    """Values of all hyperparameters."""
    return {key: decode_value(text) for key, text in wire.items()}


def user_values(wire: Mapping[str, str]) -> dict[str, Value]:
    """Values of the user's own hyperparameters, without the reserved ones (contract 33)."""
    return {key: decode_value(text) for key, text in wire.items() if not key.startswith(RESERVED_PREFIX)}
