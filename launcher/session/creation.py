"""Creating what has a name exactly once.

The API knows no client token (contract 205): a request that is sent twice, because the first answer was lost, is
answered as if somebody else had taken the name. What is there is then compared with what was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from batchrl.contract.errors import InputError
from launcher.api import asked
from launcher.base.notices import say
from launcher.session.answers import is_denied, known, says_taken, was_repeated
from launcher.session.session import Session


@dataclass(frozen=True)
class Creation:
    """How the API creates one kind of thing.

    Args:
        noun: what sentences call it, with its article.
        resource: the name in the operations, as in ``create_training_job``.
        key: where a request holds the name.
        same: keys that tell two requests of one name apart.
    """

    noun: str
    resource: str
    key: str
    same: tuple[str, ...]

    def check_free(self, session: Session, request: dict[str, Any]) -> None:
        """Refuse a name that is taken.

        Raises:
            InputError: it is.
            Unreachable: the cloud does not answer.
        """
        with session.reported(f"looking for {self.noun} {request[self.key]}", session.sagemaker):
            if (found := self.find(session, request[self.key])) is not None:
                raise self.name_taken(request, found)

    def find(self, session: Session, name: str) -> dict[str, Any] | None:
        """What the cloud knows under a name; None for nothing, and where it may not be looked at.

        Raises:
            ClientError: the question failed otherwise.
        """
        try:
            return known(getattr(session.sagemaker, f"describe_{self.resource}"), **{self.key: name})
        except botocore.exceptions.ClientError as error:
            # Who may create something need not be allowed to look at it: creation itself tells then.
            if is_denied(error):
                return None
            raise

    def create(self, session: Session, request: dict[str, Any]) -> None:
        """Send the request.

        Raises:
            InputError: the cloud refuses it, or the name is taken.
            Unreachable: the cloud does not answer.
        """
        if session.is_local:
            operation = f"Create{''.join(map(str.capitalize, self.resource.split('_')))}"
            for field, why in asked.without_effect(operation, request).items():
                say(f"Note: {field} is recorded and has no effect on the local cloud: {why}.")
        with session.reported(f"creating {self.noun} {request[self.key]}", session.sagemaker):
            try:
                getattr(session.sagemaker, f"create_{self.resource}")(**request)
            except botocore.exceptions.ClientError as error:
                if not says_taken(error):
                    raise
                if not (was_repeated(error) and self.is_same(session, request)):
                    raise self.name_taken(request) from error

    def is_same(self, session: Session, request: dict[str, Any]) -> bool:
        """Whether what bears the name is what the request asks for."""
        found = self.find(session, request[self.key])
        return found is not None and all(found.get(key) == request.get(key) for key in self.same)

    def name_taken(self, request: dict[str, Any], found: dict[str, Any] | None = None) -> InputError:
        """The error for a name that is taken, by what is known of it."""
        if (found or {}).get("EndpointStatus") == "Failed":
            name = request[self.key]
            return InputError(
                f"{self.noun} named '{name}' exists already; it has failed.", f"Delete it: batchrl rm {name}"
            )
        return InputError(
            f"{self.noun} named '{request[self.key]}' exists already.", "Choose another name, or leave it out."
        )
