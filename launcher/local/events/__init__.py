"""What happened to a job, one line an event: the kinds, the file, and who looks at store and processes for it."""
