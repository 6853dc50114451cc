"""Losses and their derivatives by the networks' outputs; each is a mean over the minibatch, for every network apart."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def residual_loss(residual: Tensor, kind: Literal["mse", "huber"]) -> tuple[Tensor, Tensor]:
    """``(1/B) sum u^2`` (mse), or ``(1/B) sum (u^2 / 2 where |u| < 1, else |u| - 1/2)`` (huber).

    Args:
        residual: u, ``[E, B]``, outputs minus targets.
        kind: which of them.

    Returns:
        The loss ``[E]``, and its derivative by u, ``[E, B]``.
    """
    size = residual.shape[1]
    if kind == "huber":
        least = residual.abs().clamp_(max=1)
        loss = (least * (residual.abs() - least / 2)).mean(dim=1)
        return loss, residual.clamp(-1, 1).div_(size)
    return residual.square().mean(dim=1), residual * (2 / size)


def expectile_loss(difference: Tensor, expectile: float) -> tuple[Tensor, Tensor]:
    """``(1/B) sum |tau - 1(u < 0)| u^2``.

    Args:
        difference: u, ``[E, B]``, targets minus outputs.
        expectile: tau.

    Returns:
        The loss ``[E]``, and its derivative by the outputs, ``[E, B]``.
    """
    weighted = torch.where(difference < 0, 1 - expectile, expectile) * difference
    return (weighted * difference).mean(dim=1), weighted * (-2 / difference.shape[1])


def cross_entropy(logits: Tensor, actions: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """``-(1/B) sum w log softmax(logits)_a``.

    Args:
        logits: ``[E, B, A]``.
        actions: a, ``[B]``.
        weights: w, ``[E, B]``; None: 1.

    Returns:
        The loss ``[E]``, and its derivative by the logits, ``[E, B, A]``.
    """
    taken = positions(actions, len(logits))
    logarithms = logits.log_softmax(dim=2)
    likelihoods = logarithms.gather(2, taken).squeeze(2)
    gradient = logarithms.exp()
    gradient.scatter_add_(2, taken, gradient.new_full((1, 1, 1), -1.0).expand(taken.shape))
    gradient.div_(len(actions))
    if weights is None:
        return -likelihoods.mean(dim=1), gradient
    return -(weights * likelihoods).mean(dim=1), gradient.mul_(weights[..., None])


def positions(actions: Tensor, ensemble: int) -> Tensor:
    """Where the outputs ``[E, B, A]`` of actions ``[B]`` are: ``[E, B, 1]``."""
    return actions.expand(ensemble, -1)[..., None]
