"""Questions to the job's own code (``batchrl``), asked in processes of their own: the client imports no torch."""
