"""Losses on the networks' outputs, in plain torch: each is a mean over the minibatch, for every network apart.

Autograd derives them; see ``learning``.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def residual_loss(residual: Tensor, kind: Literal["mse", "huber"]) -> Tensor:
    """``(1/B) sum u^2`` (mse), or ``(1/B) sum (u^2 / 2 where |u| < 1, else |u| - 1/2)`` (huber); ``[E]``.

    Args:
        residual: u, ``[E, B]``, outputs minus targets.
        kind: which of them.
    """
    if kind == "huber":
        return functional.huber_loss(residual, torch.zeros_like(residual), reduction="none").mean(dim=1)
    return residual.square().mean(dim=1)


def expectile_loss(difference: Tensor, expectile: float) -> Tensor:
    """``(1/B) sum |tau - 1(u < 0)| u^2``; ``[E]``.

    Args:
        difference: u, ``[E, B]``, targets minus outputs.
        expectile: tau.
    """
    return (torch.where(difference < 0, 1 - expectile, expectile) * difference.square()).mean(dim=1)


def cross_entropy(logits: Tensor, actions: Tensor, weights: Tensor | None = None) -> Tensor:
    """``-(1/B) sum w log softmax(logits)_a``; ``[E]``.

    Args:
        logits: ``[E, B, A]``.
        actions: a, ``[B]``.
        weights: w, ``[E, B]``; None: 1.
    """
    likelihoods = taken(logits.log_softmax(dim=2), actions)
    return -(likelihoods if weights is None else weights * likelihoods).mean(dim=1)


def taken(outputs: Tensor, actions: Tensor) -> Tensor:
    """Of outputs ``[E, B, A]`` those of the actions ``[B]`` that were taken: ``[E, B]``."""
    return outputs.gather(2, actions.expand(len(outputs), -1)[..., None]).squeeze(2)


def among(outputs: Tensor, actions: Tensor | None) -> Tensor:
    """Outputs ``[E, B, A]``, minus infinity for actions that are not among those of ``[B, A]``; None: all are."""
    return outputs if actions is None else outputs.masked_fill(~actions, -torch.inf)
