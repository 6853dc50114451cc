"""PyTorch's private operators and their public fallbacks compute the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from batchrl.agents import fused

ROOT = Path(__file__).parents[3]
# Operators that PyTorch does not offer by a public name.
PRIVATE = re.compile(r"torch\._(?!_)|torch\.ops\b|import _C\b|mkldnn\._|_execution_engine")


@pytest.fixture(params=["private", "public"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test runs with the private operators, and with the fallbacks."""
    if request.param == "public":
        monkeypatch.setattr(fused, "_ONEDNN_LINEAR", None)
        monkeypatch.setattr(fused, "_ADAM", None)
        monkeypatch.setattr(fused, "_SET_DETERMINISTIC", None)
    elif None in (fused._ONEDNN_LINEAR, fused._ADAM, fused._SET_DETERMINISTIC):
        pytest.skip("this build of PyTorch lacks an operator")
    return str(request.param)


@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_a_layer_is_PyTorchs_either_way(way: str, biased: bool, rectify: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, weights = torch.randn(130, 40, generator=generator), torch.randn(70, 40, generator=generator)
    biases = torch.randn(70, generator=generator) if biased else None
    expected = functional.linear(inputs.double(), weights.double(), None if biases is None else biases.double())
    expected = expected.relu() if rectify else expected
    found = fused.linear(inputs, weights, biases, rectify)
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
    assert fused.has_onednn() == (way == "private")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_steps_of_Adam_are_PyTorchs_either_way(l2: float) -> None:
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(100, generator=generator)
    expected = start.clone().requires_grad_()
    reference = torch.optim.Adam([expected], lr=0.01, betas=(0.9, 0.99), eps=1e-4, weight_decay=l2)
    state = State(start)
    for _ in range(30):
        gradient = torch.randn(100, generator=generator)
        expected.grad = gradient.clone()
        reference.step()
        state.step(gradient.clone(), l2)
        torch.testing.assert_close(state.parameters, expected.detach(), rtol=1e-5, atol=1e-6)


def test_only_deterministic_algorithms_are_taken(way: str) -> None:
    before = torch.are_deterministic_algorithms_enabled()
    try:
        torch.use_deterministic_algorithms(False)
        fused.use_deterministic_algorithms()
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        with pytest.raises(RuntimeError, match="deterministic"):
            torch.ones(2, 2).put_(torch.tensor([0, 0]), torch.ones(2))
    finally:
        torch.use_deterministic_algorithms(before)


def test_training_starts_without_pytorchs_compiler() -> None:
    program = (
        "import sys\n"
        "from batchrl.training.randomness import make_deterministic\n"
        "make_deterministic()\n"
        "print([name for name in sys.modules if name.startswith(('torch._inductor', 'torch._dynamo'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_both_ways_change_the_same_tensors_by_the_same(l2: float, monkeypatch: pytest.MonkeyPatch) -> None:
    if fused._ADAM is None:
        pytest.skip("this build of PyTorch lacks the operator")
    generator = torch.Generator().manual_seed(2)
    start, drawn = torch.randn(1000, generator=generator), torch.randn(5, 1000, generator=generator)
    private, public = State(start), State(start)
    for gradient in drawn:
        private.step(gradient.clone(), l2)
    monkeypatch.setattr(fused, "_ADAM", None)
    for gradient in drawn:
        given = gradient.clone()
        public.step(given, l2)
        assert given.equal(gradient)
    for name, tensor in vars(public).items():
        torch.testing.assert_close(tensor, getattr(private, name), rtol=1e-5, atol=1e-6, msg=name)


class State:
    """Parameters, moments and the number of steps."""

    def __init__(self, parameters: Tensor) -> None:
        self.parameters = parameters.clone()
        self.first, self.second = torch.zeros_like(parameters), torch.zeros_like(parameters)
        self.steps = torch.zeros(())

    def step(self, gradient: Tensor, l2: float) -> None:
        self.steps += 1
        moments = (self.first, self.second, self.steps)
        fused.adam_step(self.parameters, gradient, *moments, rate=0.01, beta1=0.9, beta2=0.99, epsilon=1e-4, l2=l2)


def test_no_other_module_calls_a_private_operator() -> None:
    sources = [
        path for folder in ("entrypoints", "presets", "launcher", "bench") for path in (ROOT / folder).rglob("*.py")
    ]
    calling = [path.name for path in sources if PRIVATE.search(path.read_text())]
    assert calling == ["fused.py"]
