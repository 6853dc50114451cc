"""The kinds of resources that are created, described, listed and removed: their names on the wire, records and errors.

What all of them do is done here; the file of a kind adds what is its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from launcher.api import asked
from launcher.api.errors import ApiError, already_existing, could_not_find, job_name_taken, not_found, validation
from launcher.api.servicemodel import service_model
from launcher.local.events.eventfile import EventFile
from launcher.local.events.kinds import StopRequested
from launcher.local.host.trees import remove_tree
from launcher.local.records.jobrecord import CONTAINED_MEMBER, MACHINES, job_key
from launcher.local.records.records import DuplicateJob, JobEnded, JobRecord, JobRunning, UnknownJob
from launcher.local.records.resources import DuplicateResource, Resource
from launcher.local.server.operations.context import CALLER, OF_A_JOB, Context, Wire
from launcher.local.server.operations.paging import DESCENDING, page_of_jobs, page_of_resources


@dataclass(frozen=True)
class Kind:
    """One kind.

    Args:
        kind: as the records name it.
        noun: what messages call it.
        path: what stands before the name in its ARNs.
        member: what its members begin with: ``TrainingJob`` of ``TrainingJobName`` and ``TrainingJobArn``.
        listed: member of the answer of a list that holds the summaries.
    """

    kind: str
    noun: str
    path: str
    member: str
    listed: str

    def name_in(self, request: Wire) -> str:
        """The name that a request is about."""
        return str(request[f"{self.member}Name"])

    def arn(self, context: Context, name: str) -> str:
        """The ARN of one."""
        return context.arn("sagemaker", f"{self.path}/{name}")

    def facts(self, one: JobRecord | Resource) -> Wire:
        """What lists and descriptions both say of one."""
        return {f"{self.member}Name": one.name, f"{self.member}Arn": one.arn, "CreationTime": one.created_at}

    def unknown(self, context: Context, name: str) -> ApiError:
        """There is none of that name."""
        return could_not_find(f'{self.noun} "{self.arn(context, name)}"')

    def taken(self, arn: str) -> ApiError:
        """There is one of that name already."""
        return already_existing(f"{self.noun} {arn}")


@dataclass(frozen=True)
class KeptKind(Kind):
    """A kind that is only described, not run."""

    def create(self, context: Context, request: Wire) -> Wire:
        """Keep one.

        Raises:
            ApiError: the name is taken.
        """
        name = self.name_in(request)
        resource = Resource(self.kind, name, self.arn(context, name), _kept(request), context.clock())
        try:
            context.records.resources.create(resource, _tags_of(request))
        except DuplicateResource as error:
            raise self.taken(str(error)) from None
        return {f"{self.member}Arn": resource.arn}

    def found(self, context: Context, name: str) -> Resource:
        """The one of a name.

        Raises:
            ApiError: there is none.
        """
        if (resource := context.records.resources.find(self.kind, name)) is None:
            raise self.unknown(context, name)
        return resource

    def describe(self, context: Context, request: Wire) -> Wire:
        """Everything about one; what was not given is left out."""
        resource = self.found(context, self.name_in(request))
        return resource.request | self.facts(resource)

    def page(self, context: Context, request: Wire) -> Wire:
        """One page of them."""
        return page_of_resources(request, context.records.resources.list(self.kind), self.listed, self.facts)

    def delete(self, context: Context, request: Wire) -> Wire:
        """Forget one; what was made with it goes on.

        Raises:
            ApiError: there is none.
        """
        name = self.name_in(request)
        if not context.records.resources.delete(self.kind, name):
            raise self.unknown(context, name)
        return {}


@dataclass(frozen=True)
class RunKind(Kind):
    """A kind that a shim takes through its statuses.

    Args:
        more: what a summary says beside ``facts`` and the time of the last change.
        order: of a list whose request names none.
    """

    more: Callable[[JobRecord], Wire] = lambda record: {}
    order: str = DESCENDING

    def create(self, context: Context, request: Wire) -> Wire:
        """Record one and hand it to a shim.

        Raises:
            ApiError: the name is taken.
        """
        name = self.name_in(request)
        arn, message = self.arn(context, name), f"{MACHINES[self.kind].first} the {self.noun}"
        if noted := ", ".join(asked.without_effect(f"Create{self.member}", request)):
            message += f" (recorded, without effect on the local cloud: {noted})"
        kept = _kept(request) | ({CONTAINED_MEMBER: True} if OF_A_JOB.get() else {})
        record = JobRecord.new(name, self.kind, arn, kept, context.clock(), message)
        try:
            context.records.create(record, _tags_of(request))
        except DuplicateJob as error:
            raise self.taken(str(error)) from None
        context.assign(name, self.kind)
        return {f"{self.member}Arn": arn}

    def found(self, context: Context, name: str) -> JobRecord:
        """The one of a name.

        Raises:
            ApiError: there is none.
        """
        if (record := context.records.find(name, self.kind)) is None:
            raise self.unknown(context, name)
        return record

    def facts(self, one: JobRecord | Resource) -> Wire:
        """What lists and descriptions both say of one."""
        assert isinstance(one, JobRecord)
        return super().facts(one) | {f"{self.member}Status": one.status}

    def page(self, context: Context, request: Wire) -> Wire:
        """One page of them."""
        return page_of_jobs(context, request, self.kind, self.listed, self._summary, self.order)

    def request_stop(self, context: Context, request: Wire) -> None:
        """Ask one to stop; its shim does it.

        Raises:
            ApiError: there is none.
            JobEnded: it has ended.
        """
        name = self.name_in(request)
        try:
            context.records.request_stop(name, context.clock(), self.kind)
        except UnknownJob:
            raise self.unknown(context, name) from None
        EventFile(context.paths.job(job_key(self.kind, name)).events).add(StopRequested(CALLER.get()))

    def _summary(self, record: JobRecord) -> Wire:
        return self.facts(record) | {"LastModifiedTime": record.modified_at} | self.more(record)


@dataclass(frozen=True)
class JobKind(RunKind):
    """A kind of job: it comes to an end, and its errors name no ARN."""

    def unknown(self, context: Context, name: str) -> ApiError:
        """There is none of that name."""
        return not_found()

    def taken(self, arn: str) -> ApiError:
        """There is one of that name already."""
        return job_name_taken(self.noun, arn)

    def asked(self, record: JobRecord) -> Wire:
        """What of the request that created a job is part of its description."""
        members = _described_members(f"Describe{self.member}")
        return {name: value for name, value in record.request.items() if name in members}

    def stop(self, context: Context, request: Wire) -> Wire:
        """Ask a job to stop; its shim does it.

        Raises:
            ApiError: there is none, or it has ended.
        """
        try:
            self.request_stop(context, request)
        except JobEnded as error:
            raise validation(
                f"The request was rejected because the {self.noun} is in status "
                f"{error.args[0].status}; only a job that is InProgress can be stopped."
            ) from None
        return {}

    def forget(self, context: Context, name: str, left: str, remedy: str) -> Wire:
        """Forget a job that has ended, with its logs and what is left of its work; its results in S3 stay.

        Args:
            context: of the request.
            name: the job's.
            left: what its program leaves, in a word.
            remedy: what to do where that is on this disk alone, in a sentence.

        Raises:
            ApiError: there is none, it has not ended, or its results are on this disk alone.
        """
        record, files = self.found(context, name), context.paths.job(job_key(self.kind, name))
        if record.ended and record.unpublished and files.ml.exists():
            raise validation(
                f"The {self.noun} {record.arn} left {left} in {files.ml} that are not known to be in S3. {remedy}"
            )
        try:
            context.records.delete(name, self.kind)
        except UnknownJob:
            raise self.unknown(context, name) from None
        except JobRunning as error:
            raise validation(
                f"The {self.noun} {error.args[0].arn} is in status {error.args[0].status}; "
                "only jobs that are Completed, Failed or Stopped can be deleted."
            ) from None
        remove_tree(files.folder)
        return {}


def _kept(request: Wire) -> Wire:
    return {key: value for key, value in request.items() if key != "Tags" and value is not None}


def _tags_of(request: Wire) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags") or ()}


@functools.cache
def _described_members(operation: str) -> frozenset[str]:
    shape: Any = service_model("sagemaker").operation_model(operation).output_shape
    return frozenset(shape.members)
