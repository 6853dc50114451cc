"""Training jobs as their user describes them: ``RLEstimator``, its options, the plan that is sent, debugging."""
