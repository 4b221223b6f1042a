"""Names on hubs: `{server}__{name}` for tools and prompts, a server's mark in URIs. Pure, and the same for everybody.

A name is made from the server's and the thing's own names alone, so that no server that comes later can change or
shadow what another one offers (protocol.md N1, acceptance 7). Names that clients' models could not use (longer than
64 characters, or with others than letters, digits, `_` and `-`) are shortened and carry a digest of the whole.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 64
"""Characters; what the model APIs behind common clients accept (clients.md section 5)."""

DIGEST: Final = 8
"""Hexadecimal characters of the digest: among 10,000 shortened names of one server a clash has odds of 1 in 100."""

SEPARATOR: Final = "__"

_PLAIN: Final = re.compile(r"[a-zA-Z0-9_-]+")
_OTHER: Final = re.compile(r"[^a-zA-Z0-9_-]")
_DIGESTED: Final = re.compile(rf"_[0-9a-f]{{{DIGEST}}}$")


def exposed(server: str, name: str) -> str:
    """The name of a server's tool or prompt on a hub."""
    whole = f"{server}{SEPARATOR}{name}"
    if len(whole) <= LONGEST and _PLAIN.fullmatch(whole) and not _DIGESTED.search(whole):
        return whole
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST]
    return f"{_OTHER.sub('_', whole)[: LONGEST - DIGEST - 1]}_{digest}"


def server_of(name: str, servers: Iterable[str]) -> str | None:
    """The server an exposed name belongs to. Server names hold no `__` and do not end in `_`."""
    server = name.split(SEPARATOR, 1)[0]
    return server if SEPARATOR in name and server in servers else None


def plain_name(name: str, server: str) -> str | None:
    """The thing's own name, when the exposed one says it; None when it carries a digest and must be looked up."""
    own = name[len(server) + len(SEPARATOR) :]
    return None if _DIGESTED.search(name) or exposed(server, own) != name else own


def exposed_uri(server: str, uri: str) -> str:
    """A resource's URI, or URI template, on a hub: `mcp+{server}+{uri}`; `ui://` keeps its scheme, for MCP Apps.

    An underscore is no scheme character (RFC 3986 section 3.1) and becomes a dot, which no server name has.
    """
    if uri.startswith("ui://"):
        return f"ui://{server}+{uri.removeprefix('ui://')}"
    return f"mcp+{server.replace('_', '.')}+{uri}"


def plain_uri(uri: str) -> tuple[str, str] | None:
    """The server and the URI behind an exposed one; None when it is not exposed by a hub."""
    if uri.startswith("ui://"):
        server, mark, rest = uri.removeprefix("ui://").partition("+")
        return (server, f"ui://{rest}") if mark else None
    parts = uri.split("+", 2)
    return (parts[1].replace(".", "_"), parts[2]) if len(parts) == 3 and parts[0] == "mcp" else None
