"""The corridor's side of a link, as tests play it: it writes down what comes, and answers as it is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio

from portkey_mcp.model import Introduction, McpServer
from portkey_mcp.upstream.link import Link
from portkey_mcp.upstream.pool import LinkPool
from portkey_mcp.wire import Json

ADA = Introduction(
    "session-of-ada", "ada", {"sampling": {}, "x": None}, {"name": "client", "version": "7", "y": 2**70}, "2025-06-18"
)
BOB = replace(ADA, party="session-of-bob", principal="bob")


@dataclass
class Heard:
    """Callbacks of one request or attendance, and what they were called with."""

    notifications: list[Json] = field(default_factory=list)
    requests: list[Json] = field(default_factory=list)
    answer: Json = field(default_factory=lambda: {"result": {"roots": []}})
    slow: bool = False

    async def on_notification(self, notification: Json) -> None:
        if self.slow:
            await anyio.lowlevel.checkpoint()
        self.notifications.append(notification)

    async def on_request(self, request: Json) -> Json:
        self.requests.append(request)
        return self.answer

    async def ask(self, link: Link, method: str, params: Json | None = None) -> Json:
        return await link.request(method, params, on_notification=self.on_notification, on_request=self.on_request)

    async def until(self, count: int) -> list[Json]:
        with anyio.fail_after(60):
            while len(self.notifications) < count:
                await anyio.lowlevel.checkpoint()
        return self.notifications


async def as_it_is(server: McpServer) -> McpServer:
    return server


@asynccontextmanager
async def pool() -> AsyncIterator[LinkPool]:
    async with LinkPool(as_it_is) as opened:
        yield opened


def http(url: str, **changes: object) -> McpServer:
    return replace(McpServer("ws", "up", "http", url=url), **changes)  # type: ignore[arg-type]
