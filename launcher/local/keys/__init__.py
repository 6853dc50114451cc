"""Keys of jobs: what each opens in S3, where it is kept, and whether it lets a request through."""
