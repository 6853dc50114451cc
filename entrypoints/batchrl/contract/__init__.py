"""What a job and its bucket look like: paths, keys, csv columns, manifests, sync and errors.

A leaf of the import graph: it may import the standard library and boto3, nothing else.
Both sides of the wire (the launcher and the job) read these facts from here.
"""
