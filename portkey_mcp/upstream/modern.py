"""A link to a modern server over HTTP: no session, so nothing to open, to lose or to end (S26 streamable-http)."""

import functools
import itertools
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
)

from portkey_mcp.errors import UpstreamError, brief
from portkey_mcp.model import Era, McpServer
from portkey_mcp.upstream.answering import ignore, no_requests
from portkey_mcp.upstream.flights import Flights, OnEnd, no_matter
from portkey_mcp.upstream.heads import line
from portkey_mcp.upstream.http import Exchange
from portkey_mcp.upstream.link import Link, OnNotification, OnRequest
from portkey_mcp.upstream.messages import Numbered, bare, notification, number, result_of, with_envelope
from portkey_mcp.upstream.reading import Recall
from portkey_mcp.upstream.stream import BrokenOff, Stream
from portkey_mcp.upstream.tasks import Spawn
from portkey_mcp.wire import Json

log = logging.getLogger(__name__)

NAMES = {**NAME_BEARING_METHODS, "tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"}
"""Method to the member of `params` that `Mcp-Name` repeats (protocol H1); the SDK's table lacks the tasks extension."""

UNSUPPORTED_VERSION = -32022

LONG = 200
"""Characters of a method or a name up to which the headers that repeat them are kept for the next time."""


class ModernHttpLink:
    """See `Link`. Cancelling a request closes its stream, which a modern server takes for the cancellation."""

    era: Era = "modern"

    def __init__(
        self,
        server: McpServer,
        exchange: Exchange,
        version: str,
        hello: Json,
        spawn: Spawn,
        recall: Recall,
        on_end: OnEnd = no_matter,
    ) -> None:
        self.server, self.version, self.hello = server, version, hello
        self._exchange, self._spawn, self._recall = exchange, spawn, recall
        self._version_line = exchange.lines({MCP_PROTOCOL_VERSION_HEADER: version})
        self._ids = itertools.count(1)
        self._flights = Flights(server.name, on_end)

    @property
    def alive(self) -> bool:
        """False once closed, or once the server refused the version it spoke before."""
        return not self._flights.grounded

    async def ended(self) -> None:
        """See `Link.ended`."""
        await self._flights.over.wait()

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        return self._flights.busy

    async def request(
        self,
        method: str,
        params: Json | None,
        *,
        on_notification: OnNotification,
        on_request: OnRequest,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """See `Link.request`. `on_request` is never used: a modern server has no way to receive an answer."""
        last = self._recall.last(method, params)
        params = with_envelope(params, self.version)
        call = number(next(self._ids), method, params)
        lines = self._lines(method, params)
        if headers:
            lines += self._exchange.lines(headers)
        with self._flights.flying():
            try:
                stream = await self._exchange.open("POST", lines, call.message, last)
            except UpstreamError as error:
                if error.code == UNSUPPORTED_VERSION and self.alive and self.hello:
                    self._flights.ground("its protocol version has changed")
                raise
            try:
                result = await self._read(stream, call, on_notification)
            finally:
                stream.leave(self._spawn)
            self._recall.keep(method, params, result)
            return result

    async def _read(self, stream: Stream, call: Numbered, on_notification: OnNotification) -> Json:
        while (message := await stream.read()) is not None:
            if "method" not in message:
                if call.is_answered_by(message):
                    stream.answered = True
                    return result_of(message, self.server.name)
            elif "id" not in message:
                await on_notification(bare(call.restore(message)))
            else:
                log.warning("%s sent a request, which a modern server may not: %s", self.server.key, message["method"])
        raise BrokenOff(self.server.name, "its answer ended without a result", sent=True)

    def _lines(self, method: str, params: Json) -> bytes:
        name = params.get(NAMES[method]) if method in NAMES else None
        if not isinstance(name, str):
            name = None
        short = len(method) <= LONG and (name is None or len(name) <= LONG)
        return self._version_line + (_kept_lines if short else _render)(method, name)

    async def notify(self, method: str, params: Json | None) -> None:
        """See `Link.notify`."""
        params = with_envelope(params, self.version)
        with self._flights.flying():
            await self._exchange.deliver(self._lines(method, params), notification(method, params))

    def seen_by(self, principal: str) -> Link:
        """The link as one principal gets it: it keeps nothing between requests, so all get the same."""
        return self

    @asynccontextmanager
    async def attend(self, on_notification: OnNotification, on_request: OnRequest) -> AsyncIterator[None]:
        """Nothing belongs to no call on a modern server: `subscriptions/listen` is a request."""
        yield

    async def check(self) -> None:
        """A sign of life. Raises UpstreamDown; an error answer is a sign of life, too."""
        try:
            await self.request("server/discover", None, on_notification=ignore, on_request=no_requests)
        except UpstreamError as error:
            log.debug("%s answers server/discover with %s", self.server.key, brief(error))

    async def close(self) -> None:
        """See `Link.close`; there is nothing to tell the server."""
        self._flights.ground("the link was closed")


def encode(value: str) -> str:
    """A header value as SEP-2243 wants it; what no header can hold (a lone surrogate) becomes a question mark."""
    return encode_header_value(value.encode("utf-8", "replace").decode("utf-8"))


def _render(method: str, name: str | None) -> bytes:
    method_line = line(MCP_METHOD_HEADER, encode(method))
    return method_line if name is None else method_line + line(MCP_NAME_HEADER, encode(name))


_kept_lines = functools.lru_cache(1024)(_render)
