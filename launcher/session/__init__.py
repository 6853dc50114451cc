"""Either cloud as one session: credentials, roles, creating things once, how answers and faults are read."""
