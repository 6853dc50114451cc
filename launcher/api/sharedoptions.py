"""What several classes of options say alike about a field: see ``launcher.api.options``."""

from __future__ import annotations

from launcher.api.building import as_tags, several, wire_tags
from launcher.api.options import option


def encoded_tags(tags: object) -> list[dict[str, str]] | None:
    """Tags as the request has them, from a mapping or from the API's list; None where there are none."""
    return wire_tags(as_tags(tags))


SUBNETS = option("VPC subnets; together with `security_group_ids`", wire="VpcConfig.Subnets", encode=several)
SECURITY_GROUP_IDS = option(
    "VPC security groups; together with `subnets`", wire="VpcConfig.SecurityGroupIds", encode=several
)
TAGS = option("a mapping, or the API's list of Key and Value", wire="Tags", encode=encoded_tags)
SESSION = option("the cloud; None for the one that the instance type asks for")
