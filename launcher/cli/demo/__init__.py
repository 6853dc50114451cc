"""The demonstration: the whole workflow on CartPole, told step by step, and the report at its end."""
