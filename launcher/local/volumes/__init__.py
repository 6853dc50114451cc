"""The folders that a job sees under ``/opt/ml``: input channels, checkpoints, model archives, results."""
