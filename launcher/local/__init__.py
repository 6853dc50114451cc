"""The local cloud: a SageMaker that runs on this computer.

The *door* (``door.py``) answers the AWS API on loopback and keeps the records; each job has one *shim* process
(``shim.py``) that owns its container or child, so that the door can be killed, restarted or upgraded at any time.
"""
