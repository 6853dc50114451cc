"""Who may see the console: its link carries a token, a cookie takes its place, and other sites are kept out.

==========================================  =====================================================================
a request                                   finds
==========================================  =====================================================================
whose Host is another                       nothing: a name that somebody points at 127.0.0.1 is not ours
whose Origin is another, or ``null``        nothing: another site's page sent it
with the token of the link                  a cookie, which a page of another site does not send (SameSite=Strict)
                                            and no script reads (HttpOnly)
with the cookie                             the pages
that changes something (POST)               that, with the cookie, our Origin and the word of the page's form
==========================================  =====================================================================
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from urllib.parse import quote

ADDRESS = "127.0.0.1"
TOKEN = "token"
FORM_WORD = "form"


@dataclass(frozen=True)
class Access:
    """The secrets of one run of the console.

    Args:
        port: where it listens.
        token: what stands in the link.
        key: what the cookie holds.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def link(self) -> str:
        """What the owner opens."""
        return f"http://{ADDRESS}:{self.port}/?{TOKEN}={quote(self.token)}"

    @property
    def cookie(self) -> str:
        """Name of the cookie: a browser sends it to every port of the address, so that each console has its own."""
        return f"batchrl-console-{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What the Host of a request may be."""
        return tuple(f"{name}:{self.port}" for name in (ADDRESS, "localhost"))

    @property
    def form_word(self) -> str:
        """What a form of ours holds; made of the key, which no page shows."""
        return hmac.new(self.key.encode(), b"form", hashlib.sha256).hexdigest()

    def is_host(self, host: str) -> bool:
        """Whether a request was meant for this server."""
        return host in self.hosts

    def is_origin(self, origin: str | None, host: str) -> bool:
        """Whether a page of ours sent a request; one without an Origin was sent by none, or by one of ours."""
        return origin is None or origin == f"http://{host}"

    def knows_token(self, given: str) -> bool:
        """Whether it is the token."""
        return _same(given, self.token)

    def knows_key(self, given: str | None) -> bool:
        """Whether it is the content of the cookie."""
        return given is not None and _same(given, self.key)

    def knows_form(self, given: str | None, origin: str | None) -> bool:
        """Whether a form of ours was sent, by a page of ours."""
        return origin is not None and given is not None and _same(given, self.form_word)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())
