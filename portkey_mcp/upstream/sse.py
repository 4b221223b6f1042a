"""Server-sent events: bytes in, events out, however the bytes were cut (WHATWG HTML, 9.2).

Pure and incremental. `event:` names are dropped, since MCP's messages all travel as `message`, except where a caller
asks for them (the old SSE transport's `endpoint`).
"""

import re
from dataclasses import dataclass

MAX_EVENT = 64 * 1024 * 1024
"""Bytes one event may hold: far above any sane result, low enough that one stream cannot eat the process."""

MIN_RETRY_MS, MAX_RETRY_MS = 10, 1_000_000
"""Milliseconds that a stream may ask to wait. Without the one, a stream that ends at once is opened again as fast as
the processor can; the other is above any sane pause and below what a clock cannot count."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class OversizedEventError(ValueError):
    """One event outgrew `MAX_EVENT`; the stream cannot be read on."""


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event. `data` may be empty (a priming event); `name` is `message` unless the stream said so."""

    data: bytes
    name: str = "message"


class SseParser:
    """Feed it chunks in order. `last_id` and `retry_ms` follow the stream; both start as given, or as unknown."""

    def __init__(self, *, last_id: str = "", retry_ms: int | None = None, max_event: int = MAX_EVENT) -> None:
        self.last_id = last_id
        self.retry_ms = retry_ms
        self._max_event = max_event
        self._buffer = bytearray()
        self._scanned = 0
        self._at_start = True
        self._skip_newline = False
        self._data: list[bytes] = []
        self._size = 0
        self._name = ""

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that this chunk completes.

        Raises:
            OversizedEventError: an event, complete or not, is larger than allowed.
        """
        buffer = self._buffer
        buffer += chunk
        if self._at_start and not self._skip_mark():
            return []
        events: list[Event] = []
        start = 0
        if self._skip_newline and buffer:
            start = 1 if buffer[0] == 0x0A else 0
            self._skip_newline = False
        scan = max(start, self._scanned)
        while end := _LINE_END.search(buffer, scan):
            event = self._line(bytes(buffer[start : end.start()]))
            if event is not None:
                events.append(event)
            start = scan = end.end()
            # A CR at the very end may be half of a CRLF whose LF comes with the next chunk.
            self._skip_newline = end.group() == b"\r" and start == len(buffer)
        del buffer[:start]
        self._scanned = len(buffer)
        if self._size + len(buffer) > self._max_event:
            raise OversizedEventError(f"an event is larger than {self._max_event} bytes")
        return events

    def _skip_mark(self) -> bool:
        """Drop a leading byte order mark; False while the first bytes may still become one."""
        if len(self._buffer) < 3 and _BYTE_ORDER_MARK.startswith(self._buffer):
            return False
        if self._buffer.startswith(_BYTE_ORDER_MARK):
            del self._buffer[:3]
        self._at_start = False
        return True

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value) + 1  # its line end: empty lines are not for nothing
        elif field == b"id" and b"\0" not in value:
            self.last_id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit():
            self.retry_ms = max(MIN_RETRY_MS, int(value)) if len(value) < len(str(MAX_RETRY_MS)) else MAX_RETRY_MS
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        return None

    def _dispatch(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name, self._size = [], "", 0
        return Event(b"\n".join(data), name or "message") if data else None
