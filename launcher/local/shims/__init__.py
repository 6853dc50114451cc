"""One shim process for each job, forked by a forkserver that has loaded everything; the pool assigns the jobs."""
