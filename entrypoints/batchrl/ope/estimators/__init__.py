"""Off-policy estimators and their intervals, as functions of arrays."""
