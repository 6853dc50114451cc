"""Handlers of SageMaker's PyTorch inference toolkit: AWS's image finds this module in the model's folder `code`.

Our own image runs serve.py instead; both answer alike.
"""

from __future__ import annotations

from batchrl.serving.toolkit import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
