"""The old HTTP+SSE transport (2024-11-05) as a message wire: one stream of all that comes, a POST a message out."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from portkey_mcp import wire
from portkey_mcp.errors import UpstreamDown
from portkey_mcp.model import McpServer
from portkey_mcp.upstream import reading
from portkey_mcp.upstream.http import Exchange
from portkey_mcp.upstream.inflating import BadEncoding
from portkey_mcp.upstream.response import Broken, NotHttp, Response
from portkey_mcp.upstream.sse import Event, OversizedEventError, SseParser
from portkey_mcp.wire import Json


class EventWire:
    """See `Wire`. Not the SDK's transport, which one failed POST ends for everybody."""

    def __init__(self, server: McpServer, response: Response) -> None:
        self._server, self._response = server, response
        self._parser = SseParser()
        self._events: deque[Event] = deque()
        self._waiting: deque[Json] = deque()
        self._endpoint: Exchange | None = None
        self.ending = "its event stream ended"

    @classmethod
    async def start(cls, server: McpServer, exchange: Exchange) -> "EventWire":
        """Open the stream and wait for the `endpoint` event, which says where to POST.

        Raises:
            UpstreamError, UpstreamDown: the stream cannot be opened, or names no endpoint of the same origin.
            ConnectNeeded: it wants an account first.
        """
        response = await exchange.send("GET")
        if response.status >= 300:
            raise await exchange.refused(response)
        events = cls(server, response)
        try:
            endpoint = await events._await_endpoint()
            events._endpoint = exchange.beside(endpoint)
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
                chunk = await self._response.piece()
                if not chunk:
                    return None
                self._events.extend(self._parser.feed(chunk))
        except (Broken, NotHttp, BadEncoding, OversizedEventError) as error:
            self.ending = f"its event stream broke: {error}"
            return None
        return self._events.popleft()

    async def send(self, message: Json, headers: Mapping[str, str] | None = None) -> None:
        """See `Wire.send`."""
        assert self._endpoint is not None
        await self._endpoint.deliver(self._endpoint.lines(headers) if headers else b"", message)

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
