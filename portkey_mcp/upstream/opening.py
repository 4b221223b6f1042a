"""Opening one link: which transport, which era, and how the visitor is introduced."""

import functools
from dataclasses import dataclass, field
from typing import Protocol

from mcp_types.version import LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS

from portkey_mcp.model import Era, Introduction, McpServer
from portkey_mcp.upstream.alike import Alike
from portkey_mcp.upstream.answering import ignore, no_requests
from portkey_mcp.upstream.attendants import Attendants
from portkey_mcp.upstream.breaker import Gate
from portkey_mcp.upstream.connections import Connections
from portkey_mcp.upstream.eventwire import EventWire
from portkey_mcp.upstream.flights import OnEnd
from portkey_mcp.upstream.http import Exchange
from portkey_mcp.upstream.legacy import LegacyHttpLink
from portkey_mcp.upstream.link import Link
from portkey_mcp.upstream.modern import ModernHttpLink
from portkey_mcp.upstream.pipe import Pipe, Wire
from portkey_mcp.upstream.pipelink import PipeLink
from portkey_mcp.upstream.probe import DISCOVER, OUR_INFO, Verdict, discover_params, probe
from portkey_mcp.upstream.process import ProcessWire
from portkey_mcp.upstream.proof import Proof
from portkey_mcp.upstream.proven import ProvenExchange
from portkey_mcp.upstream.reading import Recall
from portkey_mcp.upstream.tasks import Spawn
from portkey_mcp.wire import Json

EVERYTHING: Json = {"roots": {"listChanged": True}, "sampling": {}, "elicitation": {"form": {}, "url": {}}}
"""Capabilities declared on a process that several share: whoever calls then answers for himself what he cannot do."""


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


@dataclass(slots=True)
class Workshop:
    """What links are made with: the process's connections, its task owner, and the server's breaker and last lists.

    What the links of a server have in common is made once: `alike` are its greetings, `exchange` its address. `proof`
    is how their account proves itself; None for a server that wants none.
    """

    connections: Connections
    spawn: Spawn
    gate: Gate
    recall: Recall
    proof: Proof | None = None
    alike: Alike = field(default_factory=Alike)
    _exchange: Exchange | None = None
    _resolved: tuple[str, dict[str, str]] | None = None

    def exchange(self, resolved: McpServer) -> Exchange:
        """Where the server is, with the secrets it has now. Raises as `Exchange` does."""
        place = resolved.url, dict(resolved.headers)
        if self._exchange is None or self._resolved != place:
            self._exchange = self._made(resolved)
            self._resolved = place
        return self._exchange

    def _made(self, resolved: McpServer) -> Exchange:
        if self.proof is not None:
            return ProvenExchange(self.connections, resolved.url, resolved.headers, self.gate, self.proof)
        forwards = bool(resolved.forward)
        return Exchange(self.connections, resolved.url, resolved.headers, self.gate, brings_any=forwards)


def greeting(server: McpServer, visitor: Introduction, capabilities: Json | None = None) -> Json:
    """The `initialize` params: the visitor's own, but for a version that is pinned, modern or missing.

    `capabilities` replaces the visitor's where several share the link.
    """
    version = visitor.version
    if server.protocol != "auto":
        version = server.protocol
    elif not version or version in MODERN_PROTOCOL_VERSIONS:
        version = LATEST_HANDSHAKE_VERSION
    return {
        **visitor.besides,
        "protocolVersion": version,
        "capabilities": visitor.capabilities if capabilities is None else capabilities,
        "clientInfo": visitor.client_info or OUR_INFO,
    }


async def probe_http(server: McpServer, resolved: McpServer, workshop: Workshop) -> Verdict:
    """The era of an HTTP server. Raises as `probe` does."""
    exchange = workshop.exchange(resolved)

    async def discover(version: str) -> Json:
        link = ModernHttpLink(server, exchange, version, {}, workshop.spawn, workshop.recall)
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
    exchange = workshop.exchange(resolved)
    if verdict.era == "modern":
        return ModernHttpLink(
            server, exchange, verdict.version, verdict.hello or {}, workshop.spawn, workshop.recall, on_end
        )
    link = LegacyHttpLink(
        server,
        exchange,
        greeting(server, visitor),
        attendants,
        workshop.spawn,
        workshop.recall,
        on_end,
        workshop.alike,
    )
    await link.start()
    return link


async def open_pipe(
    server: McpServer,
    resolved: McpServer,
    visitor: Introduction,
    known: Era | None,
    attendants: Attendants,
    workshop: Workshop,
    on_end: OnEnd,
) -> OpenLink:
    """A link over stdio or the old SSE transport. Where `known` is legacy, nothing is probed."""

    async def start() -> Pipe:
        wire: Wire
        if resolved.transport == "sse":
            wire = await EventWire.start(server, workshop.exchange(resolved))
        else:
            wire = await ProcessWire.start(server, resolved, workshop.spawn)
        return Pipe(server, wire, attendants, workshop.spawn, on_end)

    pipe = await start()
    pipe.begin()
    try:
        if known != "legacy":
            verdict = await probe(server.name, server.protocol, functools.partial(_discover, pipe))
            if verdict.era == "modern":
                pipe.become_modern(verdict.version, verdict.hello or {})
                return PipeLink(pipe)
        if not pipe.alive and known != "legacy":
            # Some old servers end at a first message that they do not know.
            await pipe.close()
            pipe = await start()
            pipe.begin()
        shared = server.transport == "stdio" and server.process == "shared"
        await pipe.shake_hands(greeting(server, visitor, EVERYTHING if shared else None))
    except BaseException:
        await pipe.close()
        raise
    return PipeLink(pipe)


async def _discover(pipe: Pipe, version: str) -> Json:
    pipe.become_modern(version, {})
    return await pipe.request("", DISCOVER, discover_params(), ignore, no_requests)
