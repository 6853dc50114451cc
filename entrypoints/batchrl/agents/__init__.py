"""Agents: networks, double DQN, the models that are fitted before it, action masks, and loaded policies."""
