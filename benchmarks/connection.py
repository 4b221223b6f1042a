"""One kept-alive HTTP connection of a virtual client, as cheap as can be, and the greeting each era wants."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httptools

from benchmarks.messages import HELLO, INITIALIZED, Era, Operation, headers, right, template

KEPT = (b"content-type", b"mcp-session-id")
"""Names of the reply's headers that anybody here reads; the others are passed over."""


class LoadError(Exception):
    """The target broke off, or the handshake failed. Wrong replies are counted, not raised."""


@dataclass(frozen=True)
class Place:
    """Where an MCP endpoint is, and the API key it wants (empty: none).

    `others` are keys of other service accounts there: what many sessions cost is asked by many.
    """

    port: int
    path: str = "/mcp"
    key: str = ""
    others: tuple[str, ...] = ()

    def seen_by(self, number: int) -> "Place":
        """The same place with the key of one of the accounts, in turn."""
        return replace(self, key=self.others[number % len(self.others)]) if self.others else self


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
        self._parser: Any = httptools.HttpResponseParser(self)
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

    def on_message_begin(self) -> None:
        self._reply, self._parts = Reply(), []

    def on_header(self, name: bytes, value: bytes) -> None:
        if (name := name.lower()) in KEPT:
            self._reply.headers[name.decode()] = value.decode()

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
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        return await self._waiting

    def close(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _give_up(self, reason: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(LoadError(reason))


async def connect(place: Place) -> Connection:
    """Open a connection."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", place.port)
    return connection


def head_of(place: Place, operation: Operation, era: Era, session: str = "", *, method: str = "POST") -> bytes:
    """The head of a request, but for its length and the empty line."""
    fields = headers(operation, era, session, place.key)
    lines = [f"{method} {place.path} HTTP/1.1", f"host: 127.0.0.1:{place.port}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in fields.items()), ""]).encode()


async def greet(connection: Connection, place: Place, era: Era) -> str:
    """Introduce oneself as the era wants it: a handshake, or `server/discover`; returns the session's id, if any.

    Raises:
        LoadError: the answer is no greeting.
    """
    hello = HELLO[era]
    reply = await connection.post(head_of(place, hello, era), template(hello, era) % 0)
    if reply.status != 200 or not right(hello, 0, reply.message, True):
        raise LoadError(f"{hello.title} got {reply.status}: {reply.body[:200]!r}")
    if era == "modern":
        return ""
    session = reply.headers.get("mcp-session-id", "")
    done = await connection.post(head_of(place, hello, era, session), INITIALIZED)
    if done.status != 202:
        raise LoadError(f"notifications/initialized got {done.status}: {done.body[:200]!r}")
    return session
