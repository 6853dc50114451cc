"""What the platform does between objects in S3 and a model server in a batch transform job (contract B, 129 to 173).

``sources`` finds the objects and names their results. One of them is read in chunks (``reading``), cut into records
(``records``, ``framing``), packed into payloads (``payloads``), sent (``http``, ``connection``), filtered and joined
(``processing``, ``jsonrecords``, ``csvrows``) and stored whole or not at all (``sink``). ``convert`` does that for one
object, ``run`` for all of an instance; ``settings`` is what the request and the server say about it, and ``spool``
keeps what is under way within bounds.
"""
