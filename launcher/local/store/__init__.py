"""The embedded object store: S3's wire protocol over one SQLite database of keys and a folder of contents."""
