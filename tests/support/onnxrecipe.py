"""Raw records through onnxruntime, by the lines that the documentation has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

DOCUMENT = Path(__file__).parents[2] / "docs/serving.md"


def by_onnx(session: Any, records: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The outputs for records, and by ``names`` what the documentation's lines say that their actions are."""
    (block,) = re.findall(r'InferenceSession\("policy.onnx"\)\n(.*?)\n```', DOCUMENT.read_text(), flags=re.DOTALL)
    told = {one["name"]: one["column"] for one in metadata(session)["inputs"]}
    renamed = [record | {name: record[column] for name, column in told.items()} for record in records]
    found: dict[str, Any] = {"session": session, "numpy": np, "json": json, "records": renamed}
    exec(block, found)
    outputs = session.run(None, found["columns"])
    given = dict(zip((one.name for one in session.get_outputs()), outputs, strict=True))
    np.testing.assert_array_equal(given["probabilities"], found["probabilities"])
    return given | {"names": found["names"]}


def metadata(session: Any) -> dict[str, Any]:
    """What a file of raw records says of its inputs, encoding and actions."""
    texts = session.get_modelmeta().custom_metadata_map
    return {name: json.loads(texts[name]) for name in ("inputs", "preprocessing", "actions")}
