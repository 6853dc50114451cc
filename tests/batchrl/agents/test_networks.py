"""The networks' own backward pass, the products it is made of, and the optimiser, against PyTorch's."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from batchrl.agents import fused, networks
from batchrl.agents.learning import gradients
from batchrl.agents.losses import cross_entropy, expectile_loss, residual_loss
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.optimiser import Adam
from presets.schema import AgentSettings

SHAPES = [
    NetworkShape(3, 2, (8, 5)),
    NetworkShape(3, 2, (8, 5), ensemble=4),
    NetworkShape(3, 2, ()),
    # Large enough for oneDNN.
    NetworkShape(4, 2, (256, 512)),
    NetworkShape(4, 2, (256, 512), ensemble=2),
]


def make(shape: NetworkShape, seed: int = 0, scaled: bool = False) -> Network:
    generator = torch.Generator().manual_seed(seed)
    scaling = (torch.arange(shape.n_features) * 0.1, torch.full((shape.n_features,), 2.0)) if scaled else (None, None)
    network = Network(shape, generator, *scaling)
    for name, tensor in network.state_dict().items():
        if name.endswith("bias"):
            tensor.uniform_(-0.1, 0.1, generator=generator)
    return network


def plain(network: Network, states: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs by torch.nn.functional, and the leaves that they depend on."""
    tensors = network.state_dict()
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in tensors.items() if name.startswith("layers")}
    if "input.shift" in tensors:
        states = (states - tensors["input.shift"]) * tensors["input.scale"]
    outputs = []
    for member in range(network.shape.ensemble):
        hidden, depth = states, len(network.shape.hidden) + 1
        for layer in range(depth):
            weight, bias = leaves[f"layers.{layer}.weight"][member], leaves[f"layers.{layer}.bias"][member]
            hidden = functional.linear(hidden, weight, bias)
            hidden = hidden.relu() if layer < depth - 1 else hidden
        outputs.append(hidden)
    return torch.stack(outputs), leaves


@pytest.fixture(params=["as built", "without oneDNN"])
def product(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to multiply."""
    if request.param == "without oneDNN":
        monkeypatch.setattr(fused, "_ONEDNN_LINEAR", None)


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_backward_pass_is_autograds(shape: NetworkShape, scaled: bool) -> None:
    network = make(shape, scaled=scaled)
    states = torch.randn(200, shape.n_features, generator=torch.Generator().manual_seed(1))
    counted = 130
    expected, leaves = plain(network, states)
    found = network.forward(states)
    torch.testing.assert_close(found, expected)
    direction = torch.randn(shape.ensemble, counted, shape.n_outputs, generator=torch.Generator().manual_seed(2))
    (expected[:, :counted] * direction).sum().backward()
    network.gradient.fill_(torch.nan)
    network.backward(direction)
    flat = torch.cat(
        [
            part
            for layer in range(len(shape.hidden) + 1)
            for part in (_gradient(leaves, layer, "weight"), _gradient(leaves, layer, "bias"))
        ]
    )
    torch.testing.assert_close(network.gradient, flat, rtol=1e-4, atol=1e-4)


def _gradient(leaves: dict[str, Tensor], layer: int, kind: str) -> Tensor:
    gradient = leaves[f"layers.{layer}.{kind}"].grad
    assert gradient is not None
    return gradient.flatten()


def test_large_products_go_to_oneDNN_where_PyTorch_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    own = fused._ONEDNN_LINEAR
    if own is None:
        pytest.skip("this build of PyTorch has no oneDNN")
    monkeypatch.setattr(fused, "_ONEDNN_LINEAR", lambda *given: (calls.append(given[0].shape), own(*given))[1])
    network = make(NetworkShape(4, 2, (256, 512)))
    network.forward(torch.randn(256, 4))
    network.backward(torch.randn(1, 128, 2))
    assert len(calls) == 3
    network = make(NetworkShape(4, 2, (64, 64), 5))
    network.forward(torch.randn(256, 4))
    assert len(calls) == 3


def test_many_states_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make(NetworkShape(3, 2, (8, 5), 2))
    states = torch.randn(50, 3)
    expected = network.forward(states)
    embedded = network.embed(states)
    assert embedded.shape == (50, 10)
    monkeypatch.setattr(networks, "NUMBERS_AT_ONCE", 8 * 7)
    torch.testing.assert_close(network.infer(states), expected)
    torch.testing.assert_close(network.embed(states), embedded)
    assert (embedded >= 0).all()


def test_the_presets_network_has_the_parameters_of_section_2_1() -> None:
    network = Network(NetworkShape(4, 2, (256, 512)), torch.Generator().manual_seed(0))
    assert network.parameters.numel() == 133_890
    tensors = network.state_dict()
    for number, (low, high) in enumerate(itertools.pairwise((4, 256, 512, 2))):
        weight, limit = tensors[f"layers.{number}.weight"], (6 / (low + high)) ** 0.5
        assert weight.shape == (1, high, low)
        assert 0.9 * limit < weight.abs().max() <= limit
        assert not tensors[f"layers.{number}.bias"].any()


def test_members_of_an_ensemble_start_apart_and_learn_apart() -> None:
    network = make(NetworkShape(3, 2, (8,), 2))
    outputs = network.forward(torch.randn(6, 3))
    assert not outputs[0].allclose(outputs[1])
    gradient = torch.zeros(2, 6, 2)
    gradient[1] = 1
    network.backward(gradient)
    Adam(network, AgentSettings(learning_rate=0.1)).step()
    fresh = make(NetworkShape(3, 2, (8,), 2)).state_dict()
    for name, tensor in network.state_dict().items():
        assert tensor[0].equal(fresh[name][0])
        assert not tensor[1].equal(fresh[name][1])


def test_a_copy_and_a_restored_network_have_a_memory_of_their_own() -> None:
    network = make(NetworkShape(3, 2, (8,), 2), scaled=True)
    states = torch.randn(4, 3)
    other = make(NetworkShape(3, 2, (8,), 2), seed=7)
    other.load_state_dict({name: tensor.clone() for name, tensor in network.state_dict().items()})
    copied = network.copy()
    expected = network.infer(states)
    network.parameters.zero_()
    assert other.infer(states).equal(expected)
    assert copied.infer(states).equal(expected)


def test_restoring_refuses_what_is_missing_or_has_another_shape() -> None:
    network = make(NetworkShape(3, 2, (8,)))
    tensors = dict(network.state_dict())
    with pytest.raises(RuntimeError):
        make(NetworkShape(3, 2, (9,))).load_state_dict(tensors)
    del tensors["layers.1.bias"]
    with pytest.raises(KeyError):
        network.load_state_dict(tensors)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_Adam_is_PyTorchs(schedule: str, l2: float) -> None:
    settings = AgentSettings.model_validate({"learning_rate": 0.01, "lr_schedule": schedule, "l2": l2})
    network = make(NetworkShape(3, 2, (8,)))
    expected = network.parameters.clone().requires_grad_()
    reference = torch.optim.Adam(
        [expected], lr=0.01, betas=(0.9, settings.adam_beta2), eps=settings.adam_epsilon, weight_decay=l2
    )
    updates = 20
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(
        reference, updates - 1, eta_min=0.01 * settings.lr_final_fraction
    )
    own, generator = Adam(network, settings, updates), torch.Generator().manual_seed(3)
    for _ in range(updates):
        network.gradient.normal_(generator=generator)
        expected.grad = network.gradient.clone()
        assert own.learning_rate == pytest.approx(reference.param_groups[0]["lr"])
        reference.step()
        own.step()
        if schedule == "cosine":
            decay.step()
        torch.testing.assert_close(network.parameters, expected.detach(), rtol=1e-5, atol=1e-6)
    if schedule == "cosine":
        assert own.learning_rate == pytest.approx(0.01 * settings.lr_final_fraction)


RESIDUALS = torch.tensor([[-3.0, -1.0, -0.2, 0.0], [0.5, 1.0, 1.5, 40.0]])


def test_the_loss_of_residuals_and_its_derivative() -> None:
    for kind, reference in (("mse", functional.mse_loss), ("huber", functional.huber_loss)):
        residual = RESIDUALS.clone().requires_grad_()
        expected = torch.stack([reference(row, torch.zeros(4)) for row in residual])
        expected.sum().backward()
        given = RESIDUALS.clone().requires_grad_()
        loss = residual_loss(given, kind)  # type: ignore[arg-type]
        (derivative,) = gradients([loss], [given])
        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(derivative, residual.grad)


def test_the_expectile_loss_and_its_derivative() -> None:
    targets, outputs = RESIDUALS, torch.full((2, 4), 0.3, requires_grad=True)
    difference = targets - outputs
    expected = ((0.8 - (difference < 0).float()).abs() * difference.square()).mean(dim=1)
    expected.sum().backward()
    given = outputs.detach().clone().requires_grad_()
    loss = expectile_loss(targets - given, 0.8)
    (derivative,) = gradients([loss], [given])
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(derivative, outputs.grad)


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_and_its_derivative(weighted: bool) -> None:
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    actions = torch.tensor([0, 2, 1, 1, 0])
    weights = torch.rand(2, 5) if weighted else torch.ones(2, 5)
    expected = torch.stack(
        [
            (w * functional.cross_entropy(row, actions, reduction="none")).mean()
            for row, w in zip(logits, weights, strict=True)
        ]
    )
    expected.sum().backward()
    given = logits.detach().clone().requires_grad_()
    loss = cross_entropy(given, actions, weights if weighted else None)
    (derivative,) = gradients([loss], [given])
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(derivative, logits.grad)
