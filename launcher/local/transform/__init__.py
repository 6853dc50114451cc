"""What the platform does between objects in S3 and a model server in a batch transform job (contract B, 129 to 173).

An object is read in chunks (``reading``), cut into records (``records``, ``framing``), packed into payloads
(``payloads``), sent (``http``), joined with what it answers (``processing``, ``lines``, ``rows``) and stored whole or
not at all (``sink``); ``convert`` does that for one object, ``run`` for all of an instance.
"""
