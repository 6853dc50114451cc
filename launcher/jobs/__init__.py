"""What runs on a cloud, by its name: status, listing, logs, waiting; jobs of all kinds and endpoints."""
