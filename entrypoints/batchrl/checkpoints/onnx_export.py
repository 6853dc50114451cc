"""A policy as an ONNX file, which is kept only if onnxruntime gives what torch gives.

Inputs: of a policy with an encoding one a column of raw records, ``[batch]``: float64 for numbers, texts for categories
and dates; else ``states`` ``[batch, d]`` float32. Outputs: ``probabilities`` ``[batch, A]`` float64 and ``action``
``[batch]``; with values also ``value`` ``[batch]`` and ``values`` ``[batch, A]``; with a mask also ``mask``
``[batch, A]``.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from batchrl.agents.masks import NearestNeighbourMask
from batchrl.agents.model import PolicyModel
from batchrl.checkpoints.files import publish
from batchrl.checkpoints.onnx_encoding import Cells, EncodingGraph
from batchrl.checkpoints.onnx_graph import PolicyGraph, RecordGraph
from batchrl.checkpoints.onnx_records import input_names, inputs_in_words, records_near
from batchrl.checkpoints.onnx_texts import BATCH, CELLS, OPSET, CellsGraph
from batchrl.contract.errors import BatchRLError, InputError
from batchrl.data.dataset import Floats32
from batchrl.data.encoding import Encoding

PACKAGES_HINT = "Install with: pip install 'batchrl[onnx]'"
# A file of one message, as ONNX is without files beside it, has 2 GiB at most.
MOST_BYTES = 2_000_000_000
COMPARED_STATES = 512
# Of float32 numbers that were summed in another order, in shares of the largest one.
TOLERANCE = 1e-4
# States in which such a difference decides between two actions, or about a threshold.
MOST_UNDECIDED = 0.01
PRODUCER = "batchrl"
STATES = "states"


@dataclass(frozen=True)
class Comparison:
    """How a graph differs from the policy that it was made of.

    Args:
        states: that were compared.
        values: largest difference of a value, as a share of the largest one; 0 without values.
        probabilities: largest difference of a probability, where mask and action are the same.
        undecided: states with another mask or action.
    """

    states: int
    values: float
    probabilities: float
    undecided: int

    @property
    def holds(self) -> bool:
        """Whether ONNX and torch agree closely enough to keep the file."""
        return (
            self.values <= TOLERANCE
            and self.probabilities <= TOLERANCE
            and self.undecided <= MOST_UNDECIDED * self.states
        )


def export_onnx(path: Path, model: PolicyModel, facts: Mapping[str, Any], encoded: bool = False) -> Comparison:
    """Write a policy as an ONNX file.

    Args:
        path: of the file.
        model: the policy, with the target policy that is wanted.
        facts: where it comes from, in JSON's types; they stand in the file's metadata.
        encoded: whether the input is features, even where the policy has an encoding.

    Raises:
        InputError: packages are missing, or the model is too large for such a file.
        BatchRLError: the graph does not give what the policy gives; nothing is written.
    """
    onnx, runtime = _packages()
    size = sum(tensor.nbytes for tensor in model.pack()[1].values())
    if size > MOST_BYTES:
        raise InputError(
            f"the model has {size / 1e9:.1f} GB of weights and keys; an ONNX file holds {MOST_BYTES / 1e9:g} GB.",
            "Serve the exported model instead, or train with a smaller bcq.knn_capacity.",
        )
    encoding = None if encoded else Encoding.of_facts(facts)
    policy = PolicyGraph(model, model.target).eval()
    states = states_for(model)
    if encoding is None:
        given = {STATES: states}
        content = _cleaned(onnx, _traced(onnx, policy, torch.zeros(2, model.n_features), STATES), facts)
    else:
        names = input_names(encoding, policy.output_names)
        states, cells = records_near(encoding, states)
        given = {names[column]: values for column, values in cells.items()}
        inputs = {"inputs": inputs_in_words(encoding, names)}
        content = _cleaned(onnx, _of_records(onnx, policy, encoding, names), {**facts, **inputs})
    try:
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        outputs = session.run(None, given)
    except Exception as error:  # onnxruntime has an exception for each of its codes
        raise BatchRLError(f"onnxruntime cannot run the graph, which was not written: {error}") from error
    found = compare(model, dict(zip(policy.output_names, outputs, strict=True)), states)
    if not found.holds:
        raise BatchRLError(f"the ONNX graph does not give what the policy gives, and was not written: {found}.")
    publish(path, content)
    return found


def _of_records(onnx: Any, policy: PolicyGraph, encoding: Encoding, names: Mapping[str, str]) -> Any:
    """The model of raw records: texts to numbers by ONNX's own operations, and all else as torch does it."""
    graph = RecordGraph(EncodingGraph(encoding), policy).eval()
    zeros = torch.zeros(2, Cells(encoding).total, dtype=torch.float64)
    second = _traced(onnx, graph, zeros, CELLS, opset_version=OPSET)
    # Longer than any column's name, so that none of the graph's values is called like one.
    prefix = "_" * max(map(len, names.values())) + "/"
    second = onnx.compose.add_prefix(second, prefix, rename_outputs=False)
    first = CellsGraph(onnx, encoding, names, prefix).model(second.ir_version)
    return onnx.compose.merge_models(first, second, [(prefix + CELLS, prefix + CELLS)])


def _traced(onnx: Any, graph: PolicyGraph | RecordGraph, example: torch.Tensor, name: str, **settings: Any) -> Any:
    """The model of a torch module with one input of that name, ``[batch, k]``."""
    with TemporaryDirectory(prefix="batchrl-") as scratch:
        path = Path(scratch) / "policy.onnx"
        with _silence():
            torch.onnx.export(
                graph,
                (example,),
                path,
                input_names=[name],
                output_names=graph.output_names,
                dynamic_shapes=({0: torch.export.Dim(BATCH)},),
                dynamo=True,
                external_data=False,
                **settings,
            )
        return onnx.load(str(path))


def states_for(model: PolicyModel) -> Floats32:
    """States ``[n, d]`` that a policy is likely to tell apart: about its inputs' means, or near what its mask knows."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(COMPARED_STATES, model.n_features))
    network = model.preferences.network
    if network.input_shift is not None and network.input_scale is not None:
        states = states / network.input_scale.numpy() + network.input_shift.numpy()
    mask = model.mask
    if isinstance(mask, NearestNeighbourMask) and mask.embedding is None:
        keys = torch.cat(mask.keys).numpy()
        known = keys[rng.integers(len(keys), size=COMPARED_STATES)]
        # Half of them exactly, which are at distance 0 from themselves.
        states = known + np.where(rng.random((COMPARED_STATES, 1)) < 0.5, 0.0, 0.1 * keys.std(axis=0)) * states
    result: Floats32 = states.astype(np.float32)
    return result


def compare(model: PolicyModel, outputs: Mapping[str, Any], states: Floats32) -> Comparison:
    """Compare a graph's outputs for some states with the model's own."""
    wanted = model.decide(states, model.target)
    differing = outputs["action"] != wanted.probabilities.argmax(axis=1)
    if wanted.allowed is not None:
        differing |= (outputs["mask"] != wanted.allowed).any(axis=1)
    values = 0.0
    if wanted.values is not None:
        values = float(np.abs(outputs["values"] - wanted.values).max() / max(1.0, np.abs(wanted.values).max()))
        expected = (wanted.probabilities * wanted.values).sum(axis=1)
        alike = np.abs(outputs["value"] - expected)[~differing]
        values = max(values, float(alike.max(initial=0.0)) / max(1.0, np.abs(expected).max()))
    # A softmax magnifies differences of large scores.
    scores = model.preferences(states)
    magnified = max(1.0, float(np.abs(scores).max()) / model.target.temperature)
    probabilities = np.abs(outputs["probabilities"] - wanted.probabilities)[~differing]
    largest = float(probabilities.max(initial=0.0)) / magnified
    return Comparison(
        len(states),
        values if math.isfinite(values) else math.inf,
        largest if math.isfinite(largest) else math.inf,
        int(differing.sum()),
    )


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  (torch's exporter wants it)
    except ImportError as error:
        raise InputError(
            f"ONNX export needs the packages onnx, onnxscript and onnxruntime: {error}.", PACKAGES_HINT
        ) from error
    return onnx, onnxruntime


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep to ourselves what torch's exporter says of packages and of its own steps."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _cleaned(onnx: Any, model: Any, facts: Mapping[str, Any]) -> bytes:
    """A model as a file with our own metadata in place of the exporter's, which names paths of this machine."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    model.ClearField("metadata_props")
    model.producer_name, model.producer_version = PRODUCER, ""
    texts = {name: fact if isinstance(fact, str) else json.dumps(fact, sort_keys=True) for name, fact in facts.items()}
    onnx.helper.set_model_props(model, dict(sorted(texts.items())))
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
