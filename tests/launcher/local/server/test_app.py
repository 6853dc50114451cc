"""The API server's answers when something of its own does not work."""

from __future__ import annotations

from api_servers import RunningServer, call


def test_damaged_records_are_named_with_their_file(api_server: RunningServer) -> None:
    file = api_server.context.paths.records
    api_server.records.close()
    for leftover in file.parent.glob(f"{file.name}-*"):
        leftover.unlink()
    file.write_bytes(b"garbage" * 3000)
    status, answer = call(api_server, "SageMaker.ListTrainingJobs", {})
    assert status == 500 and f"The records in {file} cannot be used" in answer["message"]
