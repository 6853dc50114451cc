"""The gate of a closed loop: whether a candidate earns more than the policy in use, with the doubt accounted for."""
