"""Settings of buckets and objects that nobody can make here: S3's words for what was never set."""

from __future__ import annotations

from launcher.local.store.call import Call, Operation
from launcher.local.store.errors import StoreError
from launcher.local.store.wire import Response
from launcher.local.store.xmlbody import OWNER, document

# Subresource of a bucket -> what S3 answers where it was never set.
ABSENT = {
    "cors": "NoSuchCORSConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "object-lock": "ObjectLockConfigurationNotFoundError",
    "ownershipControls": "OwnershipControlsNotFoundError",
    "policy": "NoSuchBucketPolicy",
    "policyStatus": "NoSuchBucketPolicy",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "replication": "ReplicationConfigurationNotFoundError",
    "tagging": "NoSuchTagSet",
    "website": "NoSuchWebsiteConfiguration",
}
# Subresource of a bucket -> its document where it was never set.
EMPTY = {
    "accelerate": document("AccelerateConfiguration", ""),
    "logging": document("BucketLoggingStatus", ""),
    "notification": document("NotificationConfiguration", ""),
    "requestPayment": document("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"),
    "versioning": document("VersioningConfiguration", ""),
}
# Those that S3 deletes without a word where they were never set.
DELETABLE = (
    "cors",
    "encryption",
    "lifecycle",
    "ownershipControls",
    "policy",
    "publicAccessBlock",
    "replication",
    "tagging",
    "website",
)
_GRANTEE = f'<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">{OWNER}</Grantee>'
_ACL = document(
    "AccessControlPolicy",
    f"<Owner>{OWNER}</Owner><AccessControlList><Grant>{_GRANTEE}<Permission>FULL_CONTROL</Permission></Grant>"
    "</AccessControlList>",
)


def absent(code: str) -> Operation:
    """Says that a bucket's setting was never made."""

    async def answer(call: Call) -> Response:
        call.bucket()
        raise StoreError(code)

    return answer


def empty(text: str) -> Operation:
    """Answers with the document of a setting that was never made."""

    async def answer(call: Call) -> Response:
        call.bucket()
        return Response.xml(text)

    return answer


async def nothing_to_delete(call: Call) -> Response:
    """Deletes what was never set; bucket and objects stay as they are."""
    call.bucket()
    return Response(204)


async def bucket_acl(call: Call) -> Response:
    """The one access control list that there is: all is its owner's."""
    call.bucket()
    return Response.xml(_ACL)


async def object_acl(call: Call) -> Response:
    """The same for an object."""
    call.engine.catalog.get(call.bucket(), call.target.key)
    return Response.xml(_ACL)


async def no_lock(call: Call) -> Response:
    """Legal hold and retention of an object: there are none."""
    call.engine.catalog.get(call.bucket(), call.target.key)
    raise StoreError("NoSuchObjectLockConfiguration")
