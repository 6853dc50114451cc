"""What really runs a job: a container, or a process of this machine."""
