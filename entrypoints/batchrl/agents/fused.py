"""PyTorch's private operators: the only place that calls them, each with a public fallback that does the same.

Two of PyTorch's kernels are faster than what it offers by a public name: oneDNN's product with bias and ReLU, which is
meant for its compiler, and Adam's step in one pass over the memory, whose public face takes 1.7 s to import and 20 us
more a step. To ask for deterministic algorithms by the public name imports the compiler, too: 2 s. A build that lacks
one of them works, and is slower.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def _found(namespace: object, name: str, supported: bool = True) -> Callable[..., Any] | None:
    """An operator of this build of PyTorch; None where it is missing, or the build cannot run it."""
    found: Callable[..., Any] | None = getattr(namespace, name, None)
    return found if supported else None


_HAS_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
# None: the public fallback is taken.
_ONEDNN_LINEAR = _found(torch.ops.mkldnn, "_linear_pointwise", _HAS_ONEDNN)
_ADAM = _found(torch, "_fused_adam_")
_SET_DETERMINISTIC = _found(torch._C, "_set_deterministic_algorithms")


def use_deterministic_algorithms() -> None:
    """Have PyTorch take algorithms that give the same bits each time, and refuse what has none."""
    if _SET_DETERMINISTIC is None:
        torch.use_deterministic_algorithms(True)
    else:
        _SET_DETERMINISTIC(True)


def has_onednn() -> bool:
    """Whether ``linear`` multiplies by oneDNN."""
    return _ONEDNN_LINEAR is not None


def linear(inputs: Tensor, weights: Tensor, biases: Tensor | None = None, rectify: bool = False) -> Tensor:
    """A layer of one network, ``inputs @ weights^T + biases``, by oneDNN where PyTorch has it.

    Args:
        inputs: ``[R, k]``.
        weights: ``[n, k]``.
        biases: ``[n]``, or None.
        rectify: whether a ReLU follows.

    Returns:
        ``[R, n]``, in new memory.
    """
    if _ONEDNN_LINEAR is None:
        result = functional.linear(inputs, weights, biases)
        return result.relu_() if rectify else result
    fused: Tensor = _ONEDNN_LINEAR(inputs, weights, biases, "relu" if rectify else "none", [], "")
    return fused


def adam_step(
    parameters: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    steps: Tensor,
    *,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    l2: float,
) -> None:
    """One step of Adam (Kingma & Ba 2015), epsilon added after the bias correction; see ``torch.optim.Adam``.

    Args:
        parameters: ``[n]``, changed.
        gradient: ``[n]``.
        first: ``[n]``, the mean of gradients, changed.
        second: ``[n]``, the mean of squared gradients, changed.
        steps: a number without a dimension: how many steps there are with this one.
        rate: the step size.
        beta1: decay of ``first``.
        beta2: decay of ``second``.
        epsilon: added to the denominator.
        l2: weight of half the parameters' squared norm in the loss.
    """
    if _ADAM is None:
        _adam_step(parameters, gradient, first, second, int(steps), rate, beta1, beta2, epsilon, l2)
        return
    _ADAM(
        [parameters],
        [gradient],
        [first],
        [second],
        [],
        [steps],
        amsgrad=False,
        lr=rate,
        beta1=beta1,
        beta2=beta2,
        weight_decay=l2,
        eps=epsilon,
        maximize=False,
    )


def _adam_step(
    parameters: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    steps: int,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    l2: float,
) -> None:
    """``adam_step`` by public operations."""
    if l2:
        gradient = gradient.add(parameters, alpha=l2)
    first.lerp_(gradient, 1 - beta1)
    second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    deviation = second.sqrt().div_(math.sqrt(1 - beta2**steps)).add_(epsilon)
    parameters.addcdiv_(first, deviation, value=-rate / (1 - beta1**steps))
