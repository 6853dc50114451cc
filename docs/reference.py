"""Writes docs/reference.md: every option of the public classes, as their fields describe themselves.

Run ``python docs/reference.py`` after an option was added or changed; ``tests/test_reference.py`` fails until then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from launcher.api.arguments import ESTIMATOR, Vocabulary
from launcher.api.joboptions import JobOptions
from launcher.api.options import default_of, described, flags
from launcher.api.servingoptions import DeployOptions, ModelOptions, TransformOptions
from launcher.api.transformcall import TransformCall
from launcher.serving import model, transformer

PAGE = Path(__file__).with_name("reference.md")
LIST_ITEM = "[]"
INTRODUCTION = """\
# Reference of options

Made by `python docs/reference.py` from the fields of the classes below; change the fields, not this page.

The first column is the name of the argument; arguments before the mark `*` may be given by position, those behind it
by name alone. *Flag* is the option of the command line, where there is one; `batchrl transform --help` and
`batchrl deploy --help` list those of these two. The column with the name of an operation says where the value stands in
the request that SageMaker and the local cloud take; where it is empty, the launcher computes something from the option.
"""


@dataclass(frozen=True)
class Section:
    """One class or method of the public face.

    Args:
        title: how it is called.
        about: what takes its options on the command line, and which units they have.
        operation: the operation of the API that its options go to.
        kind: the dataclass of its options.
        vocabulary: the names of SageMaker's SDK that it answers.
        lists: parts of the request that are lists of one item.
    """

    title: str
    about: str
    operation: str
    kind: type[Any]
    vocabulary: Vocabulary
    lists: tuple[str, ...] = ()


SECTIONS = (
    Section(
        "RLEstimator",
        "A job: also `batchrl train`, `plan`, `evaluate` and `iterate`. Times are in seconds, sizes in GiB.",
        "CreateTrainingJob",
        JobOptions,
        ESTIMATOR,
    ),
    Section(
        "Model",
        "A trained policy with the image that serves it.",
        "CreateModel",
        ModelOptions,
        model.VOCABULARY,
    ),
    Section(
        "Transformer",
        "Batch transform with one model. What is None has the API's default, or the server's own.",
        "CreateTransformJob",
        TransformOptions,
        transformer.VOCABULARY,
    ),
    Section(
        "transform",
        "A method of `Transformer`; its `plan` takes the same but for the last three.",
        "CreateTransformJob",
        TransformCall,
        transformer.CALL_VOCABULARY,
    ),
    Section(
        "deploy",
        "A method of `RLEstimator` and `Model`. Times are in seconds, sizes in GiB.",
        "CreateEndpointConfig",
        DeployOptions,
        model.DEPLOY_VOCABULARY,
        lists=("ProductionVariants",),
    ),
)


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(line for section in SECTIONS for line in _lines(section))])


def _lines(section: Section) -> Iterator[str]:
    yield f"## {section.title}\n\n{section.about}\n"
    with_flags, by_position = bool(flags(section.kind)), True
    head = ("option", "type", "default", *(("flag",) if with_flags else ()), section.operation, "what")
    yield _row(*head)
    yield "|" + "---|" * len(head)
    for field, about in described(section.kind):
        if by_position and field.kw_only:
            by_position = False
            yield _row("`*`", *[""] * (len(head) - 1))
        flag = (f"`{about.flag.name}`" if about.flag else "",) if with_flags else ()
        cells = (f"`{field.name}`", _type(field.type), _default(default_of(field)), *flag)
        yield _row(*cells, _place(about.wire, section.lists), about.about)
    yield ""
    yield from _answered(section.vocabulary)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(annotation: object) -> str:
    return f"`{annotation}`" if annotation not in ("object", "Any") else ""


def _default(value: object) -> str:
    return "required" if value is MISSING else f"`{value!r}`"


def _place(wire: str | None, lists: tuple[str, ...]) -> str:
    if wire is None:
        return ""
    first, dot, rest = wire.partition(".")
    return f"`{first}{LIST_ITEM if first in lists else ''}{dot}{rest}`"


def _answered(vocabulary: Vocabulary) -> Iterator[str]:
    """What becomes of the other names that users of SageMaker's SDK know."""
    renamed = {name: f"is now `{present}`" for name, present in vocabulary.renamed.items()}
    ignored = {name: f"has no effect: {why}" for name, why in vocabulary.ignored.items()}
    refused = {name: f"is refused; instead: {instead}" for name, instead in vocabulary.refused.items()}
    answers: Mapping[str, str] = renamed | ignored | refused
    if answers:
        yield "Names of SageMaker's SDK beside these:\n"
        yield from (f"- `{name}` {answer}" for name, answer in answers.items())
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
