"""What a server says of its authorization: its challenge (RFC 6750, RFC 9449) and its metadata (RFC 9728). Pure."""

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from portkey_mcp.errors import NotFetched
from portkey_mcp.vault.authorization_server import shown, texts

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"

_PARAMETER: Final = re.compile(r"""([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))""")
_DPOP: Final = re.compile(r"(?:^|,)\s*DPoP(?:\s|$)", re.IGNORECASE)
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a `WWW-Authenticate` says; empty: nothing. `scopes` are those that the request would have taken, `bound`
    is whether it takes tokens that are bound to a key (RFC 9449, section 7.1).
    """

    metadata: str = ""
    scopes: tuple[str, ...] = ()
    error: str = ""
    bound: bool = False


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """The metadata of a server. `resource` is how it calls itself, to the letter; `bound` as in `Challenge`."""

    resource: str
    issuers: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    bound: bool = False


def read_challenge(value: str) -> Challenge:
    """Read a `WWW-Authenticate`, of whatever scheme; of several challenges, the first that says something counts.

    Quoted values are read whole, so that nothing in a description passes for a parameter.
    """
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(value):
        found.setdefault(name.lower(), plain or re.sub(r"\\(.)", r"\1", quoted))
    metadata, scopes, error = found.get("resource_metadata", ""), scopes_of(found.get("scope")), found.get("error", "")
    return Challenge(metadata, scopes, error, bound=bool(_DPOP.search(value)))


def scopes_of(said: object) -> tuple[str, ...]:
    """Scopes out of a text (RFC 6749, section 3.3) or a list; what can be none is passed over.

    Commas part them too: GitHub writes them so, and nobody's scope holds one.
    """
    words = re.split(r"[\s,]+", said) if isinstance(said, str) else said if isinstance(said, list) else ()
    return tuple(dict.fromkeys(word for word in words if isinstance(word, str) and _SCOPE.fullmatch(word)))


def resource_urls(url: str, challenge: Challenge) -> tuple[str, ...]:
    """Where the metadata of the server at `url` may be, in the order in which it is looked for there."""
    parts = urlsplit(url)
    well_known = f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}"
    path = "" if parts.path == "/" else parts.path
    places = [challenge.metadata, well_known + path, well_known + path.rstrip("/"), well_known]
    return tuple(dict.fromkeys(place for place in places if place))


def read_resource(document: Any, url: str) -> ProtectedResource:
    """What the metadata says that was found for the server at `url`.

    Raises:
        NotFetched: it is not the server's own: `resource` is neither its URL nor above that (RFC 9728, section 3.3).
    """
    if not isinstance(document, dict):
        raise NotFetched("the server's metadata is no JSON object")
    resource = document.get("resource")
    if not isinstance(resource, str) or not is_above(resource, url):
        raise NotFetched(
            f"the metadata found for the server at {url} says that it is about {shown(resource)}: a token for that "
            "must not be sent here. Register the server by the URL it calls itself"
        )
    issuers = texts(document, "authorization_servers") or ()
    scopes = scopes_of(list(texts(document, "scopes_supported") or ()))
    bound = document.get("dpop_bound_access_tokens_required") is True  # RFC 9728, section 2
    return ProtectedResource(resource, issuers, scopes, bound)


def is_above(resource: str, url: str) -> bool:
    """Whether a resource is the server at `url`, or its origin with a path that leads there segment by segment."""
    try:
        one, other = urlsplit(resource), urlsplit(url)
        if _origin(one) != _origin(other) or one.fragment or one.username is not None:
            return False
        path = one.path.rstrip("/")
        return other.path.rstrip("/") == path or other.path.startswith(f"{path}/")
    except ValueError:
        return False


def _origin(parts: Any) -> tuple[str, str, int]:
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme, 0)
