"""Checkpoints and exported models: published whole or not at all, read without pickles."""
