"""Several servers' greetings and lists made into one. Pure; the order is that of the servers' names."""

import base64
from collections.abc import Sequence
from typing import Any, Final

from mcp_types import INVALID_PARAMS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS

from portkey_mcp import __version__
from portkey_mcp.errors import InvalidRequest
from portkey_mcp.gateway.bridge.envelope import TASKS, modern_result
from portkey_mcp.gateway.bridge.way import as_object
from portkey_mcp.gateway.visible import Listing
from portkey_mcp.model import Era
from portkey_mcp.wire import Json, MalformedJson, dumps, loads

PAGE: Final = 200
"""Things on one page. Some clients forget pages after the first (clients.md section 5), so pages are large."""

STALE_META: Final = "com.portkey-mcp/stale"
"""`_meta` member of a list: servers that did not answer just now, whose last known things are listed."""

CAPABILITIES: Final[Json] = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "completions": {},
    "logging": {},
}
"""What every hub offers, whatever its servers do: lists may be empty, and changes are always told."""


def greeting(title: str, era: Era, version: str, hellos: Sequence[tuple[str, Json]]) -> Json:
    """A hub's InitializeResult or DiscoverResult; `hellos` are those of the servers that answered."""
    instructions = "\n\n".join(
        f"# {server}\n{hello['instructions']}"
        for server, hello in hellos
        if isinstance(hello.get("instructions"), str) and hello["instructions"]
    )
    said: Json = {"instructions": instructions} if instructions else {}
    info = {"name": "portkey-mcp", "title": title, "version": __version__}
    if era == "legacy":
        speaks = version if version in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
        return {"protocolVersion": speaks, "capabilities": CAPABILITIES, "serverInfo": info, **said}
    capabilities = dict(CAPABILITIES)
    if any(TASKS in as_object(as_object(hello.get("capabilities")).get("extensions")) for _, hello in hellos):
        capabilities["extensions"] = {TASKS: {}}
    found = {"supportedVersions": list(MODERN_PROTOCOL_VERSIONS), "capabilities": capabilities, **said}
    return modern_result("server/discover", found, {"serverInfo": info})


def page_of(things: Sequence[Json], listing: Listing, cursor: Any) -> tuple[list[Json], str | None]:
    """One page of a merged list, and the cursor of the next, None at the end.

    A cursor names the last thing given out, so a list that changes meanwhile repeats or loses nothing else. It also
    says which of several with that name: servers may list one twice, and paging must come to an end.

    Raises:
        InvalidRequest: the cursor is not one of ours, or its thing is gone; the client starts again.
    """
    start = 0
    if cursor is not None:
        name, count = _read(cursor)
        places = [place for place, thing in enumerate(things) if thing[listing.key] == name]
        if not 0 < count <= len(places):
            raise InvalidRequest(INVALID_PARAMS, "The cursor is unknown or out of date; list again from the start")
        start = places[count - 1] + 1
    end = start + PAGE
    page = list(things[start:end])
    if end >= len(things):
        return page, None
    last = page[-1][listing.key]
    return page, _cursor(last, sum(1 for thing in things[:end] if thing[listing.key] == last))


def _cursor(name: str, count: int) -> str:
    return base64.urlsafe_b64encode(dumps([name, count])).decode("ascii")


def _read(cursor: object) -> tuple[object, int]:
    try:
        name, count = loads(base64.urlsafe_b64decode(str(cursor)))
        return name, int(count)
    except (MalformedJson, ValueError, TypeError, OverflowError):
        raise InvalidRequest(INVALID_PARAMS, "The cursor is not one that this gateway gave out") from None


def list_result(era: Era, member: str, page: Sequence[Any], cursor: str | None, stale: Sequence[str]) -> Json:
    """A merged list result, never public (protocol.md C2). How long it is good is said when it goes out, not here."""
    result: Json = {member: list(page)}
    if cursor is not None:
        result["nextCursor"] = cursor
    if stale:
        result["_meta"] = {STALE_META: list(stale)}
    return result if era == "legacy" else {"resultType": "complete", **result, "cacheScope": "private"}
