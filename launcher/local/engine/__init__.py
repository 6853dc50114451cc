"""The Docker engine of this computer: whether it can be used, and the image that jobs run in."""
