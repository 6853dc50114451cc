"""The local cloud's records of jobs, models and endpoints, in one SQLite database, and their status machines."""
