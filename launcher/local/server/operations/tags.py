"""AddTags, ListTags, DeleteTags, for everything that has an ARN here."""

from __future__ import annotations

from launcher.api.errors import could_not_find, validation
from launcher.api.training_rules import check_tags
from launcher.local.server.operations.context import Context, Operation, Wire, page_token, read_place

MAX_TAGS = 50


def add(context: Context, request: Wire) -> Wire:
    """Set tags; a known key gets the new value."""
    arn = _known(context, request)
    check_tags(request["Tags"])
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    if len(context.records.tags(arn) | tags) > MAX_TAGS:
        raise validation(f"A resource can have at most {MAX_TAGS} tags.")
    context.records.add_tags(arn, tags)
    return {"Tags": _wire(context.records.tags(arn))}


def list_tags(context: Context, request: Wire) -> Wire:
    """Tags, by key."""
    tags = _wire(context.records.tags(_known(context, request)))
    start = read_place(request["NextToken"]) if request.get("NextToken") else 0
    end = start + request.get("MaxResults", MAX_TAGS)
    answer: Wire = {"Tags": tags[start:end]}
    if end < len(tags):
        answer["NextToken"] = page_token(end)
    return answer


def delete(context: Context, request: Wire) -> Wire:
    """Remove tags."""
    context.records.delete_tags(_known(context, request), request["TagKeys"])
    return {}


def _known(context: Context, request: Wire) -> str:
    arn = str(request["ResourceArn"])
    if context.records.by_arn(arn) is None and context.records.resources.by_arn(arn) is None:
        raise could_not_find(f"the resource {arn}")
    return arn


def _wire(tags: dict[str, str]) -> list[Wire]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


OPERATIONS: dict[str, Operation] = {"AddTags": add, "ListTags": list_tags, "DeleteTags": delete}
