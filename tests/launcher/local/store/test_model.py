"""Random operations against a dict: whatever the order, the store says what the dict says."""

from __future__ import annotations

import hashlib
import random

import pytest

from batchrl.contract.store import Client

KEYS = ["a", "a/b", "a/", "a//b", "a/b/c", "../x", "./y", "é", "\n\t", "%2F", "a b+c", "z" * 1024, "&<>\"'"]
SEQUENCES, LENGTH = 2_000, 6


class Model:
    """What a bucket must hold, and operations that compare.

    Args:
        client, bucket: the bucket.
    """

    def __init__(self, client: Client, bucket: str) -> None:
        self.client = client
        self.bucket = bucket
        self.held: dict[str, tuple[bytes, dict[str, str]]] = {}

    def put(self, key: str, chance: random.Random) -> None:
        content, meta = chance.randbytes(chance.choice([0, 1, 5_000])), {"n": str(chance.random())}
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content, Metadata=meta)
        self.held[key] = content, meta

    def get(self, key: str, chance: random.Random) -> None:
        if self._missing(key):
            return
        answer = self.client.get_object(Bucket=self.bucket, Key=key)
        assert (answer["Body"].read(), answer["Metadata"]) == self.held[key]
        assert answer["ETag"] == f'"{hashlib.md5(self.held[key][0]).hexdigest()}"'

    def range(self, key: str, chance: random.Random) -> None:
        if self._missing(key) or not (content := self.held[key][0]):
            return
        first, last = sorted(chance.choices(range(len(content)), k=2))
        answer = self.client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={first}-{last}")
        assert answer["Body"].read() == content[first : last + 1]

    def delete(self, key: str, chance: random.Random) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)
        self.held.pop(key, None)

    def copy(self, key: str, chance: random.Random) -> None:
        source = chance.choice(KEYS)
        if source in self.held and source != key:
            where = {"Bucket": self.bucket, "Key": source}
            self.client.copy_object(Bucket=self.bucket, Key=key, CopySource=where)
            self.held[key] = self.held[source]

    def create(self, key: str, chance: random.Random) -> None:
        content, there = chance.randbytes(10), key in self.held
        try:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=content, IfNoneMatch="*")
        except self.client.exceptions.ClientError:
            assert there
        else:
            assert not there
            self.held[key] = content, {}

    def clear(self, key: str, chance: random.Random) -> None:
        if self.held and chance.random() < 0.2:
            objects = [{"Key": one} for one in self.held if one.isprintable()]
            self.client.delete_objects(
                Bucket=self.bucket, Delete={"Objects": objects} if objects else {"Objects": [{"Key": "x"}]}
            )
            self.held = {one: what for one, what in self.held.items() if not one.isprintable()}

    def list(self, key: str, chance: random.Random) -> None:
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        assert [one["Key"] for one in found] == sorted(self.held, key=str.encode)

    def _missing(self, key: str) -> bool:
        if key in self.held:
            return False
        with pytest.raises(self.client.exceptions.ClientError):
            self.client.head_object(Bucket=self.bucket, Key=key)
        return True


OPERATIONS = (
    Model.put,
    Model.put,
    Model.get,
    Model.range,
    Model.delete,
    Model.copy,
    Model.create,
    Model.clear,
    Model.list,
)


@pytest.mark.parametrize("part", range(4))
def test_two_thousand_sequences_of_operations_are_what_a_dict_says(client: Client, bucket: str, part: int) -> None:
    model = Model(client, bucket)
    for sequence in range(part, SEQUENCES, 4):
        chance = random.Random(sequence)
        for _ in range(LENGTH):
            chance.choice(OPERATIONS)(model, chance.choice(KEYS), chance)
