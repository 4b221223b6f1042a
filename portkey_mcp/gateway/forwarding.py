"""Headers of a client's request that are passed on to a server, as its definition says: never the client's credential.

What a client proves itself with here is for nobody else (oauth.md B2), whatever header it stands in and whatever the
database says is to be passed on.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from portkey_mcp.gateway.call import Call
from portkey_mcp.model import McpServer
from portkey_mcp.registry.names import HEADER_NAME, PROTECTED_HEADERS
from portkey_mcp.upstream.heads import is_sendable

MOST: Final = 8 * 1024
"""Bytes of names and values in all; common servers take no more for all the headers of a request."""

CREDENTIALS: Final = ("authorization", "x-portkey-api-key", "x-api-key", "cookie", "proxy-authorization", "dpop")
"""Where clients prove themselves."""

_NEVER: Final = ("mcp-", "x-forwarded-")


def forwarded(server: McpServer, call: Call) -> dict[str, str]:
    """The headers of this call's requests that a server is to get. What is not safe to pass on is left out."""
    if not server.forward or not call.headers:
        return {}
    secrets = tuple(_secrets(call.headers))
    passed: dict[str, str] = {}
    room = MOST
    for name, there in server.forward.items():
        value = call.headers.get(name.lower())
        if value is None or not _may_pass(name) or not _may_pass(there):
            continue
        value = _text(value)
        size = len(there) + len(value.encode())
        if size > room or not is_sendable(value) or any(secret in value for secret in secrets):
            continue
        passed[there] = value
        room -= size
    return passed


def _may_pass(name: str) -> bool:
    lower = name.lower()
    return bool(HEADER_NAME.fullmatch(name)) and lower not in PROTECTED_HEADERS and not lower.startswith(_NEVER)


def _secrets(headers: Mapping[str, str]) -> Iterator[str]:
    """What the client proved itself with: each value, and what follows its scheme."""
    for name in CREDENTIALS:
        value = _text(headers.get(name, "").strip())
        if value:
            yield value
            yield value.partition(" ")[2].strip() or value


def _text(value: str) -> str:
    """A value as it was meant: headers are bytes, which are read as Latin-1 here and written as UTF-8."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
