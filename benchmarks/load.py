"""The load: virtual clients, each with one kept-alive connection and one call in flight. Every reply is checked.

A closed loop: a client sends its next request when it has its reply, so the rate is what the target bears.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import Any, cast

import httptools

from benchmarks.messages import Era, Operation, headers, right, template

PARSED_EVERY = 16
"""One of so many long replies is parsed; the others are searched for what they must contain."""

GRACE = 20.0
"""Seconds that a point may take beyond its time before it is given up."""


class LoadError(Exception):
    """The target broke off, or the handshake failed. Wrong replies are counted, not raised."""


@dataclass
class Reply:
    """One HTTP reply, its names in lower case."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def message(self) -> bytes:
        """The JSON-RPC message: the body, or the last event of a stream."""
        if not self.headers.get("content-type", "").startswith("text/event-stream"):
            return self.body
        data = [line[5:].strip() for line in self.body.splitlines() if line.startswith(b"data:")]
        return next((line for line in reversed(data) if line), b"")


class Connection(asyncio.Protocol):
    """One kept-alive HTTP connection with one request in flight at a time."""

    def __init__(self) -> None:
        self._parser: Any = None
        self._transport: asyncio.Transport
        self._waiting: asyncio.Future[Reply] | None = None
        self._reply = Reply()
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own does not inherit from it

    def connection_lost(self, error: Exception | None) -> None:
        self._give_up(f"connection lost: {error}")

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._give_up(f"not HTTP: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._reply.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self._reply.status = self._parser.get_status_code()
        self._reply.body = b"".join(self._parts)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._reply)

    async def post(self, head: bytes, body: bytes) -> Reply:
        """Send one request and wait for its whole reply."""
        if self._transport.is_closing():
            raise LoadError("the target closed the connection")
        self._parser = httptools.HttpResponseParser(self)
        self._reply, self._parts = Reply(), []
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        return await self._waiting

    def close(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _give_up(self, reason: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(LoadError(reason))


@dataclass(frozen=True)
class Point:
    """What is asked of whom: one operation in one era with so many calls in flight."""

    operation: Operation
    era: Era
    clients: int
    port: int
    path: str


@dataclass
class Tally:
    """What came of it. `latencies` are in seconds, of right replies within the measured time only."""

    latencies: list[float] = field(default_factory=list)
    wrong: int = 0
    example: str = ""
    """The beginning of one of the wrong replies."""
    elapsed: float = 0.0
    counting: bool = False
    stopped: bool = False
    full: asyncio.Event = field(default_factory=asyncio.Event)


async def run(
    point: Point, *, warm_up: float, seconds: float, calls: int, mark: Callable[[], None] = lambda: None
) -> Tally:
    """Load one target for `warm_up` + `seconds`, or until `calls` replies (0: any number).

    `mark` is called when counting begins and again when it ends.

    Raises:
        LoadError: the target broke off or did not answer in time.
    """
    tally = Tally()
    try:
        async with asyncio.timeout(warm_up + seconds + GRACE), asyncio.TaskGroup() as group:
            clients = [await _Client.enter(point) for _ in range(point.clients)]
            for client in clients:
                group.create_task(client.call(tally, calls))
            await asyncio.sleep(warm_up)
            mark()
            await _count(tally, seconds)
            mark()
            tally.stopped = True
    except TimeoutError:
        raise LoadError(f"{point.operation.title} did not end in time") from None
    except ExceptionGroup as failures:
        raise LoadError(f"{point.operation.title}: {failures.exceptions[0]}") from failures
    return tally


async def _count(tally: Tally, seconds: float) -> None:
    began = perf_counter()
    tally.counting = True
    try:
        async with asyncio.timeout(seconds):
            await tally.full.wait()
    except TimeoutError:
        pass
    tally.counting = False
    tally.elapsed = perf_counter() - began


class _Client:
    """One virtual client after its handshake."""

    def __init__(self, connection: Connection, point: Point, session: str) -> None:
        self._connection, self._point = connection, point
        self._head = _head(point, headers(point.operation, point.era, session))
        self._template = template(point.operation, point.era)
        self._ids = self._template.count(b"%d")

    @classmethod
    async def enter(cls, point: Point) -> "_Client":
        """Connect and, in the legacy era, shake hands."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, "127.0.0.1", point.port)
        session = await _shake_hands(connection, point) if point.era == "legacy" else ""
        return cls(connection, point, session)

    async def call(self, tally: Tally, calls: int) -> None:
        """Call until told to stop."""
        operation = self._point.operation
        for ident in count(1):
            if tally.stopped:
                break
            began = perf_counter()
            reply = await self._connection.post(self._head, self._template % ((ident,) * self._ids))
            took = perf_counter() - began
            if not tally.counting:
                continue
            if reply.status == 200 and right(operation, ident, reply.message, ident % PARSED_EVERY == 0):
                tally.latencies.append(took)
            else:
                tally.wrong += 1
                tally.example = f"{reply.status} {reply.body[:300]!r}"
            if calls and len(tally.latencies) + tally.wrong >= calls:
                tally.full.set()
        self._connection.close()


def _head(point: Point, fields: dict[str, str]) -> bytes:
    lines = [f"POST {point.path} HTTP/1.1", f"host: 127.0.0.1:{point.port}", *(f"{k}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, ""]).encode()


async def _shake_hands(connection: Connection, point: Point) -> str:
    hello = Operation(
        "hello",
        "initialize",
        "initialize",
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "load", "version": "1"}},
        '"serverInfo"',
        0,
    )
    head = _head(point, headers(hello, "legacy"))
    reply = await connection.post(head, template(hello, "legacy") % 0)
    if reply.status != 200 or not right(hello, 0, reply.message, True):
        raise LoadError(f"initialize got {reply.status}: {reply.body[:200]!r}")
    session = reply.headers.get("mcp-session-id", "")
    head = _head(point, headers(hello, "legacy", session))
    done = await connection.post(head, b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    if done.status != 202:
        raise LoadError(f"notifications/initialized got {done.status}: {done.body[:200]!r}")
    return session
