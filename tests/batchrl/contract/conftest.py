"""An S3 in memory that can tear bodies, fail and pause: faults that a real server shows only now and then."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest


class Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Any:
        while chunk := self.read(size):
            yield chunk


class MemoryS3:
    """The part of boto3's S3 client that the sync uses."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.begun: list[str] = []
        self.parts: dict[str, dict[int, bytes]] = {}
        self.before_put: Callable[[str], None] = lambda key: None
        self.on_get: Callable[[str, bytes], bytes] = lambda key, body: body
        self._lock = threading.Lock()

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803
        self.before_put(Key)
        with self._lock:
            self.objects[Key] = Body
            self.puts.append(Key)

    def create_multipart_upload(self, Bucket: str, Key: str) -> dict[str, str]:  # noqa: N803
        name = f"upload {len(self.begun)}"
        self.begun.append(name)
        self.parts[name] = {}
        return {"UploadId": name}

    def upload_part(self, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes) -> dict[str, str]:  # noqa: N803
        self.before_put(Key)
        with self._lock:
            self.parts[UploadId][PartNumber] = Body
        return {"ETag": f"tag {PartNumber}"}

    def complete_multipart_upload(
        self,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
        MultipartUpload: dict[str, Any],  # noqa: N803
    ) -> None:
        with self._lock:
            parts = self.parts.pop(UploadId)
            wanted = [(part["PartNumber"], part["ETag"]) for part in MultipartUpload["Parts"]]
            assert wanted == [(number, f"tag {number}") for number in sorted(parts)]
            self.objects[Key] = b"".join(parts[number] for number, _ in wanted)
            self.puts.append(Key)

    def abort_multipart_upload(self, Bucket: str, Key: str, UploadId: str) -> None:  # noqa: N803
        del self.parts[UploadId]

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        with self._lock:
            if Key not in self.objects:
                raise botocore.exceptions.ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
            whole = self.objects[Key]
        return {"Body": Body(self.on_get(Key, whole)), "ContentLength": len(whole)}

    def get_paginator(self, operation: str) -> MemoryS3:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        found = [
            {"Key": key, "Size": len(body)} for key, body in sorted(self.objects.items()) if key.startswith(Prefix)
        ]
        return [{"Contents": found[:2]}, {"Contents": found[2:]}, {}]


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()
