"""The policy as an ONNX graph, against torch: every mask, fallback and target policy."""

from __future__ import annotations

import builtins
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from modelservers import FACTS, network, policy_model, states

from batchrl.agents.masks import ImitationMask, NearestNeighbourMask
from batchrl.agents.model import PolicyModel, Scorer
from batchrl.agents.target_policy import TargetPolicy
from batchrl.checkpoints import onnx_comparison, onnx_export
from batchrl.checkpoints.onnx_comparison import compare, eligible_for, states_for
from batchrl.checkpoints.onnx_export import export_onnx
from batchrl.checkpoints.onnx_graph import PolicyGraph
from batchrl.contract.errors import BatchRLError, InputError

TARGETS = {
    "softmax": TargetPolicy("softmax", temperature=0.7),
    "greedy": TargetPolicy("greedy"),
    "epsilon": TargetPolicy("epsilon_greedy", epsilon=0.2),
}
FALLBACKS = ("random", "unmasked_argmax", "most_likely")


def keys(*sizes: int, width: int = 3) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(states(size, width, seed=10 + at)) for at, size in enumerate(sizes))


def masks() -> dict[str, ImitationMask | NearestNeighbourMask | None]:
    classifier = network(3, 3, (6,), scaled=True, seed=5)
    embedding = network(3, 3, (6,), seed=6)
    return {
        "none": None,
        "absolute": ImitationMask(classifier, 0.5, relative=False),
        "relative": ImitationMask(classifier, 0.6, relative=True, absent=[1]),
        "nearest": NearestNeighbourMask(keys(40, 5, 200), [0.4, 0.6, 0.2], None),
        "nearest, exactly": NearestNeighbourMask(keys(40, 5, 200), [0.0, 0.0, 0.0], None),
        "nearest embedding": NearestNeighbourMask(keys(40, 0, 300, width=6), [0.5, 0.5, 0.9], embedding),
    }


def scorers() -> dict[str, tuple[Scorer, Scorer | None]]:
    plain = Scorer(network(3, 3), 2.0)
    ensemble = Scorer(network(3, 3, (8, 4), ensemble=3, scaled=True, seed=1), 10.0)
    linear = Scorer(network(3, 3, (), seed=2))
    return {
        "shared": (plain, plain),
        "apart": (plain, ensemble),
        "ensemble": (ensemble, ensemble),
        "without values": (ensemble, None),
        "linear": (linear, linear),
    }


def outputs(model: PolicyModel, eligible: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """What the graph gives, by torch itself."""
    graph = PolicyGraph(model, model.target).eval()
    with torch.no_grad():
        found = graph(torch.from_numpy(states_for(model)), None if eligible is None else torch.from_numpy(eligible))
    return {name: tensor.numpy() for name, tensor in zip(graph.output_names, found, strict=True)}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("fallback", FALLBACKS)
@pytest.mark.parametrize("mask", masks())
def test_the_graph_does_what_the_policy_does(mask: str, fallback: str, target: str) -> None:
    for preferences, values in scorers().values():
        model = PolicyModel(preferences, values, TARGETS[target], masks()[mask], fallback)  # type: ignore[arg-type]
        found = compare(model, outputs(model), states_for(model))
        assert found.holds, found
        assert found.undecided <= 1
        eligible = eligible_for(model)
        assert 0.3 < eligible.mean() < 0.8 and eligible.any(axis=1).all()
        limited = outputs(model, eligible)
        assert compare(model, limited, states_for(model), eligible).undecided <= 1
        assert compare(model, limited, states_for(model), eligible).holds
        assert not (limited["probabilities"] > 0)[~eligible].any()


@pytest.mark.parametrize("mask", masks())
def test_where_no_action_can_be_taken_none_is(mask: str) -> None:
    model = replace(policy_model(n_actions=3, mask=masks()[mask]), target=TARGETS["greedy"])
    eligible = eligible_for(model)
    eligible[::2] = False
    given = outputs(model, eligible)
    assert (given["action"] == -1).tolist() == [True, False] * (len(eligible) // 2)
    for name in ("probabilities", "values", "value"):
        assert np.isnan(given[name][::2]).all()
        assert np.isfinite(given[name][1::2]).all()


def test_the_states_that_are_compared_tell_masks_and_fallbacks_apart() -> None:
    for name, mask in masks().items():
        if mask is None:
            continue
        model = policy_model(n_actions=3, mask=mask)
        allowed = model.decide(states_for(model), model.target).allowed
        assert allowed is not None
        assert allowed.any(axis=1).any(), name
        assert not allowed.all(axis=1).all(), name
        if name not in ("relative",):
            assert not allowed.any(axis=1).all(), name


@pytest.mark.parametrize("part", ["preferences", "mask"])
def test_a_graph_that_does_something_else_is_found_out(part: str) -> None:
    model = policy_model(n_actions=3, mask=masks()["absolute"] if part == "mask" else None)
    other = replace(model, preferences=Scorer(network(3, 3, seed=9), 2.0), values=None)
    if part == "mask":
        other = replace(model, mask=ImitationMask(network(3, 3, (6,), seed=4), 0.5, relative=False))
    assert compare(model, outputs(model), states_for(model)).holds
    mixed = outputs(model) | {k: v for k, v in outputs(other).items() if k != "value"}
    assert not compare(model, mixed, states_for(model)).holds


FILES = {
    "plain": ("shared", "none", "most_likely", "softmax"),
    "imitation": ("without values", "relative", "unmasked_argmax", "greedy"),
    "fallback": ("linear", "absolute", "most_likely", "greedy"),
    "nearest": ("ensemble", "nearest", "most_likely", "softmax"),
    "everything": ("apart", "nearest embedding", "random", "epsilon"),
}


@pytest.mark.parametrize("kind", ["fallback", "everything"])
def test_the_file_takes_the_actions_that_can_be_taken_where_training_had_lists(kind: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    scorer, mask, fallback, target = FILES[kind]
    model = PolicyModel(*scorers()[scorer], TARGETS[target], masks()[mask], fallback)  # type: ignore[arg-type]
    export_onnx(tmp_path / "policy.onnx", model, FACTS | {"eligible_actions": True})
    session = runtime.InferenceSession((tmp_path / "policy.onnx").read_bytes())
    assert [(one.name, one.type) for one in session.get_inputs()] == [
        ("states", "tensor(float)"),
        ("eligible", "tensor(bool)"),
    ]
    rows = states(300, seed=3)
    eligible = eligible_for(model)[: len(rows)]
    given, action = session.run(["probabilities", "action"], {"states": rows, "eligible": eligible})
    wanted = model.decide(rows, model.target, eligible)
    np.testing.assert_allclose(given, wanted.probabilities, atol=1e-5)
    np.testing.assert_array_equal(action, wanted.probabilities.argmax(axis=1))


@pytest.mark.parametrize("kind", FILES)
def test_the_file_gives_in_onnxruntime_what_torch_gives(kind: str, tmp_path: Path) -> None:
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    scorer, mask, fallback, target = FILES[kind]
    model = PolicyModel(*scorers()[scorer], TARGETS[target], masks()[mask], fallback)  # type: ignore[arg-type]
    path = tmp_path / "new" / "policy.onnx"
    found = export_onnx(path, model, FACTS)
    assert found.holds
    assert found.states == 512
    session = runtime.InferenceSession(path.read_bytes())
    assert [one.name for one in session.get_inputs()] == ["states"]
    expected = ["probabilities", "action"]
    expected += ["value", "values"] if model.values is not None else []
    expected += ["mask"] if model.mask is not None else []
    assert [one.name for one in session.get_outputs()] == expected
    for size in (1, 7, 300):
        rows = states(size, seed=3)
        answer = dict(zip(expected, session.run(None, {"states": rows}), strict=True))
        wanted = model.decide(rows, model.target)
        np.testing.assert_allclose(answer["probabilities"], wanted.probabilities, atol=1e-5)
        np.testing.assert_array_equal(answer["action"], wanted.probabilities.argmax(axis=1))
        if wanted.values is not None:
            expected_value = (wanted.probabilities * wanted.values).sum(axis=1)
            np.testing.assert_allclose(answer["values"], wanted.values, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(answer["value"], expected_value, rtol=1e-4, atol=1e-5)
        if wanted.allowed is not None:
            np.testing.assert_array_equal(answer["mask"], wanted.allowed)
    if kind == "plain":
        again = tmp_path / "again.onnx"
        export_onnx(again, model, FACTS)
        assert again.read_bytes() == path.read_bytes()
        content = path.read_bytes()
        for trace in (b"entrypoints", b"site-packages", b"onnx_graph.py", str(tmp_path).encode()):
            assert trace not in content
        told = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        assert told["data_sha256"] == FACTS["data_sha256"]


def test_a_graph_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setattr(onnx_comparison, "TOLERANCE", -1.0)
    with pytest.raises(BatchRLError, match="does not give what the policy gives"):
        export_onnx(tmp_path / "policy.onnx", policy_model(), FACTS)
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named_with_how_to_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: object, **settings: object) -> object:
        if name.partition(".")[0] == "onnxruntime":
            raise ModuleNotFoundError("No module named 'onnxruntime'")
        return real(name, *arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="onnxruntime") as refused:
        export_onnx(tmp_path / "policy.onnx", policy_model(), FACTS)
    assert "pip install 'batchrl[onnx]'" in str(refused.value.hint)


def test_a_model_beyond_what_a_file_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setattr(onnx_export, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="an ONNX file holds"):
        export_onnx(tmp_path / "policy.onnx", policy_model(), FACTS)
    assert not list(tmp_path.iterdir())
