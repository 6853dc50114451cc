"""Batch reinforcement learning from logged decisions: the library that runs inside a job.

Importing this package imports nothing heavy; ``batchrl.contract`` needs only the standard library and boto3.
"""
