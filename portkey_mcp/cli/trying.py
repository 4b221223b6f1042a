"""Opens a link to one server and asks what it is: for `servers test` and `servers tools`."""

from collections.abc import Awaitable, Callable

import anyio

from portkey_mcp.errors import UpstreamTimeout
from portkey_mcp.model import Introduction, McpServer
from portkey_mcp.upstream.answering import ignore, no_requests
from portkey_mcp.upstream.link import Link
from portkey_mcp.upstream.pool import LinkPool
from portkey_mcp.wire import Json

PATIENCE = 30.0
"""Seconds to connect and to answer: a first `npx` downloads the server before it starts it."""

US = Introduction(party="cli", principal="cli")

Resolve = Callable[[McpServer], Awaitable[McpServer]]


async def describe(resolve: Resolve, server: McpServer) -> list[Json]:
    """One record: era, protocol version, the server's own name and version, number of tools.

    Raises:
        UpstreamDown: it cannot be reached or does not answer.
    """

    async def ask(link: Link) -> list[Json]:
        info = link.hello.get("serverInfo", {})
        meta = link.hello.get("_meta", {})
        info = info or meta.get("io.modelcontextprotocol/serverInfo", {})
        return [
            {
                "name": server.name,
                "era": link.era,
                "protocol": link.version,
                "server": info.get("name"),
                "version": info.get("version"),
                "tools": len(await _tools(link)) if "tools" in link.hello.get("capabilities", {}) else 0,
            }
        ]

    return await _with_link(resolve, server, ask)


async def list_tools(resolve: Resolve, server: McpServer) -> list[Json]:
    """A record for each tool.

    Raises:
        UpstreamDown: it cannot be reached or does not answer.
        UpstreamError: it has no tools, or refuses to list them.
    """

    async def ask(link: Link) -> list[Json]:
        return [
            {
                "name": tool.get("name"),
                "title": tool.get("title"),
                "read_only": (tool.get("annotations") or {}).get("readOnlyHint"),
                "description": (tool.get("description") or "").strip().partition("\n")[0],
            }
            for tool in await _tools(link)
        ]

    return await _with_link(resolve, server, ask)


async def _with_link(resolve: Resolve, server: McpServer, ask: Callable[[Link], Awaitable[list[Json]]]) -> list[Json]:
    async with LinkPool(resolve=resolve) as links:
        try:
            with anyio.fail_after(PATIENCE):
                return await ask(await links.link(server, US))
        except TimeoutError:
            raise UpstreamTimeout(server.name, f"nothing came for {PATIENCE:.0f} seconds") from None


async def _tools(link: Link) -> list[Json]:
    """All tools, page by page."""
    found: list[Json] = []
    params: Json = {}
    while True:
        page = await link.request("tools/list", params, on_notification=ignore, on_request=no_requests)
        found += page.get("tools", [])
        cursor = page.get("nextCursor")
        if cursor is None or cursor == params.get("cursor"):
            return found
        params = {"cursor": cursor}
