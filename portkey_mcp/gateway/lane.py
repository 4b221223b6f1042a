"""One server as one caller sees it: policy, link, bridge and back. Endpoints are made of lanes."""

from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio
from mcp_types import HEADER_MISMATCH, METHOD_NOT_FOUND
from mcp_types.methods import CLIENT_REQUESTS, SPEC_CLIENT_METHODS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from portkey_mcp.errors import InvalidRequest, UpstreamError, UpstreamTimeout
from portkey_mcp.gateway.bridge import legacy_on_modern, modern_on_legacy, same
from portkey_mcp.gateway.bridge.envelope import legacy_hello, modern_hello, modern_meta, own_fault
from portkey_mcp.gateway.bridge.parked import Parking
from portkey_mcp.gateway.bridge.way import Answers, Way, ignore, refuse, refuse_question, with_meta
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.catalogue import Catalogue
from portkey_mcp.gateway.freshness import LIST_CHANGED
from portkey_mcp.gateway.lasting import timed
from portkey_mcp.gateway.schemas import Schemas, callable_tools
from portkey_mcp.gateway.visible import LISTINGS, View
from portkey_mcp.model import Introduction, McpServer
from portkey_mcp.policy.decide import Rules
from portkey_mcp.policy.match import Pattern
from portkey_mcp.sealing import KeyRing
from portkey_mcp.telemetry.spans import Spans
from portkey_mcp.upstream.link import Link
from portkey_mcp.wire import Json, Raw

LEGACY_METHODS: Final = frozenset(
    method for method, version in CLIENT_REQUESTS if version in HANDSHAKE_PROTOCOL_VERSIONS
)
MODERN_METHODS: Final = frozenset(method for method, version in CLIENT_REQUESTS if version in MODERN_PROTOCOL_VERSIONS)

LEGACY_TASKS: Final = ("tasks/get", "tasks/list", "tasks/result", "tasks/cancel", "tasks/update")
"""Legacy tasks and the tasks extension share names and nothing else (SEP-2663): they never cross eras."""


class Links(Protocol):
    """Where links come from."""

    async def link(self, server: McpServer, visitor: Introduction) -> Link:
        """The caller's link to a server, opened when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What every lane works with; made once by app.py. `timeout` is a call's, in seconds."""

    links: Links
    keyring: KeyRing
    parking: Parking
    schemas: Schemas
    spans: Spans
    timeout: float
    catalogue: Catalogue = field(default_factory=Catalogue)


class Lane:
    """One server for one caller. Cheap: made anew for every message."""

    def __init__(
        self,
        means: Means,
        server: McpServer,
        call: Call,
        rules: Rules,
        chosen: tuple[Pattern, ...] | None = None,
    ) -> None:
        self.server = server
        self.call = call
        self.view = View(call.visit, server.name, rules, chosen)
        self._means = means

    async def link(self) -> Link:
        """The caller's link; raises UpstreamDown or UpstreamError when there is none to be had."""
        return await self._means.links.link(self.server, self.call.introduction)

    async def hello(self) -> Json:
        """The server's own greeting, in the caller's era: an InitializeResult or a DiscoverResult."""
        link = await self.link()
        if link.era == "legacy":
            return link.hello if self.call.era == "legacy" else modern_hello(link.hello)
        if self.call.era == "legacy":
            return legacy_hello(link.hello, self.call.version)
        return await self._cross(self.call.about("server/discover", self.call.params), link, None)

    async def request(self, method: str, params: Json | None, reply: Answers) -> Json:
        """Have the server answer one request, in the caller's era.

        Raises:
            InvalidRequest: hidden, unknown in this era, or contradicting its own headers.
            UpstreamError, UpstreamDown: as the upstream has it.
        """
        call = self.call.about(method, params)
        _check_era(call)
        self.view.check(method, params, call.era)
        if method in LISTINGS:
            return await self._list(call, reply)
        self._stirred()
        try:
            link = await self.link()
            if call.era != link.era and method in LEGACY_TASKS:
                raise InvalidRequest(METHOD_NOT_FOUND, f"Method not found: {method}")
            return await self._cross(call, link, reply)
        finally:
            self._stirred()

    async def _list(self, call: Call, reply: Answers) -> Json:
        """A list as it is kept, as long as the server says that it is good; else as the server has it now."""
        catalogue = self._means.catalogue
        kept = catalogue.lasting.find(call, self.server)
        if kept is not None:
            seen = self.view.listed(call.method, kept[0])
            return timed(seen if isinstance(seen, Raw) else Raw(seen), kept[1])
        asked = catalogue.freshness.now
        link = await self.link()
        result = await self._cross(call, link, reply)
        if call.method == "tools/list":
            result = callable_tools(link, result)
        catalogue.lasting.keep(call, link, result, asked)
        return self.view.listed(call.method, result)

    def _stirred(self) -> None:
        """The caller did something there, by which its lists may change: a tool may sign in, or load other tools."""
        self._means.catalogue.freshness.changed(self.server.key, self.call.visit.principal.id)

    def heard(self, message: Json) -> None:
        """Take note of what the server tells, whoever it is told."""
        if message.get("method") in LIST_CHANGED:
            self.lists_changed()

    def lists_changed(self) -> None:
        """Whatever is known of the server's lists is old, for everybody."""
        self._means.catalogue.freshness.changed(self.server.key)

    async def notify(self, method: str, params: Json | None) -> None:
        """Pass a legacy client's notification on to a legacy upstream; modern ones have no use for it."""
        link = await self.link()
        if link.era == "legacy":
            await link.notify(method, params)
            self._stirred()

    def bare(self, link: Link, params: Json) -> Json:
        """The gateway's own request on the caller's behalf: params with the envelope that the link's era wants."""
        if link.era == "legacy":
            return params
        return with_meta(params, lambda meta: modern_meta(meta, self.call.capabilities, self.call.client_info, None))

    async def _cross(self, call: Call, link: Link, reply: Answers | None) -> Json:
        answers = _Filtered(self, reply) if reply is not None else Nobody()
        headers = None if call.era == link.era == "legacy" else await self._headers(call, link)
        try:
            try:
                return await self._bridge(call, link, answers, headers)
            except UpstreamError as error:
                if error.code != HEADER_MISMATCH or call.method != "tools/call" or link.era == "legacy":
                    raise
            # The upstream's tools changed under our headers (H5); it has refused the call, so it may be sent again.
            self._means.schemas.forget(link)
            return await self._bridge(call, link, answers, await self._headers(call, link))
        except UpstreamError as error:
            raise UpstreamError(own_fault(error.error), error.status, error.headers) from None

    async def _headers(self, call: Call, link: Link) -> dict[str, str] | None:
        async def list_page(params: Json) -> Json:
            return await self.ask_link(link, "tools/list", params)

        return await self._means.schemas.headers(call, link, list_page)

    async def ask_link(self, link: Link, method: str, params: Json) -> Json:
        """Send one request of the gateway's own over a link, as this caller; what it says on the way is dropped.

        Raises:
            UpstreamError, UpstreamDown: as the upstream has it.
        """
        with anyio.move_on_after(self._means.timeout):
            return await link.request(method, self.bare(link, params), on_notification=ignore, on_request=refuse)
        raise UpstreamTimeout(link.server.name, f"no answer to {method} within {self._means.timeout:g} s")

    async def _bridge(self, call: Call, link: Link, answers: Answers, headers: dict[str, str] | None) -> Json:
        with self._means.spans.client(call.method, call.params, link) as span:
            way = Way(
                call, link, answers, self._means.timeout, headers, span.inject if span.injects else None, self.heard
            )
            if link.era == call.era:
                result = await (same.legacy(way) if call.era == "legacy" else same.modern(way))
            elif call.era == "legacy":
                result = await legacy_on_modern.forward(way)
            else:
                result = await modern_on_legacy.forward(way, self._means.parking, call.visit.endpoint.path)
            span.result(result)
            return result


def _check_era(call: Call) -> None:
    """Refuse a method of the specification that the client's era does not have; unknown methods pass."""
    known = LEGACY_METHODS if call.era == "legacy" else MODERN_METHODS
    if call.method in SPEC_CLIENT_METHODS and call.method not in known:
        raise InvalidRequest(METHOD_NOT_FOUND, f"Method not found: {call.method}")


class _Filtered:
    """The caller's side of a call, without news of what is hidden from it."""

    def __init__(self, lane: Lane, reply: Answers) -> None:
        self._lane, self._reply = lane, reply

    async def notify(self, message: Json) -> None:
        self._lane.heard(message)
        if self._lane.view.hears(message):
            await self._reply.notify(message)

    async def ask(self, message: Json) -> Json:
        return await self._reply.ask(message)


class Nobody:
    """Nobody to hear or answer: what the gateway asks on a caller's behalf."""

    async def notify(self, message: Json) -> None:
        """Drop it."""

    async def ask(self, message: Json) -> Json:
        """Refuse it."""
        return refuse_question(message)
