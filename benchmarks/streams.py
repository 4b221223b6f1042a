"""Streams that a client opens and leaves open: a modern `subscriptions/listen`, a legacy GET."""

import asyncio
from typing import Any, cast

import httptools

from benchmarks.connection import LoadError, Place, connect, greet, head_of
from benchmarks.messages import HELLO, LISTEN, Era, template

OPENING = 60.0
"""Seconds until all are open."""
AT_ONCE = 16


class Stream(asyncio.Protocol):
    """One open stream.

    `opened` is done with its first event, or with its head where none comes by itself; `gone` is set with its end.
    """

    def __init__(self, needle: bytes) -> None:
        self._needle = needle
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._ended = ""
        self.gone = asyncio.Event()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(f"connection lost: {error}")

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        if (status := self._parser.get_status_code()) != 200:
            self._end(f"got {status}")
        elif not self._needle:
            self._open()

    def on_body(self, body: bytes) -> None:
        if self._needle and self._needle in body:
            self._open()

    def on_message_complete(self) -> None:
        self._end("the stream ended")

    def check(self) -> None:
        """Raise LoadError if it is not open any more."""
        if self._ended:
            raise LoadError(f"an idle stream did not stay open: {self._ended}")

    def send(self, request: bytes) -> None:
        """Ask for the stream."""
        self._transport.write(request)

    def close(self) -> None:
        """Leave."""
        self._transport.abort()

    def _open(self) -> None:
        if not self.opened.done():
            self.opened.set_result(None)

    def _end(self, reason: str) -> None:
        self._ended = self._ended or reason
        self.gone.set()
        if not self.opened.done():
            self.opened.set_exception(LoadError(f"a stream did not open: {reason}"))


async def hold_open(place: Place, era: Era, count: int) -> list[Stream]:
    """Open so many streams, each legacy one in a session of its own; all are open when it returns.

    Raises:
        LoadError: one was refused, or they did not open in time.
    """
    numbers = iter(range(count))
    streams: list[Stream] = []

    async def some() -> None:
        for number in numbers:
            stream = await _open_one(place.seen_by(number), era, number)
            streams.append(stream)

    try:
        async with asyncio.timeout(OPENING), asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, count)):
                group.create_task(some())
    except TimeoutError:
        raise LoadError(f"{len(streams)} of {count} streams opened in time") from None
    except ExceptionGroup as failures:
        raise LoadError(str(failures.exceptions[0])) from failures
    return streams


async def _open_one(place: Place, era: Era, number: int) -> Stream:
    needle = LISTEN.needle.encode() if era == "modern" else b""
    loop = asyncio.get_running_loop()
    if era == "modern":
        body = template(LISTEN, era) % number
        request = head_of(place, LISTEN, era) + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    else:
        connection = await connect(place)
        session = await greet(connection, place, era)
        connection.close()
        request = head_of(place, HELLO[era], era, session, method="GET") + b"\r\n"
    _, stream = await loop.create_connection(lambda: Stream(needle), "127.0.0.1", place.port)
    stream.send(request)
    try:
        await stream.opened
    except LoadError:
        stream.close()
        raise
    return stream
