"""Putting a policy to use: ``Model``, ``Transformer`` and ``Predictor``, each with the plan that is sent."""
