"""Arguments and parsers that the scripts of a job share, and the command that checks and converts data."""
