"""The matrix products that training spends its time in.

PyTorch multiplies float32 matrices with MKL, which leaves half of what some processors can do unused (on AMD's, wide
vector instructions). The oneDNN library that PyTorch also brings does not, and adds bias and ReLU on the way out, but
costs more to call: products of large matrices go there, small ones and ensembles of small networks to MKL's batches.
Both are deterministic; the choice depends on shapes alone. Where a build lacks oneDNN, everything goes to MKL.
"""

from __future__ import annotations

import torch
from torch import Tensor

from batchrl.agents import fused

# Multiplications, for each network, from which on oneDNN was faster.
LARGE = 4_000_000


def linear(inputs: Tensor, weights: Tensor, biases: Tensor | None = None, rectify: bool = False) -> Tensor:
    """A layer of E networks, ``inputs @ weights^T + biases``.

    Args:
        inputs: ``[E, R, k]``.
        weights: ``[E, n, k]``.
        biases: ``[E, 1, n]``, or None.
        rectify: whether a ReLU follows.

    Returns:
        ``[E, R, n]``, in new memory.
    """
    if fused.has_onednn() and inputs.shape[1] * inputs.shape[2] * weights.shape[1] >= LARGE:
        results = [
            fused.linear(inputs[e], weights[e], None if biases is None else biases[e, 0], rectify)
            for e in range(len(inputs))
        ]
        return results[0][None] if len(results) == 1 else torch.stack(results)
    transposed = weights.transpose(1, 2)
    result = torch.bmm(inputs, transposed) if biases is None else torch.baddbmm(biases, inputs, transposed)
    return result.relu_() if rectify else result


def weight_gradient(output_gradient: Tensor, inputs: Tensor, out: Tensor) -> None:
    """The derivatives of a loss by a layer's weights, ``output_gradient^T @ inputs``.

    Args:
        output_gradient: ``[E, R, n]``.
        inputs: ``[E, R, k]``.
        out: ``[E, n, k]``.
    """
    transposed = output_gradient.transpose(1, 2)
    if fused.has_onednn() and out[0].numel() * inputs.shape[1] >= LARGE:
        out.copy_(linear(transposed, inputs.transpose(1, 2)))
    elif out.shape[2] < out.shape[1]:
        # MKL is several times faster with the longer side last.
        out.copy_(torch.bmm(inputs.transpose(1, 2), output_gradient).transpose(1, 2))
    else:
        torch.bmm(transposed, inputs, out=out)
