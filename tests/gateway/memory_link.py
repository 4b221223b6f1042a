"""An upstream in memory: the whole `Link` contract, scripted by handlers instead of a server behind it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.gateway.standing import ACKNOWLEDGED, wants
from portkey_mcp.model import Era, Introduction, McpServer
from portkey_mcp.upstream.link import OnNotification, OnRequest
from portkey_mcp.wire import Json
from tests.gateway.stirring import Stirring

SERVER_INFO_KEY = "io.modelcontextprotocol/serverInfo"
SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId"

EVERYTHING: Json = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "completions": {},
    "logging": {},
}


@dataclass(eq=False)
class Asked:
    """One request as the upstream got it, and its ways back to whoever asked."""

    method: str
    params: Json | None
    headers: dict[str, str] | None
    notify: OnNotification
    ask: OnRequest
    cancelled: bool = False


Handler = Callable[[Asked], Awaitable[Json]]


def error(code: int, message: str = "no", data: Any = None) -> UpstreamError:
    """What an upstream answers when it refuses."""
    return UpstreamError({"code": code, "message": message, **({} if data is None else {"data": data})})


class MemoryLink(Stirring):
    """See `Link`. A method without a handler is unknown; a handler may notify, ask, fail, and wait for ever."""

    def __init__(
        self,
        name: str = "alpha",
        era: Era = "legacy",
        *,
        capabilities: Json | None = None,
        transport: Any = "http",
        instructions: str = "",
    ) -> None:
        super().__init__()
        self.server = McpServer("team", name, transport)
        self.era: Era = era
        self.version = "2025-11-25" if era == "legacy" else "2026-07-28"
        said: Json = {"instructions": instructions} if instructions else {}
        able = EVERYTHING if capabilities is None else capabilities
        info = {"name": f"{name}-server", "version": "1"}
        if era == "legacy":
            self.hello: Json = {"protocolVersion": self.version, "capabilities": able, "serverInfo": info, **said}
        else:
            self.hello = {"supportedVersions": [self.version], "capabilities": able, **said}
            self.hello["_meta"] = {SERVER_INFO_KEY: info}
        self.alive = True
        self.requests: list[Asked] = []
        self.notifications: list[tuple[str, Json | None]] = []
        self._handlers: dict[str, Handler] = {"subscriptions/listen": self._listen} if era == "modern" else {}
        self._attendants: list[tuple[OnNotification, OnRequest]] = []
        self._streams: list[Asked] = []

    def on(self, method: str, answer: Handler | Json) -> None:
        """Answer a method by a handler, or always with the same result."""

        async def same(_: Asked) -> Json:
            assert isinstance(answer, dict)
            return answer

        self._handlers[method] = same if isinstance(answer, dict) else answer

    def asked(self, method: str) -> list[Asked]:
        """The requests with this method, in the order they came."""
        return [asked for asked in self.requests if asked.method == method]

    async def request(
        self,
        method: str,
        params: Json | None,
        *,
        on_notification: OnNotification,
        on_request: OnRequest,
        headers: dict[str, str] | None = None,
    ) -> Json:
        if not self.alive:
            raise UpstreamDown(self.server.name, "the link is gone")
        asked = Asked(method, params, headers, on_notification, on_request)
        self.requests.append(asked)
        self.stir()
        if method not in self._handlers:
            raise error(-32601, f"Method not found: {method}")
        try:
            return await self._handlers[method](asked)
        except anyio.get_cancelled_exc_class():
            asked.cancelled = True
            self.stir()
            raise

    async def notify(self, method: str, params: Json | None) -> None:
        if not self.alive:
            raise UpstreamDown(self.server.name, "the link is gone")
        self.notifications.append((method, params))
        self.stir()

    @asynccontextmanager
    async def attend(self, on_notification: OnNotification, on_request: OnRequest) -> AsyncIterator[None]:
        attendant = (on_notification, on_request)
        self._attendants.append(attendant)
        self.stir()
        try:
            yield
        finally:
            self._attendants.remove(attendant)
            self.stir()

    @property
    def listeners(self) -> int:
        """How many attend (legacy) or listen (modern) just now."""
        return len(self._attendants) + len(self._streams)

    async def tell(self, method: str, params: Json | None = None) -> None:
        """Send a notification that belongs to no call to everybody who would hear it."""
        message: Json = {"method": method} if params is None else {"method": method, "params": params}
        for heard, _ in list(self._attendants):
            await heard(message)
        for number, stream in enumerate(self._streams):
            if wants((stream.params or {})["notifications"], message):
                tagged = {**(params or {}), "_meta": {SUBSCRIPTION_KEY: number}}
                await stream.notify({"method": method, "params": tagged})

    async def ask_standing(self, message: Json) -> Json:
        """Ask whoever attends last, outside any call (legacy)."""
        return await self._attendants[-1][1](message)

    async def ended(self) -> None:
        await self.until(lambda: not self.alive)

    async def close(self) -> None:
        self.alive = False
        self.stir()

    async def _listen(self, asked: Asked) -> Json:
        able = (asked.params or {})["notifications"]
        await asked.notify({"method": ACKNOWLEDGED, "params": {"notifications": able, "_meta": {SUBSCRIPTION_KEY: 0}}})
        self._streams.append(asked)
        self.stir()
        try:
            while self.alive:
                await self._stirred.wait()
        finally:
            self._streams.remove(asked)
            self.stir()
        raise UpstreamDown(self.server.name, "its stream broke off", sent=True)


@dataclass
class Upstreams:
    """Where lanes get their links: by server name. `hanging` ones never open, `down` ones fail at once."""

    links: dict[str, MemoryLink]
    down: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    visitors: list[Introduction] = field(default_factory=list)

    async def link(self, server: McpServer, visitor: Introduction) -> MemoryLink:
        self.visitors.append(visitor)
        if server.name in self.hanging:
            await anyio.sleep_forever()
        if server.name in self.down:
            raise UpstreamDown(server.name, "it is down")
        return self.links[server.name]


class Client(Stirring):
    """The client's side of one call (`Answers`): keeps what it hears, answers by `replies`, one by method."""

    def __init__(self, **replies: Json) -> None:
        super().__init__()
        self.heard: list[Json] = []
        self.questions: list[Json] = []
        self._replies = replies

    async def notify(self, message: Json) -> None:
        self.heard.append(message)
        self.stir()

    async def ask(self, message: Json) -> Json:
        self.questions.append(message)
        self.stir()
        key = message["method"].replace("/", "_")
        if key not in self._replies:
            await anyio.sleep_forever()
        return self._replies[key]

    @property
    def methods(self) -> list[str]:
        """The methods of the notifications heard."""
        return [message["method"] for message in self.heard]
