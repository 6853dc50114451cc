"""Candidates ranked from a log alone: values fitted by several methods, each checked, combined by ranks."""
