"""The tags of what runs on a cloud, which no description holds."""

from __future__ import annotations

import botocore.exceptions

from launcher.session.answers import is_denied
from launcher.session.session import Session

OF_AWS = "aws:"  # what its tags begin with; nobody else may set these


def tags_of(session: Session, arn: str) -> list[dict[str, str]] | None:
    """The tags of a resource as the API lists them; None where they may not be read.

    Raises:
        Unreachable: the cloud does not answer.
    """
    tags: list[dict[str, str]] = []
    with session.reported(f"reading the tags of {arn}", session.sagemaker):
        try:
            for page in session.sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn):
                tags += page.get("Tags", ())
        except botocore.exceptions.ClientError as error:
            if is_denied(error):
                return None
            raise
    return [tag for tag in tags if not tag["Key"].startswith(OF_AWS)]
