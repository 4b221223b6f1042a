"""A real HTTP server on a free port whose every answer a test writes itself, down to the bytes of its streams."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from aiohttp import web

from portkey_mcp import wire
from portkey_mcp.wire import Json


@dataclass
class Seen:
    """One HTTP request as it came; `message` is None for GET and DELETE."""

    verb: str
    headers: dict[str, str]
    message: Json | None

    @property
    def method(self) -> str:
        return str((self.message or {}).get("method", ""))


Answer = Callable[[web.Request, Seen], Awaitable[web.StreamResponse]]


@dataclass
class Upstream:
    """The running server: its address, what it was sent, and a way to wait for more."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)

    def methods(self) -> list[str]:
        return [seen.method or seen.verb for seen in self.seen]

    async def until(self, method: str, times: int = 1) -> list[Seen]:
        """Wait until so many requests of a method (or verb) have come."""
        with anyio.fail_after(10):
            while len(found := [seen for seen in self.seen if method in (seen.method, seen.verb)]) < times:
                await anyio.lowlevel.checkpoint()
        return found


class Sse:
    """An event stream that is being answered with."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response

    @classmethod
    async def open(cls, request: web.Request, headers: dict[str, str] | None = None) -> "Sse":
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **(headers or {})})
        await response.prepare(request)
        return cls(response)

    async def send(self, message: Json, *, event_id: str = "") -> None:
        prefix = f"id: {event_id}\n".encode() if event_id else b""
        await self.response.write(prefix + b"data: " + wire.dumps(message) + b"\n\n")

    async def raw(self, data: bytes) -> None:
        await self.response.write(data)


def result(seen: Seen, value: Json) -> Json:
    return {"jsonrpc": "2.0", "id": (seen.message or {})["id"], "result": value}


def reply(seen: Seen, value: Json, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=wire.dumps(result(seen, value)), content_type="application/json", headers=headers)


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Upstream]:
    """Serve until the end of the block; connections still open then are dropped."""
    upstream = Upstream()

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Seen(request.method, headers, wire.loads(body) if body else None)
        upstream.seen.append(seen)
        return await answer(request, seen)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
    try:
        yield upstream
    finally:
        await runner.cleanup()


HELLO: Json = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}},
    "serverInfo": {"name": "scripted", "version": "1", "unknown": None},
}
DISCOVERED: Json = {
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "ttlMs": 0,
    "cacheScope": "private",
    "resultType": "complete",
}


def legacy(answer: Answer, *, sessions: bool = True) -> Answer:
    """A legacy server: shakes hands (session ids s1, s2, …), has no standing stream; `answer` does the rest."""
    opened = 0

    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        nonlocal opened
        if seen.method == "initialize":
            opened += 1
            return reply(seen, HELLO, {"Mcp-Session-Id": f"s{opened}"} if sessions else None)
        if seen.method == "server/discover":
            return web.Response(status=400, text="who are you?")
        if seen.method.startswith("notifications/"):
            return web.Response(status=202)
        if seen.verb == "DELETE":
            return web.Response(status=200)
        return await answer(request, seen)

    return handle


def modern(answer: Answer) -> Answer:
    """A modern server: answers `server/discover`; `answer` does the rest."""

    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.method == "server/discover":
            return reply(seen, DISCOVERED)
        return await answer(request, seen)

    return handle
