"""An object store in memory that fails on demand, as a real one does only now and then."""

from __future__ import annotations

import io
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions


class Body(io.BytesIO):
    """A body whose reading may fail.

    Args:
        content: what comes.
        breaks_after: bytes after which the connection breaks; None for never.
        took: told of the bytes of each read.
    """

    def __init__(self, content: bytes, breaks_after: int | None, took: Callable[[int], None]) -> None:
        super().__init__(content if breaks_after is None else content[:breaks_after])
        self._breaks = breaks_after is not None and breaks_after < len(content)
        self._took = took

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(size)
        self._took(len(chunk))
        if not chunk and self._breaks:
            raise botocore.exceptions.ResponseStreamingError(error="the connection broke")
        return chunk

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        while chunk := self.read(size):
            yield chunk


def refusal(code: str, status: int, operation: str) -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError(
        {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation
    )


class MemoryS3:
    """The part of boto3's S3 client that transforms use; ``before`` may raise or wait, ``breaks`` tears reads."""

    class meta:  # noqa: N801 - as boto3 spells it
        endpoint_url = "memory://"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.bytes_read = 0
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.calls: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.before: Callable[[str, dict[str, Any]], None] = lambda operation, arguments: None
        self.breaks: Callable[[str, int], int | None] = lambda key, at: None
        self._lock = threading.Lock()

    def _called(self, operation: str, arguments: dict[str, Any]) -> None:
        with self._lock:
            self.calls[operation].append(arguments)
        self.before(operation, arguments)

    def _whole(self, key: str, operation: str) -> bytes:
        if key not in self.objects:
            raise refusal("NoSuchKey", 404, operation)
        return self.objects[key]

    def get_object(self, **arguments: Any) -> dict[str, Any]:
        self._called("get_object", arguments)
        content = self._whole(arguments["Key"], "GetObject")
        at = int(arguments.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        body = Body(content[at:], self.breaks(arguments["Key"], at), self._took)
        return {"Body": body, "ContentLength": len(content) - at, "ETag": str(hash(content))}

    def _took(self, count: int) -> None:
        with self._lock:
            self.bytes_read += count

    def head_object(self, **arguments: Any) -> dict[str, Any]:
        self._called("head_object", arguments)
        return {"ContentLength": len(self._whole(arguments["Key"], "HeadObject"))}

    def put_object(self, **arguments: Any) -> None:
        self._called("put_object", arguments)
        with self._lock:
            self.objects[arguments["Key"]] = bytes(arguments["Body"])

    def delete_object(self, **arguments: Any) -> None:
        self._called("delete_object", arguments)
        self.objects.pop(arguments["Key"], None)

    def create_multipart_upload(self, **arguments: Any) -> dict[str, str]:
        self._called("create_multipart_upload", arguments)
        with self._lock:
            name = f"upload-{len(self.calls['create_multipart_upload'])}"
            self.uploads[name] = {}
        return {"UploadId": name}

    def upload_part(self, **arguments: Any) -> dict[str, str]:
        self._called("upload_part", arguments)
        self.uploads[arguments["UploadId"]][arguments["PartNumber"]] = bytes(arguments["Body"])
        return {"ETag": f"part-{arguments['PartNumber']}"}

    def complete_multipart_upload(self, **arguments: Any) -> None:
        self._called("complete_multipart_upload", arguments)
        if arguments["UploadId"] not in self.uploads:
            raise refusal("NoSuchUpload", 404, "CompleteMultipartUpload")
        parts = self.uploads.pop(arguments["UploadId"])
        numbers = [part["PartNumber"] for part in arguments["MultipartUpload"]["Parts"]]
        self.objects[arguments["Key"]] = b"".join(parts[number] for number in numbers)

    def abort_multipart_upload(self, **arguments: Any) -> None:
        self._called("abort_multipart_upload", arguments)
        self.uploads.pop(arguments["UploadId"], None)

    def get_paginator(self, operation: str) -> MemoryS3:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, **arguments: Any) -> list[dict[str, Any]]:
        self._called("list_objects_v2", arguments)
        prefix = arguments["Prefix"]
        found = [{"Key": key, "Size": len(body)} for key, body in self.objects.items() if key.startswith(prefix)]
        return [{"Contents": found[:2]}, {"Contents": found[2:]}, {}]
