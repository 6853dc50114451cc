"""Arguments that users of SageMaker's SDK know, and what became of each; those of ``RLEstimator`` and of the rest."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Concatenate, ParamSpec, TypeVar

from batchrl.contract.errors import InputError
from launcher.base.notices import say

Arguments = TypeVar("Arguments")
Owner = TypeVar("Owner")
Result = TypeVar("Result")
Signature = ParamSpec("Signature")

_NO_TOOLKIT = "batchrl brings its own algorithms, in train.py; leave it out"
_NO_DEBUGGER = "SageMaker's debugger and profiler are not used; see Job.metrics() and fit(debug=True)"

# Spelt differently in SDK 1 and 2.
RENAMED: Mapping[str, str] = {
    "image_name": "image_uri",
    "sagemaker_session": "session",
    "train_instance_type": "instance_type",
    "train_instance_count": "instance_count",
    "train_max_run": "max_run",
    "train_max_wait": "max_wait",
    "train_use_spot_instances": "use_spot_instances",
    "train_volume_size": "volume_size",
    "train_volume_kms_key": "volume_kms_key",
}

# Harmless to leave out; the user is told once.
IGNORED: Mapping[str, str] = {
    "toolkit": _NO_TOOLKIT,
    "toolkit_version": _NO_TOOLKIT,
    "framework": _NO_TOOLKIT,
    "framework_version": _NO_TOOLKIT,
    "py_version": "the image decides which Python runs; leave it out",
    "container_log_level": "set a log level in your own script",
    "debugger_hook_config": _NO_DEBUGGER,
    "disable_profiler": _NO_DEBUGGER,
    "profiler_config": _NO_DEBUGGER,
    "rules": _NO_DEBUGGER,
    "enable_sagemaker_metrics": "metrics are found by metric_definitions",
    "enable_cloudwatch_metrics": "metrics are found by metric_definitions",
}

# Leaving these out would change what the user gets.
REFUSED: Mapping[str, str] = {
    "git_config": "clone the repository and give its folder as source_dir",
    "distribution": "instance_count starts several machines; train.py itself needs no launcher",
    "model_uri": "give the model as a channel of fit()",
    "tensorboard_output_config": "write event files below /opt/ml/output/intermediate",
    "instance_groups": "give instance_type and instance_count",
}


class UnknownArgument(InputError, TypeError):
    """A keyword that a class or function does not have."""


@dataclass(frozen=True)
class Vocabulary:
    """The names that one class or function knows beside its own.

    Args:
        owner: the class or function, in messages.
        renamed: present names by old ones.
        ignored: why a name has no effect.
        refused: what to use instead of a name.
    """

    owner: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


ESTIMATOR = Vocabulary("RLEstimator", RENAMED, IGNORED, REFUSED)


def settle(
    others: Mapping[str, Any], known: Iterable[str], vocabulary: Vocabulary = ESTIMATOR
) -> tuple[dict[str, Any], list[str]]:
    """Sort out keywords that are not in the signature.

    Args:
        others: the keywords.
        known: names of the signature.
        vocabulary: names beside them.

    Returns:
        Values by their present names, and what to tell the user.

    Raises:
        UnknownArgument: with the nearest name, or with what to use instead.
    """
    values: dict[str, Any] = {}
    notices: dict[str, None] = {}
    owner = vocabulary.owner
    for name, value in others.items():
        if name in vocabulary.renamed:
            values[vocabulary.renamed[name]] = value
            notices[f"'{name}' is now called '{vocabulary.renamed[name]}'."] = None
        elif name in vocabulary.ignored:
            if value is not None:
                notices[f"'{name}' has no effect: {vocabulary.ignored[name]}."] = None
        elif name in vocabulary.refused:
            if value is not None:
                raise UnknownArgument(f"{owner}: '{name}' is not available.", f"Instead: {vocabulary.refused[name]}.")
        else:
            import difflib

            near = difflib.get_close_matches(name, [*known, *vocabulary.renamed], 1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Arguments: {', '.join(known)}."
            raise UnknownArgument(f"{owner}: unknown argument '{name}'.", hint)
    return values, list(notices)


def read(
    kind: Callable[..., Arguments], values: Iterable[Any], keywords: Mapping[str, Any], vocabulary: Vocabulary
) -> Arguments:
    """A dataclass of arguments from values by position and by name, old names among them; the user is told of those.

    Args:
        kind: the dataclass.
        values: arguments by position.
        keywords: arguments by name.
        vocabulary: the names that are known beside those of the fields.

    Raises:
        UnknownArgument: a keyword is unknown, not available, or missing.
        InputError: one is given under its old name and its new one.
        TypeError: too many values are given by position, or one also by name.
    """
    own = fields(kind)  # type: ignore[arg-type]  # every kind is a dataclass
    names = [each.name for each in own]
    by_position = [each.name for each in own if not each.kw_only]
    values = tuple(values)
    known = {name: value for name, value in keywords.items() if name in names}
    others = {name: value for name, value in keywords.items() if name not in names}
    renamed, notices = settle(others, names, vocabulary)
    placed = dict(zip(by_position, values, strict=False))
    if len(values) > len(by_position):
        raise TypeError(f"{vocabulary.owner} takes {len(by_position)} arguments by position, {len(values)} were given.")
    if doubled := sorted(set(placed) & set(known)):
        raise TypeError(f"{vocabulary.owner}: '{doubled[0]}' is given twice, by position and by name.")
    given = placed | known
    if twice := sorted(name for name in set(given) & set(renamed) if given[name] is not None):
        raise InputError(f"{vocabulary.owner}: '{twice[0]}' is given twice, under its old name and its new one.")
    given |= renamed
    needed = [each.name for each in own if each.default is MISSING and each.default_factory is MISSING]
    if missing := [name for name in needed if given.get(name) is None]:
        raise UnknownArgument(f"{vocabulary.owner}: '{missing[0]}' is missing.")
    for notice in notices:
        say(notice)
    return kind(**given)


def taken_as(
    kind: Callable[Signature, Arguments], vocabulary: Vocabulary
) -> Callable[[Callable[[Owner, Arguments], Result]], Callable[Concatenate[Owner, Signature], Result]]:
    """Give a method the fields of a dataclass as its arguments; it receives them as one object.

    The method's signature is that of the dataclass, for a type checker, for an editor and for ``inspect.signature``.
    What the dataclass does not know is answered as ``read`` does.

    Args:
        kind: the dataclass.
        vocabulary: the names that are known beside those of its fields.
    """

    def decorate(method: Callable[[Owner, Arguments], Result]) -> Callable[Concatenate[Owner, Signature], Result]:
        def taking(owner: Owner, /, *values: Signature.args, **keywords: Signature.kwargs) -> Result:
            return method(owner, read(kind, values, keywords, vocabulary))

        functools.update_wrapper(taking, method)
        arguments = inspect.signature(kind.__init__)
        returned = inspect.signature(method).return_annotation
        taking.__signature__ = arguments.replace(return_annotation=returned)  # type: ignore[attr-defined]
        return taking

    return decorate
