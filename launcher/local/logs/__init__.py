"""Logs of the local cloud: groups and streams as CloudWatch names them, kept as files of lines."""
