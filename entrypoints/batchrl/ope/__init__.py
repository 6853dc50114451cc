"""Off-policy evaluation: estimators as functions of arrays, their intervals, and the row of one epoch."""
