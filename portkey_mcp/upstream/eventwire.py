"""The old HTTP+SSE transport (2024-11-05) as a message wire: one stream of all that comes, a POST a message out."""

import asyncio
from collections import deque
from typing import Any

import aiohttp
from yarl import URL

from portkey_mcp import wire
from portkey_mcp.errors import UpstreamDown
from portkey_mcp.model import McpServer
from portkey_mcp.upstream import reading
from portkey_mcp.upstream.breaker import Gate
from portkey_mcp.upstream.http import Exchange
from portkey_mcp.upstream.sse import Event, OversizedEventError, SseParser
from portkey_mcp.upstream.stream import EVENT_STREAM, error_text
from portkey_mcp.wire import Json


class EventWire:
    """See `Wire`. On aiohttp, since one failed POST ends the SDK's transport for everybody."""

    def __init__(self, server: McpServer, response: aiohttp.ClientResponse) -> None:
        self._server, self._response = server, response
        self._parser = SseParser()
        self._events: deque[Event] = deque()
        self._waiting: deque[Json] = deque()
        self._endpoint: Exchange | None = None
        self.ending = "its event stream ended"

    @classmethod
    async def start(
        cls, server: McpServer, resolved: McpServer, session: aiohttp.ClientSession, gate: Gate
    ) -> "EventWire":
        """Open the stream and wait for the `endpoint` event, which says where to POST.

        Raises:
            UpstreamError, UpstreamDown: the stream cannot be opened, or names no endpoint of the same origin.
        """
        exchange = Exchange(session, resolved.url, dict(resolved.headers), gate)
        response = await exchange.send("GET", {"Accept": EVENT_STREAM})
        if response.status >= 300:
            raise await exchange.refused(response)
        events = cls(server, response)
        try:
            endpoint = await events._await_endpoint()
            here = URL(resolved.url)
            there = here.join(URL(endpoint))
            if there.origin() != here.origin():
                raise UpstreamDown(server.name, "it wants its messages sent to another origin", sent=True)
            events._endpoint = Exchange(session, str(there), dict(resolved.headers), gate)
        except BaseException:
            await events.close()
            raise
        return events

    async def _await_endpoint(self) -> str:
        while (event := await self._next_event()) is not None:
            if event.name == "endpoint":
                return event.data.decode("utf-8", "replace")
        raise UpstreamDown(self._server.name, "its event stream ended before it said where to send messages", sent=True)

    async def _next_event(self) -> Event | None:
        try:
            while not self._events:
                chunk = await self._response.content.readany()
                if not chunk:
                    return None
                self._events.extend(self._parser.feed(chunk))
        except (aiohttp.ClientError, OSError, OversizedEventError) as error:
            self.ending = f"its event stream broke: {error_text(error)}"
            return None
        return self._events.popleft()

    async def send(self, message: Json) -> None:
        """See `Wire.send`."""
        assert self._endpoint is not None
        await self._endpoint.deliver({}, message)

    async def receive(self) -> Json | None:
        """See `Wire.receive`."""
        while not self._waiting:
            event = await self._next_event()
            if event is None:
                return None
            if event.name == "message" and event.data:
                self._take(event.data)
        return self._waiting.popleft()

    def _take(self, data: bytes) -> None:
        try:
            message: Any = reading.read(data)
        except wire.MalformedJson:
            return
        self._waiting.extend(
            one for one in (message if isinstance(message, list) else [message]) if isinstance(one, dict)
        )

    async def close(self) -> None:
        """See `Wire.close`: the stream's end is the session's."""
        self._response.close()
        await asyncio.sleep(0)
