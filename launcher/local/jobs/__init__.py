"""The life of one job on the local cloud, from its record to its end: training, transform, endpoint."""
