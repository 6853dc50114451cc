"""PID 1 of a container: ``python3 -m batchrl.boot train`` (contract A1, A2, A13) and ``serve`` (contract 125, 180).

A job: unpacks the code, installs what it requires, describes the job in ``SM_*`` variables, runs the script, passes
signals on to it, keeps ``/opt/ml/output/intermediate`` synced, writes ``failure`` and ends with the script's own exit
code. A model server: finds the code that serves the model and runs it, with signals passed on.

Only the standard library is imported on the way to the script's first line.
"""
