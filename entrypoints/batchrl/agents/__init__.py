"""Algorithms behind one interface, the models that are fitted before them, action masks, and loaded policies."""
