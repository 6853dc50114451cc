"""The local cloud: a SageMaker that runs on this computer.

The *API server* (``server/``) answers the AWS API on loopback and keeps the records; each job has one *shim* process
(``shims/``) that owns its container or child, so that the API server can be killed, restarted or upgraded at any time.
"""
