"""Keys of jobs at the store: they open what their job's request names, and nothing once they are revoked."""

from __future__ import annotations

import pytest
from embedded import Embedded

from launcher.local.keys import grants
from launcher.local.keys.places import Place, Places


def test_a_jobs_key_opens_its_places_alone_and_dies_with_it(store: Embedded, bucket: str) -> None:
    owner = store.client()
    for key in ("in/a", "in/b", "out/job/x", "other/secret"):
        owner.put_object(Bucket=bucket, Key=key, Body=key.encode())
    places = Places(reads=(Place(bucket, "in/"),), writes=(Place(bucket, "out/job/"),))
    grant = grants.issue(store.paths, "job", "arn:aws:iam::000000000000:role/r", places)
    job = store.client(aws_access_key_id=grant.access_key, aws_secret_access_key=grant.secret_key)

    def refused(call: str, **arguments: object) -> None:
        with pytest.raises(job.exceptions.ClientError) as caught:
            getattr(job, call)(**arguments)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403

    assert job.get_object(Bucket=bucket, Key="in/a")["Body"].read() == b"in/a"
    job.put_object(Bucket=bucket, Key="out/job/y", Body=b"y")
    job.copy_object(Bucket=bucket, Key="out/job/z", CopySource={"Bucket": bucket, "Key": "in/b"})
    assert len(job.list_objects_v2(Bucket=bucket, Prefix="in/")["Contents"]) == 2
    refused("get_object", Bucket=bucket, Key="other/secret")
    refused("put_object", Bucket=bucket, Key="in/a", Body=b"changed")
    refused("delete_object", Bucket=bucket, Key="in/a")
    refused("list_objects_v2", Bucket=bucket)
    refused("list_buckets")
    refused("create_bucket", Bucket="another")
    refused("delete_bucket", Bucket=bucket)
    refused("copy_object", Bucket=bucket, Key="out/job/c", CopySource={"Bucket": bucket, "Key": "other/secret"})
    refused("put_object_tagging", Bucket=bucket, Key="in/a", Tagging={"TagSet": []})
    answer = job.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "out/job/x"}, {"Key": "other/secret"}]})
    assert [one["Key"] for one in answer["Deleted"]] == ["out/job/x"]
    assert [(one["Key"], one["Code"]) for one in answer["Errors"]] == [("other/secret", "AccessDenied")]
    left = {one["Key"] for one in owner.list_objects_v2(Bucket=bucket)["Contents"]}
    assert left == {"in/a", "in/b", "out/job/y", "out/job/z", "other/secret"}
    assert owner.get_object(Bucket=bucket, Key="in/a")["Body"].read() == b"in/a"

    grants.revoke(store.paths, "job")
    refused("get_object", Bucket=bucket, Key="in/a")
