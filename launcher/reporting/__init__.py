"""The report of a job or a loop: what its files say, told to people who did not make it."""
