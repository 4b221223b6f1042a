"""What may be called what, and which URLs may be upstreams. Pure; each answer is a sentence, empty when all is well."""

import re
from typing import Final
from urllib.parse import urlsplit

SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,48}[a-z0-9]")
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
SECRET_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")

RESERVED: Final = frozenset(
    [
        *("mcp", "ui", "api", "oauth", "connect", "authorize", "token", "register", "revoke", "introspect"),
        *("healthz", "readyz", "metrics", ".well-known"),
    ]
)
"""First path segments that the gateway itself answers."""

HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


Problem = tuple[tuple[str | int, ...], str]
"""Where (a path of fields, as pydantic's `loc`) and what, as a sentence."""

HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
OWN_HEADERS: Final = frozenset(
    [
        "accept",
        "connection",
        "content-length",
        "content-type",
        "mcp-protocol-version",
        "mcp-session-id",
        "transfer-encoding",
    ]
)
"""What the transport itself sets; a configured value would break it."""

PROTECTED_HEADERS: Final = OWN_HEADERS | frozenset(
    [
        *("authorization", "cookie", "set-cookie", "x-api-key", "x-portkey-api-key", "proxy-authorization", "dpop"),
        *("host", "origin", "referer", "forwarded", "via", "x-real-ip", "user-agent", "accept-encoding", "expect"),
        *("keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "upgrade", "last-event-id"),
        *("traceparent", "tracestate", "baggage", "content-encoding"),
    ]
)
"""What of a client's request is never passed on: what proves who it is here, what says where it comes from, and what
belongs to this hop."""


def slug_problem(slug: str) -> str:
    """What is wrong with a workspace's slug."""
    if slug in RESERVED:
        return f"{slug!r} cannot be a workspace: the gateway uses that path itself"
    if not SLUG.fullmatch(slug):
        return (
            f"{slug!r} cannot be a workspace; expected 3 to 50 lower-case letters, digits and dashes, no dash at an end"
        )
    return ""


def name_problem(name: str, kind: str = "server") -> str:
    """What is wrong with the name of a server or bundle. It is used in URLs and in `{server}__{tool}`."""
    if name == "mcp":
        return f"'mcp' cannot be a {kind}: it ends every endpoint's path"
    if not NAME.fullmatch(name):
        return f"{name!r} cannot be a {kind}; expected at most 31 lower-case letters, digits, - and _"
    if "__" in name or name.endswith("_"):
        return f"{name!r} cannot be a {kind}: `__` divides server and tool on a hub"
    return ""


def url_problem(url: str) -> str:
    """What is wrong with an upstream's URL. References in it count as what they will be replaced with: text."""
    try:
        parts = urlsplit(re.sub(r"\$\{[^}]*\}", "1", url))
        _ = parts.port
    except ValueError as error:
        return f"{url!r} is no URL: {error}"
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return "" if url.startswith("${") else f"{url!r} is no http(s) URL"
    if parts.username is not None:
        return "a URL with a user name or password in it is refused; send them in a header"
    if parts.fragment:
        return f"{url!r} has a fragment (#{parts.fragment}), which no server ever sees; remove it"
    return ""


def host_problem(host: str) -> str:
    """What is wrong with a host alias."""
    if not HOST.fullmatch(host):
        return f"{host!r} is no host name; expected one in lower case, without port and path"
    return ""
