"""Opening one link: which transport, which era, and how the visitor is introduced."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from mcp_types.version import LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS

from portkey_mcp.model import Introduction, McpServer
from portkey_mcp.upstream.answering import ignore, no_requests
from portkey_mcp.upstream.attendants import Attendants
from portkey_mcp.upstream.breaker import Gate
from portkey_mcp.upstream.flights import OnEnd
from portkey_mcp.upstream.http import Exchange
from portkey_mcp.upstream.legacy import LegacyHttpLink
from portkey_mcp.upstream.link import Link
from portkey_mcp.upstream.modern import ModernHttpLink
from portkey_mcp.upstream.probe import DISCOVER, OUR_INFO, Verdict, discover_params, probe
from portkey_mcp.upstream.tasks import Spawn
from portkey_mcp.wire import Json


class OpenLink(Link, Protocol):
    """A link as the pool holds it."""

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        ...

    async def check(self) -> None:
        """Ask for a sign of life. Raises UpstreamDown where there is none."""
        ...

    def seen_by(self, principal: str) -> Link:
        """The link as one principal gets it."""
        ...


@dataclass(frozen=True, slots=True)
class Workshop:
    """What links are made with: the process's HTTP session, its task owner, and the server's breaker."""

    session: aiohttp.ClientSession
    spawn: Spawn
    gate: Gate


def greeting(server: McpServer, visitor: Introduction, capabilities: Json | None = None) -> Json:
    """The `initialize` params: the visitor's own, unless the version is pinned, modern (no handshake knows it) or missing.

    `capabilities` replaces the visitor's where several share the link.
    """
    version = visitor.version
    if server.protocol != "auto":
        version = server.protocol
    elif not version or version in MODERN_PROTOCOL_VERSIONS:
        version = LATEST_HANDSHAKE_VERSION
    return {
        "protocolVersion": version,
        "capabilities": visitor.capabilities if capabilities is None else capabilities,
        "clientInfo": visitor.client_info or OUR_INFO,
    }


async def probe_http(server: McpServer, resolved: McpServer, workshop: Workshop) -> Verdict:
    """The era of an HTTP server. Raises as `probe` does."""
    exchange = Exchange(workshop.session, resolved.url, dict(resolved.headers), workshop.gate)

    async def discover(version: str) -> Json:
        link = ModernHttpLink(server, exchange, version, {}, workshop.spawn)
        return await link.request(DISCOVER, discover_params(), on_notification=ignore, on_request=no_requests)

    return await probe(server.name, server.protocol, discover)


async def open_http(
    server: McpServer,
    resolved: McpServer,
    visitor: Introduction,
    verdict: Verdict,
    attendants: Attendants,
    workshop: Workshop,
    on_end: OnEnd,
) -> OpenLink:
    """A link over streamable HTTP. `server` is what the link shows, `resolved` holds the real values."""
    exchange = Exchange(workshop.session, resolved.url, dict(resolved.headers), workshop.gate)
    if verdict.era == "modern":
        return ModernHttpLink(server, exchange, verdict.version, verdict.hello or {}, workshop.spawn, on_end)
    link = LegacyHttpLink(server, exchange, greeting(server, visitor), attendants, workshop.spawn, on_end)
    await link.start()
    return link
