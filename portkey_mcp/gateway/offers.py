"""What each link's server offers: its tools as it defines them, known before one is called.

Policy may depend on a tool's definition (its annotations, its schema, whether a person has seen it), so the gateway
lists tools for itself: once per link, again when the server says that they changed, and when one is asked for that was
not in the list. Equal lists are one object, so a thousand links of a server cost no more than one.
"""

import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from portkey_mcp.errors import UpstreamError
from portkey_mcp.gateway.freshness import Freshness
from portkey_mcp.gateway.pages import ListPage, pages
from portkey_mcp.registry.definitions import digest_of
from portkey_mcp.upstream.link import Link
from portkey_mcp.wire import Json, Raw

REFRESH_AFTER: Final = 5.0
"""Seconds before a tool that was not in the list is looked for again."""


class Defined(dict[str, Any]):
    """A tool's definition that remembers what its server sent, and the digest of that, whatever is made of it."""

    __slots__ = ("digest", "sent")

    def __init__(self, members: Json, digest: str, sent: Json) -> None:
        super().__init__(members)
        self.digest, self.sent = digest, sent

    def but(self, members: Json) -> "Defined":
        """The same definition with other members, as one era or one client takes it."""
        return Defined(members, self.digest, self.sent)


def digest_in(tool: object) -> str:
    """The digest a definition remembers; empty for what no server sent."""
    return tool.digest if isinstance(tool, Defined) else ""


def defined(result: Json) -> Json:
    """A raw `tools/list` result whose tools remember their digests; its bytes stay what they were."""
    return result.once("defined", _defined) if isinstance(result, Raw) else _defined(result)


def _defined(result: Json) -> Json:
    tools = result.get("tools")
    if not isinstance(tools, list):
        return result
    marked = [Defined(tool, digest_of(tool), tool) if isinstance(tool, dict) else tool for tool in tools]
    return Raw({**result, "tools": marked}, result.text if isinstance(result, Raw) else None)


def by_name(result: Json) -> Json:
    """The tools of a list result by their names."""
    return result.once("by name", _by_name) if isinstance(result, Raw) else _by_name(result)


def _by_name(result: Json) -> Json:
    tools = result.get("tools")
    named = (tool for tool in (tools if isinstance(tools, list) else ()) if isinstance(tool, dict))
    return {tool["name"]: tool for tool in named if isinstance(tool.get("name"), str)}


@dataclass(frozen=True, slots=True)
class _Offer:
    """`fetched` in seconds of the monotonic clock, `asked` the moment of `Freshness` before it was asked for."""

    fetched: float
    asked: int
    tools: Mapping[str, Json]


class Offers:
    """The tools behind each link, kept as long as the link lives."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Link, _Offer] = weakref.WeakKeyDictionary()

    def known(self, link: Link, name: str, freshness: Freshness) -> Json | None:
        """A definition that needs not be asked for again; None where it may have changed, or was never seen."""
        offer = self._known.get(link)
        # A call stirs its principal's lists, which says little; what everybody's lists did is what counts here.
        if offer is None or freshness.latest(link.server.key, "") > offer.asked:
            return None
        return offer.tools.get(name)

    async def tool(self, link: Link, name: str, list_page: ListPage, freshness: Freshness) -> Json | None:
        """One tool's definition, a `Defined`; None when the server does not list it.

        Raises:
            UpstreamDown: the list could not be had, so nobody can say.
        """
        found, offer = self.known(link, name, freshness), self._known.get(link)
        if found is not None:
            return found
        told = offer is not None and freshness.latest(link.server.key, "") <= offer.asked
        if offer is not None and told and time.monotonic() - offer.fetched < REFRESH_AFTER:
            return None
        return (await self._fetch(link, list_page, freshness.now)).get(name)

    def heard(self, link: Link, page: Json, *, whole: bool) -> None:
        """Take note of a list that somebody got over a link: where it is another one, tools are looked up again.

        `whole`: it begins with the first tool; it is all there is unless it has a `nextCursor`.
        """
        offer = self._known.get(link)
        if offer is None:
            return
        listed = by_name(defined(page))
        gone = whole and "nextCursor" not in page and len(listed) != len(offer.tools)
        if gone or any(digest_in(offer.tools.get(name)) != digest_in(tool) for name, tool in listed.items()):
            del self._known[link]

    async def _fetch(self, link: Link, list_page: ListPage, asked: int) -> Mapping[str, Json]:
        found: list[Json] = []
        # A server without tools, or that refuses to list them, offers none.
        with suppress(UpstreamError):
            found.extend([by_name(defined(page)) async for page in pages(list_page, {})])
        tools = found[0] if len(found) == 1 else {name: tool for page in found for name, tool in page.items()}
        self._known[link] = _Offer(time.monotonic(), asked, tools)
        return tools
