"""The messages inside one HTTP answer, whether it is one JSON document or a stream of events."""

import asyncio
from collections import deque

from portkey_mcp import wire
from portkey_mcp.errors import UpstreamDown
from portkey_mcp.upstream import reading
from portkey_mcp.upstream.heads import is_sendable
from portkey_mcp.upstream.inflating import BadEncoding
from portkey_mcp.upstream.response import HIGH_WATER, Broken, NotHttp, Response
from portkey_mcp.upstream.sse import MAX_EVENT, OversizedEventError, SseParser
from portkey_mcp.upstream.tasks import Spawn
from portkey_mcp.wire import Json, Raw

EVENT_STREAM = "text/event-stream"


class BrokenOff(UpstreamDown):
    """The answer stopped before its end."""


class Stream:
    """The messages of one HTTP answer, in wire order. `last_id` and `retry_ms` are those of its events.

    `last` is what a result in it may be again, see `reading.read`.
    """

    def __init__(self, server: str, response: Response, last: Raw | None = None) -> None:
        self._server, self._response, self._last = server, response, last
        self._parser: SseParser | None = None
        self._waiting: deque[Json] = deque()
        kind = response.content_type
        self._head = b""
        self.answered = False
        """Set by the reader once the response has come: what is left is only the end of the stream."""
        self._is_events: bool | None = True if kind == EVENT_STREAM else False if kind == "application/json" else None

    def header(self, name: str) -> str:
        """A field of the answer's head; empty where it is missing."""
        return self._response.header(name.lower().encode("ascii"))

    @property
    def is_events(self) -> bool:
        """Whether the answer calls itself an event stream."""
        return self._is_events is True

    @property
    def last_id(self) -> str:
        """The last event id seen, empty where there was none or none that can be sent: nothing is resumed then."""
        last_id = self._events.last_id if self._parser else ""
        return last_id if is_sendable(last_id) else ""

    @property
    def retry_ms(self) -> int | None:
        """Milliseconds the upstream asks to wait before resuming; None when it did not say."""
        return self._events.retry_ms if self._parser else None

    def resumes(self, earlier: "Stream") -> None:
        """Go on where another stream stopped: its last id and pause hold until this one brings its own."""
        self._events.last_id, self._events.retry_ms = earlier.last_id, earlier.retry_ms

    @property
    def _events(self) -> SseParser:
        if self._parser is None:
            self._parser = SseParser()
        return self._parser

    async def read(self) -> Json | None:
        """The next message; None at the end.

        Raises:
            BrokenOff: the connection broke.
            UpstreamDown: what came is not a message.
        """
        try:
            if self._is_events is False and not self._head and (data := self._response.at_once()):
                self._take(data)  # as nearly always: the answer is short, and all of it is there
            while not self._waiting:
                if self._is_events is None:
                    self._is_events = await self._looks_like_events()
                if not (await self._read_events() if self._is_events else await self._read_json()):
                    return None
        except Broken as error:
            raise BrokenOff(self._server, f"the connection broke: {error}", sent=True) from error
        except (NotHttp, BadEncoding, wire.MalformedJson, OversizedEventError) as error:
            raise UpstreamDown(self._server, f"it sent what is not a message: {error}", sent=True) from error
        return self._waiting.popleft()

    async def _read_events(self) -> bool:
        chunk = await self._chunk()
        for event in self._events.feed(chunk):
            if event.data:
                self._take(event.data)
        return bool(chunk) or bool(self._waiting)

    async def _read_json(self) -> bool:
        pieces: list[bytes] = []
        size = 0
        while piece := await self._chunk(HIGH_WATER):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_EVENT:
                raise OversizedEventError(f"the answer is larger than {MAX_EVENT} bytes")
        if size:
            self._take(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return bool(size)

    async def _looks_like_events(self) -> bool:
        """Content-Type says neither: JSON starts with a bracket, an event with a field name."""
        blank = 0
        while first := await self._response.piece():
            if start := first.lstrip()[:1]:
                self._head = first
                return start not in b"{["
            blank += len(first)  # white space before either of the two says nothing
            if blank > MAX_EVENT:
                raise OversizedEventError(f"the answer begins with more than {MAX_EVENT} bytes of white space")
        return False

    async def _chunk(self, enough: int = 1) -> bytes:
        head, self._head = self._head, b""
        return head or await self._response.piece(enough)

    def _take(self, data: bytes) -> None:
        message = reading.read(data, self._last)
        if isinstance(message, dict):
            self._waiting.append(message)
            return
        # Batches existed in 2025-03-26 and some servers still answer so.
        for one in message if isinstance(message, list) else [message]:
            if not isinstance(one, dict):
                raise wire.MalformedJson("a message must be an object")
            self._waiting.append(one)

    def leave(self, spawn: Spawn) -> None:
        """Done with it. After the response, the connection is kept for the next call; before, this ends the stream."""
        if self._response.ended:
            return
        if self.answered:
            spawn(self._finish())
        else:
            self.close()

    async def _finish(self) -> None:
        """Read to the end, so that the connection can be used again; give up after a second."""
        try:
            async with asyncio.timeout(1.0):
                while await self._response.piece():
                    pass
        except (TimeoutError, Broken, NotHttp, BadEncoding):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """End it now; what was not read is lost, and for a modern upstream this is the cancellation."""
        self._response.close()
