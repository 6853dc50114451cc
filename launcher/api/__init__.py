"""What SageMaker demands of requests and answers: builders, rules, names and instance types, as pure functions."""
