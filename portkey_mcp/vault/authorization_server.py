"""Metadata of authorization servers (RFC 8414, OpenID Connect Discovery 1.0): where it is, and what it says. Pure.

All of it is a stranger's word. That its issuer is the one it was looked for under is all that makes it anybody's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from portkey_mcp.errors import NotFetched
from portkey_mcp.target import read as read_url
from portkey_mcp.vault.connection import Endpoint

OAUTH: Final = "/.well-known/oauth-authorization-server"
OPENID: Final = "/.well-known/openid-configuration"

MOST: Final = 1_000
"""Members of a list that are read; some list every scope they have."""


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """What is used of it; empty: it does not say.

    `methods` are the ways clients may prove themselves at the token endpoint, `signing_algorithms` those of assertions
    for that, `dpop` those of proofs of possession (RFC 9449). `pkce` is whether S256 is known to work (RFC 7636),
    `documents` whether a client may be known by the URL of its document, `says_issuer` whether its answers name it
    (RFC 9207). `named` false: nobody said an issuer, `issuer` is only the origin of its endpoints, and there is nothing
    to compare an answer's `iss` with.
    """

    issuer: str
    authorization: str = ""
    token: str = ""
    registration: str = ""
    revocation: str = ""
    methods: tuple[str, ...] = ()
    signing_algorithms: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    pkce: bool = False
    documents: bool = False
    says_issuer: bool = False
    dpop: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    named: bool = True

    def endpoint(self) -> Endpoint:
        """What of it is kept with the tokens it gives."""
        return Endpoint(self.issuer, self.token, self.revocation, self.methods, self.dpop)


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata may be, in the order in which it is looked for there (RFC 8414, section 5)."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    if not path:
        return origin + OAUTH, origin + OPENID
    return origin + OAUTH + path, origin + OPENID + path, origin + path + OPENID


def read_metadata(document: Any, issuer: str) -> AuthorizationServer:
    """What the metadata says that was found where that of `issuer` is.

    Raises:
        NotFetched: it is somebody else's, or none. The two must be equal to the last character (RFC 8414, section 3.3),
            but for the slash behind a bare origin: with and without it the metadata is at the same URL.
    """
    if not isinstance(document, dict):
        raise NotFetched(f"the metadata of {issuer} is no JSON object")
    said = document.get("issuer")
    if not isinstance(said, str) or not same_issuer(said, issuer):
        raise NotFetched(
            f"the metadata found for the authorization server {issuer} says that it is that of {shown(said)}. If that "
            "is the right one, write it as issuer into auth of the server"
        )
    methods = texts(document, "token_endpoint_auth_methods_supported")
    return AuthorizationServer(
        issuer=said,
        authorization=_url(document, "authorization_endpoint"),
        token=_url(document, "token_endpoint"),
        registration=_url(document, "registration_endpoint", needed=False),
        revocation=_url(document, "revocation_endpoint", needed=False),
        methods=("client_secret_basic",) if methods is None else methods,  # RFC 8414, section 2
        signing_algorithms=texts(document, "token_endpoint_auth_signing_alg_values_supported") or (),
        scopes=texts(document, "scopes_supported") or (),
        pkce="S256" in (texts(document, "code_challenge_methods_supported") or ()),
        documents=document.get("client_id_metadata_document_supported") is True,
        says_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        dpop=texts(document, "dpop_signing_alg_values_supported") or (),
        grants=texts(document, "grant_types_supported") or (),
    )


def same_issuer(one: str, other: str) -> bool:
    """Whether two texts name one issuer, see `read_metadata`."""
    return one == other or (one.rstrip("/") == other.rstrip("/") and urlsplit(one).path.strip("/") == "")


def texts(document: Mapping[str, Any], member: str) -> tuple[str, ...] | None:
    """A list of texts; None where there is none. What in it is no text is passed over."""
    found = document.get(member)
    if not isinstance(found, list):
        return None
    return tuple(dict.fromkeys(text for text in found[:MOST] if isinstance(text, str) and text))


def shown(said: object) -> str:
    """A stranger's word, fit to be shown."""
    return repr(said[:200]) if isinstance(said, str) else "nobody"


def _url(document: Mapping[str, Any], member: str, *, needed: bool = True) -> str:
    """A URL out of the metadata; empty where there is none. Whether http is good, `Discovery` knows (oauth.md B6)."""
    found = document.get(member)
    if not isinstance(found, str) or not found:
        return ""
    try:
        read_url(found)
    except NotFetched as error:
        if not needed:
            return ""
        raise NotFetched(f"{member} of the authorization server is {shown(found)}, where {error}") from None
    return found
