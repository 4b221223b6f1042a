"""Lists of modern servers that say for how long they are good (`ttlMs`, SEP-2549), kept until then.

`public` ones are shared by everybody, all others belong to one principal and its party (protocol.md C1, C3). Kept is
the whole list, before policy: what a visitor sees of it is decided each time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
)

from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.freshness import Freshness
from portkey_mcp.gateway.shelf import Shelf
from portkey_mcp.model import McpServer
from portkey_mcp.upstream.link import Link
from portkey_mcp.wire import Json, Raw

MOST, MOST_BYTES = 10_000, 64 * 1024 * 1024
"""Pages kept, and bytes of JSON in them."""

LONGEST: Final = 3600.0
"""Seconds a list is believed to be good, whatever the server says: it may forget to tell of a change."""

_HARMLESS: Final = frozenset(
    {
        *(PROTOCOL_VERSION_META_KEY, CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, LOG_LEVEL_META_KEY),
        *("progressToken", "traceparent", "tracestate", "baggage"),
    }
)
"""Members of a request's `_meta` beside which no list differs, or whose difference the party's key tells."""

Clock = Callable[[], float]


def seconds_of(ttl: Any) -> float:
    """A `ttlMs` in seconds: none when it is absent, negative or no whole number; at most `LONGEST`."""
    return min(ttl, LONGEST * 1000) / 1000 if type(ttl) is int and ttl > 0 else 0.0


def milliseconds(seconds: float) -> int:
    """What is left, as a `ttlMs`."""
    return max(0, int(seconds * 1000))


def timed(result: Raw, ttl: int) -> Raw:
    """A list result, which has no `ttlMs`, with one; the rest is not written anew."""
    if ttl <= 0:
        return result.once("no ttl", lambda whole: _timed(result, 0))
    return _timed(result, ttl)


def _timed(result: Raw, ttl: int) -> Raw:
    return Raw({**result, "ttlMs": ttl}, b'%b,"ttlMs":%d}' % (result.text[:-1], ttl))


@dataclass(slots=True, eq=False)
class _Page:
    server: McpServer
    result: Raw
    ends: float
    asked: int


class Lasting:
    """Pages of lists that are good for a while. One per process; `clock` counts seconds."""

    def __init__(self, freshness: Freshness, clock: Clock = time.monotonic) -> None:
        self._freshness = freshness
        self._clock = clock
        self._pages: Shelf[_Page] = Shelf(MOST, MOST_BYTES)

    def find(self, call: Call, server: McpServer) -> tuple[Raw, int] | None:
        """The whole page that a list request asks for, without its `ttlMs`, and the milliseconds it has left."""
        page = _page_of(call)
        if page is None:
            return None
        now = self._clock()
        latest = self._freshness.latest(server.key, call.visit.principal.id)
        for key in _keys(call, server, page):
            found = self._pages.get(key)
            if found is None:
                continue
            left = milliseconds(found.ends - now)
            if left > 0 and found.asked >= latest and (found.server is server or found.server == server):
                return found.result, left
        return None

    def keep(self, call: Call, link: Link, result: Json, asked: int) -> None:
        """Keep what a list request got, if it may be kept. `asked` is the moment before it was sent."""
        page = _page_of(call)
        good = seconds_of(result.get("ttlMs"))
        if page is None or link.era != "modern" or not good or result.get("resultType") != "complete":
            return
        whole = result.once("without ttl", _without_ttl) if isinstance(result, Raw) else Raw(_without_ttl(result))
        shared, own = _keys(call, link.server, page)
        key = shared if result.get("cacheScope") == "public" else own
        self._pages.put(key, _Page(link.server, whole, self._clock() + good, asked), len(whole.text) + len(page))


def _without_ttl(result: Json) -> Json:
    return {member: value for member, value in result.items() if member != "ttlMs"}


def _page_of(call: Call) -> str | None:
    """The cursor a modern list request has, empty without one; None where the request says more than that."""
    params = call.params or {}
    if call.era != "modern" or not params.keys() <= {"_meta", "cursor"}:
        return None
    meta, cursor = params.get("_meta", {}), params.get("cursor")
    if not isinstance(meta, dict) or not meta.keys() <= _HARMLESS:
        return None
    if cursor is None:
        return ""
    # An empty cursor is a cursor like any other.
    return f"at {cursor}" if isinstance(cursor, str) else None


def _keys(call: Call, server: McpServer, page: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where a public page is kept, and where one for this caller only."""
    shared = (server.key, call.method, call.version, page)
    who = call.introduction
    return shared, (*shared, who.principal, who.party)
