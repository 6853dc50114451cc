"""What a job's key may ask of the API server beside S3.

=====================================================  ==============================================================
asked with a job's key                                 the answer
=====================================================  ==============================================================
STS: GetCallerIdentity                                 the role of the job's request
STS: credentials; the exchange of versions             refused
all else, and the role is not one that may call        refused
all else, and it may (``batchrl cloud up               as for the owner; what it creates runs in containers only
--let-jobs-call ROLE_ARN``)                            (``OF_A_JOB``), and types that are processes of this
                                                       computer are refused
=====================================================  ==============================================================

A job that could start processes of this computer, or get the owner's credentials, would be its owner.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from launcher.api.errors import ApiError
from launcher.api.instances import PROCESS_INSTANCE_TYPES
from launcher.local.keys.grants import Grant
from launcher.local.server.callers import IDENTITY, STS


def check_caller(grant: Grant, service: str, calling_roles: Collection[str]) -> None:
    """Refuse a request that is not S3's, unless the job's role may call.

    Args:
        grant: the job's.
        service: that the request is signed for.
        calling_roles: ARNs of the roles whose jobs may call the API.

    Raises:
        ApiError: it may not.
    """
    if service == STS:
        raise _denied(f"a job gets no other credentials than its own key, and may ask {STS} for {IDENTITY} alone.")
    if grant.role_arn not in calling_roles:
        raise _denied(
            f"the key of job '{grant.job}' opens what its request names in S3, and no calls of {service}. Its owner "
            f"can let jobs with this role call: batchrl cloud up --let-jobs-call {grant.role_arn or 'ROLE_ARN'}"
        )


def refuse_processes(grant: Grant, request: dict[str, Any]) -> None:
    """Refuse a request of a job for a process of this computer.

    Raises:
        ApiError: it asks for a process of this computer.
    """
    for asked in sorted(_instance_types(request)):
        if asked in PROCESS_INSTANCE_TYPES:
            raise _denied(
                f"InstanceType '{asked}' is a process of this computer, which no job may start, whatever its role "
                f"(job '{grant.job}'). Use 'local', which runs in a container."
            )


def _instance_types(value: object) -> set[str]:
    """Every text that a request calls an instance type, however deep it lies."""
    if isinstance(value, list):
        return set().union(*map(_instance_types, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    found = {str(text) for name, text in value.items() if name == "InstanceType"}
    return found.union(*map(_instance_types, value.values()))


def _denied(message: str) -> ApiError:
    return ApiError("AccessDeniedException", message, 403, query_code="AccessDenied", s3_code="AccessDenied")
