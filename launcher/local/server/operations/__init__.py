"""The operations that the API server itself executes, one group a file."""
