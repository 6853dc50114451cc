"""What runs on a cloud, by its name: status, listing, logs, waiting; training jobs, transform jobs and endpoints."""
