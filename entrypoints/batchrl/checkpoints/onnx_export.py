"""A policy as an ONNX file, which is kept only if onnxruntime gives what torch gives.

Inputs: of a policy with an encoding one a column of raw records, ``[batch]``, float64 for numbers, texts for categories
and dates; else ``states`` ``[batch, d]`` float32. Of a policy that was trained with lists of actions that can be taken
also ``eligible`` ``[batch, A]``, which of them can. Outputs: ``probabilities`` ``[batch, A]`` float64 and ``action``
``[batch]``; with values also ``value`` ``[batch]`` and ``values`` ``[batch, A]``; with a mask also ``mask``
``[batch, A]``; of raw records also ``action_name`` ``[batch]``.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from batchrl.agents.model import PolicyModel
from batchrl.checkpoints.files import publish
from batchrl.checkpoints.onnx_comparison import Comparison, compare, eligible_for, states_for
from batchrl.checkpoints.onnx_encoding import Cells, EncodingGraph
from batchrl.checkpoints.onnx_graph import PolicyGraph, RecordGraph
from batchrl.checkpoints.onnx_records import input_names, inputs_in_words, records_near
from batchrl.checkpoints.onnx_texts import ACTION_NAME, BATCH, CELLS, OPSET, CellsGraph, name_actions
from batchrl.contract.errors import BatchRLError, InputError
from batchrl.data.dataset import Flags, default_names
from batchrl.data.encoding import Encoding

PACKAGES_HINT = "Install with: pip install 'batchrl[onnx]'"
# A file of one message, as ONNX is without files beside it, has 2 GiB at most.
MOST_BYTES = 2_000_000_000
PRODUCER = "batchrl"
STATES = "states"
ELIGIBLE = "eligible"


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
    policy = PolicyGraph(model, model.target).eval()
    encoding = None if encoded else Encoding.of_facts(facts)
    states, eligible = states_for(model), None
    if facts.get("eligible_actions", False):
        eligible = eligible_for(model)
    if encoding is None:
        graph = _traced(onnx, policy, STATES, torch.zeros(2, model.n_features), eligible)
        given: dict[str, Any] = {STATES: states}
    else:
        actions = tuple(facts.get("actions") or default_names(model.n_actions))
        names = input_names(encoding, (*policy.output_names, ACTION_NAME, ELIGIBLE))
        graph = _of_records(onnx, policy, encoding, names, actions, eligible)
        states, cells = records_near(encoding, states)
        given = {names[column]: values for column, values in cells.items()}
        facts = {**facts, "actions": actions, "inputs": inputs_in_words(encoding, names)}
    if eligible is not None:
        given[ELIGIBLE] = eligible
    content = _cleaned(onnx, graph, facts)
    try:
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        outputs = dict(zip((one.name for one in session.get_outputs()), session.run(None, given), strict=True))
    except Exception as error:  # onnxruntime has an exception for each of its codes
        raise BatchRLError(f"onnxruntime cannot run the graph, which was not written: {error}") from error
    found = compare(model, outputs, states, eligible)
    if not found.holds:
        raise BatchRLError(f"the ONNX graph does not give what the policy gives, and was not written: {found}.")
    publish(path, content)
    return found


def _of_records(
    onnx: Any,
    policy: PolicyGraph,
    encoding: Encoding,
    names: Mapping[str, str],
    actions: Sequence[str],
    eligible: Flags | None,
) -> Any:
    """The model of raw records: texts to numbers by ONNX's own operations, and all else as torch does it.

    Args:
        onnx: the package.
        policy: of the features.
        encoding: of the columns.
        names: of each column's input.
        actions: ``A`` names.
        eligible: ``[n, A]``, if records have to say which actions can be taken.
    """
    graph = RecordGraph(EncodingGraph(encoding), policy).eval()
    zeros = torch.zeros(2, Cells(encoding).total, dtype=torch.float64)
    # Longer than any column's name, so that none of the graph's values is called like one.
    prefix = "_" * max(map(len, names.values())) + "/"
    second = _traced(onnx, graph, prefix + CELLS, zeros, eligible, opset_version=OPSET)
    second = onnx.compose.add_prefix(second, prefix, rename_inputs=False, rename_outputs=False)
    first = CellsGraph(onnx, encoding, names, prefix).model(second.ir_version)
    joined = onnx.compose.merge_models(first, second, [(prefix + CELLS, prefix + CELLS)])
    name_actions(onnx, joined.graph, "action", actions, prefix)
    return joined


def _traced(
    onnx: Any,
    graph: PolicyGraph | RecordGraph,
    name: str,
    example: torch.Tensor,
    eligible: Flags | None,
    **settings: Any,
) -> Any:
    """The model of a torch module.

    Args:
        onnx: the package.
        graph: the module.
        name: of its first input.
        example: of it, ``[2, k]``.
        eligible: examples of the second, ``ELIGIBLE``, ``[n, A]``; None: it has none.
        settings: of the exporter.
    """
    examples = {name: example}
    if eligible is not None:
        examples[ELIGIBLE] = torch.from_numpy(eligible[:2])
    with TemporaryDirectory(prefix="batchrl-") as scratch:
        path = Path(scratch) / "policy.onnx"
        with _silence():
            torch.onnx.export(
                graph,
                tuple(examples.values()),
                path,
                input_names=list(examples),
                output_names=graph.output_names,
                dynamic_shapes=({0: torch.export.Dim(BATCH)},) * len(examples),
                dynamo=True,
                external_data=False,
                **settings,
            )
        return onnx.load(str(path))


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
