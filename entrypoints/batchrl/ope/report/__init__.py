"""Estimates told to people: what is estimated, how far to rely on it, as text and as JSON."""
