"""PID 1 of a job: ``python3 -m batchrl.boot train`` (contract A1, A2, A13).

Unpacks the code, installs what it requires, describes the job in ``SM_*`` variables, runs the script, passes signals on
to it, keeps ``/opt/ml/output/intermediate`` synced, writes ``failure`` and ends with the script's own exit code.

Only the standard library is imported on the way to the script's first line.
"""
