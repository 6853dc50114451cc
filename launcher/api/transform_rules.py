"""What CreateTransformJob demands beyond botocore's model (contract 142, 154, 156, 161, 162, 166, 178).

Functions of the request alone. The client asks before it submits, the local cloud when it is asked; each fault is one
sentence that says what would be right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchrl.contract.errors import InputError
from batchrl.contract.layout import S3Url
from launcher.api.constants import CSV, JSON, JSON_LINES
from launcher.api.jsonpath import MAX_LENGTH, ROOT, JsonPath

MAX_PAYLOAD_MB = 100  # of one request, and of all that are under way at once
DEFAULT_PAYLOAD_MB = 6
MAX_CONCURRENT = 100
MAX_INSTANCES = 100

JSON_LINES_TYPES = frozenset({JSON_LINES, "application/x-jsonlines"})
JSON_TYPES = frozenset({JSON}) | JSON_LINES_TYPES
# Those whose records are lines.
LINE_TYPES = JSON_LINES_TYPES | {CSV}
PROCESSED = f"{JSON}, {JSON_LINES} or {CSV}"
FRAMED = ("RecordIO", "TFRecord")
DATA_TYPES = ("S3Prefix", "ManifestFile")

Wire = Mapping[str, Any]


def problems(request: Wire) -> list[str]:
    """Everything that agrees with the model and still cannot be done; empty when all is well.

    What breaks the model (a text for a number, an unknown enum) is the model's to say and is passed over.
    """
    return [
        *_instance_faults(request),
        *_payload_faults(request),
        *_place_faults(request),
        *_strategy_faults(request),
        *_processing_faults(request),
    ]


def _instance_faults(request: Wire) -> Iterator[str]:
    count = _of(request, "TransformResources").get("InstanceCount")
    if isinstance(count, int) and count > MAX_INSTANCES:
        yield f"TransformResources.InstanceCount {count} is above {MAX_INSTANCES}."


def media_type(text: str | None) -> str:
    """A MIME type without its parameters, in small letters; empty for None."""
    return (text or "").partition(";")[0].strip().lower()


def split_type(request: Wire) -> str:
    """``TransformInput.SplitType``, ``None`` where the request leaves it out."""
    return _text(_of(request, "TransformInput"), "SplitType", "None")


def processing(request: Wire) -> Wire:
    """The request's ``DataProcessing``, empty where it has none."""
    return _of(request, "DataProcessing")


def is_processed(request: Wire) -> bool:
    """Whether records are looked into: there is a filter that is not ``$``, or a join."""
    given = processing(request)
    filters = (_text(given, name, ROOT.text) for name in ("InputFilter", "OutputFilter"))
    return given.get("JoinSource") == "Input" or any(text != ROOT.text for text in filters)


def joins(request: Wire) -> bool:
    """Whether inputs are joined to their answers (``JoinSource`` is ``Input``)."""
    return processing(request).get("JoinSource") == "Input"


def output_folder(place: S3Url) -> str:
    """What the keys below S3OutputPath begin with; it ends in a slash, unless it is a whole bucket's."""
    return f"{place.key.rstrip('/')}/" if place.key.strip("/") else ""


def overlap(source: S3Url, place: S3Url) -> bool:
    """Whether results would lie where the raw input prefix finds them, to be input the next time (contract 154)."""
    if source.bucket != place.bucket:
        return False
    folder = output_folder(place)
    return folder.startswith(source.key) or folder == source.key[: source.key.rfind("/") + 1]


def _of(request: Wire, name: str) -> Wire:
    value = request.get(name)
    return value if isinstance(value, Mapping) else {}


def _number(request: Wire, name: str) -> int | None:
    value = request.get(name)
    return value if isinstance(value, int) else None


def _text(request: Wire, name: str, default: str = "") -> str:
    value = request.get(name)
    return value if isinstance(value, str) and value else default


def _payload_faults(request: Wire) -> Iterator[str]:
    payload, concurrent = _number(request, "MaxPayloadInMB"), _number(request, "MaxConcurrentTransforms")
    if payload is not None and payload > MAX_PAYLOAD_MB:
        yield f"MaxPayloadInMB {payload} is above {MAX_PAYLOAD_MB}; set it to 0 for payloads of any size."
    if concurrent and concurrent > MAX_CONCURRENT:
        yield f"MaxConcurrentTransforms {concurrent} is above {MAX_CONCURRENT}."
    elif payload and concurrent and payload <= MAX_PAYLOAD_MB < payload * concurrent:
        yield (
            f"MaxConcurrentTransforms {concurrent} times MaxPayloadInMB {payload} is above {MAX_PAYLOAD_MB}: "
            f"set MaxConcurrentTransforms to {MAX_PAYLOAD_MB // payload} or less."
        )


def _place_faults(request: Wire) -> Iterator[str]:
    source = _of(_of(_of(request, "TransformInput"), "DataSource"), "S3DataSource")
    kind, output = _text(source, "S3DataType", DATA_TYPES[0]), _of(request, "TransformOutput")
    if kind not in DATA_TYPES:
        yield f"S3DataType {kind} is not for batch transform: use {' or '.join(DATA_TYPES)}."
    urls: dict[str, S3Url] = {}
    for holder, name in ((source, "S3Uri"), (output, "S3OutputPath")):
        if text := _text(holder, name):
            try:
                urls[name] = S3Url.parse(text)
            except InputError as error:
                yield f"{name}: {error.message} {error.hint}"
    if len(urls) == 2 and kind == DATA_TYPES[0] and overlap(*urls.values()):
        read, written = urls.values()
        yield (
            f"S3OutputPath '{written}' lies within what the input prefix '{read}' finds, so that results would be "
            "read as input: write to a folder whose key does not begin like the input's."
        )


def _strategy_faults(request: Wire) -> Iterator[str]:
    if (strategy := _text(request, "BatchStrategy")) and split_type(request) == "None":
        yield f"BatchStrategy {strategy} needs records: set SplitType to Line, RecordIO or TFRecord, or leave it out."


def _processing_faults(request: Wire) -> Iterator[str]:
    given, taken = _of(request, "TransformInput"), _of(request, "TransformOutput")
    content, accept = media_type(_text(given, "ContentType")), media_type(_text(taken, "Accept"))
    yield from _filter_faults(request, content, accept or content)
    if not is_processed(request):
        return
    if split_type(request) in FRAMED:
        yield f"Filters and joins are not for SplitType {split_type(request)}: use {PROCESSED}, with SplitType Line."
    elif content not in JSON_TYPES | {CSV}:
        said = f"ContentType '{content}'" if content else "a request without ContentType"
        yield f"Filters and joins are not for {said}: use {PROCESSED}."
    if joins(request):
        yield from _join_faults(request, content, accept)


def _filter_faults(request: Wire, content: str, answer: str) -> Iterator[str]:
    for name, kind in (("InputFilter", content), ("OutputFilter", answer)):
        text = _text(processing(request), name, ROOT.text)
        if len(text) > MAX_LENGTH:
            continue  # the model says so
        try:
            path = JsonPath.parse(text)
        except InputError as error:
            yield f"{name}: {error.message} {error.hint}"
        else:
            if kind == CSV and not path.picks_columns:
                yield f"{name} '{text}': a row of CSV has columns only, so it takes indices and slices, as in $[0,2:]."
            elif name == "OutputFilter" and not path.is_root and kind not in JSON_TYPES | {CSV}:
                yield f"OutputFilter '{text}' cannot be applied to Accept '{kind}': use {PROCESSED}."


def _join_faults(request: Wire, content: str, accept: str) -> Iterator[str]:
    if accept and content and accept != content:
        yield f"JoinSource Input needs one format: Accept is '{accept}' and ContentType '{content}'; make them equal."
    split = split_type(request)
    assembled = _text(_of(request, "TransformOutput"), "AssembleWith", "None")
    if split in FRAMED:
        return
    if content == CSV and (split, assembled) != ("Line", "Line"):
        yield f"JoinSource Input with text/csv needs SplitType and AssembleWith Line; they are {split} and {assembled}."
    elif split != assembled:
        yield f"JoinSource Input needs SplitType and AssembleWith to be equal; they are {split} and {assembled}."
