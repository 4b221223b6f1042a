"""A client of the OAuth server, however it is known. A value."""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from portkey_mcp.oauth import redirects

Kind = Literal["declared", "registered", "document"]
"""By an administrator's file, by itself (RFC 7591), or by the document at the URL that is its id."""


@dataclass(frozen=True, slots=True)
class Client:
    """One client. `name` is what it calls itself; only a `declared` one's was given by somebody here.

    `secret` is a digest, empty for a public client: any program can claim to be that.
    """

    id: str
    kind: Kind
    name: str
    redirect_uris: tuple[str, ...]
    secret: str = field(default="", repr=False)

    @property
    def is_public(self) -> bool:
        """Whether it has no secret."""
        return not self.secret

    @property
    def host(self) -> str:
        """The host that vouches for it: of its document's URL; empty for any other."""
        return urlsplit(self.id).hostname or "" if self.kind == "document" else ""

    def has_secret(self, offered: str) -> bool:
        """Whether this is its secret; takes as long for any wrong one."""
        return bool(self.secret) and hmac.compare_digest(digest_of(offered), self.secret)

    def may_redirect_to(self, uri: str) -> bool:
        """Whether it registered this redirect URI."""
        return redirects.fits(uri, self.redirect_uris)


def digest_of(secret: str) -> str:
    """What is stored of a secret, a code or a token: enough for values of 256 random bits, which nobody can guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
