"""An MCP server over streamable HTTP that knows no schema: it says what it is told to, and keeps what it was sent.

One era each; its messages are those of `raw_upstream_script`. Written on bare ASGI, so that nothing between the test
and the wire types, drops or adds a member.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from starlette.types import Receive, Scope, Send

from tests.stories.gateway import serving
from tests.stories.raw_upstream_script import Json, answers, say_of

PATIENCE = 120
"""Seconds to wait for what must come; two busy cores are slow."""


@dataclass(frozen=True)
class Received:
    """One POST: its headers, names in lower case, and its message."""

    headers: dict[str, str]
    message: Json


@dataclass
class RawUpstream:
    """The application and what it has seen.

    `held` are the names of calls that are waiting to be released, `cancelled` of those that were cancelled in the way
    of the era, `left` of those whose connection ended.
    """

    era: str
    url: str = ""
    script: Callable[[Json, str], list[Json]] = answers
    """Makes the messages of an answer from a request and the era."""
    told: Callable[[Json], Json] = say_of
    """How a request is to be answered, see `raw_upstream_script`."""
    received: list[Received] = field(default_factory=list)
    held: dict[str, anyio.Event] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    _sessions: int = 0
    _named: dict[tuple[str, object], str] = field(default_factory=dict)
    _answers: dict[str, Json] = field(default_factory=dict)
    _stirred: anyio.Event = field(default_factory=anyio.Event)

    def requests(self, method: str) -> list[Json]:
        """Every message of a method that came, in order."""
        return [received.message for received in self.received if received.message.get("method") == method]

    def release(self, name: str) -> None:
        """Let a held call be answered."""
        self.held[name].set()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until what was received makes this true."""
        with anyio.fail_after(PATIENCE):
            while not true():
                await self._stirred.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["method"] == "POST":
            await self._post(scope, receive, send)
        else:
            await _send(send, 405 if scope["method"] == "GET" else 200, b"")

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        received = Received(headers, json.loads(body))
        self.received.append(received)
        self._take(received)
        self._stir()
        if "method" in received.message and "id" in received.message:
            await self._answer(received, receive, send)
        else:
            await _send(send, 202, b"")

    def _take(self, received: Received) -> None:
        message, session = received.message, received.headers.get("mcp-session-id", "")
        if message.get("method") == "notifications/cancelled":
            name = self._named.get((session, message["params"]["requestId"]))
            if name is not None:
                self.cancelled.append(name)
        elif "method" not in message:
            self._answers[json.dumps(message["id"])] = message

    async def _answer(self, received: Received, receive: Receive, send: Send) -> None:
        message, say = received.message, self.told(received.message)
        session = received.headers.get("mcp-session-id", "")
        headers = []
        if message["method"] == "initialize":
            self._sessions += 1
            headers = [(b"mcp-session-id", b"raw-%d" % self._sessions)]
        if "hold" in say and not await self._hold(session, message["id"], say["hold"], receive):
            return
        if "ask" not in say:
            messages = self.script(message, self.era)
            await _say(send, messages, headers, stream=len(messages) > 1 or say.get("stream", False))
            return
        asked = say["ask"]
        await _start(send, b"text/event-stream", headers)
        for question in asked:
            await _event(send, {"jsonrpc": "2.0", **question})
        keys = [json.dumps(question["id"]) for question in asked]
        await self.until(lambda: all(key in self._answers for key in keys))
        told = [{k: v for k, v in self._answers.pop(key).items() if k != "jsonrpc"} for key in keys]
        await _event(send, {"jsonrpc": "2.0", "id": message["id"], "result": {"answers": told}})
        await send({"type": "http.response.body", "body": b""})

    async def _hold(self, session: str, ident: object, name: str, receive: Receive) -> bool:
        """Wait for the test, or for the client's leaving; says whether to answer."""
        released = self.held[name] = anyio.Event()
        self._named[session, ident] = name
        self._stir()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, name, receive, tasks.cancel_scope)
            await released.wait()
            tasks.cancel_scope.cancel()
        del self.held[name]
        self._stir()
        return released.is_set()

    async def _watch(self, name: str, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.append(name)
        if self.era == "modern":
            self.cancelled.append(name)
        scope.cancel()
        self._stir()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = anyio.Event()


@asynccontextmanager
async def raw_upstream(era: str) -> AsyncIterator[RawUpstream]:
    """Serve one until the block ends."""
    upstream = RawUpstream(era)
    async with serving(upstream) as origin:
        upstream.url = f"{origin}/mcp"
        yield upstream
        for released in upstream.held.values():
            released.set()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


def encoded(message: Json) -> bytes:
    """A message in UTF-8 as most servers write it; in ASCII where a lone surrogate rules that out."""
    try:
        return json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(message).encode()


async def _say(send: Send, messages: list[Json], headers: list[tuple[bytes, bytes]], *, stream: bool) -> None:
    if not stream:
        await _send(send, 200, encoded(messages[-1]), headers)
        return
    await _start(send, b"text/event-stream", headers)
    for message in messages:
        await _event(send, message)
    await send({"type": "http.response.body", "body": b""})


async def _event(send: Send, message: Json) -> None:
    body = b"event: message\ndata: " + encoded(message) + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _start(send: Send, kind: bytes, headers: list[tuple[bytes, bytes]], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *headers]})


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    length = [(b"content-length", str(len(body)).encode())]
    await _start(send, b"application/json", [*length, *(headers or [])], status)
    await send({"type": "http.response.body", "body": body})
