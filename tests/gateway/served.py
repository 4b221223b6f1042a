"""An Exchange with a client of its own, and an upstream that lets calls go when told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Receive, Scope, Send

from portkey_mcp.errors import Refusal, Unauthenticated
from portkey_mcp.gateway.answer import http_status
from portkey_mcp.gateway.arrival import Arrival, TooLarge, duplicates_of, headers_of
from portkey_mcp.gateway.changes import Changes
from portkey_mcp.gateway.exchange import Exchange
from portkey_mcp.gateway.inbound import BadMessage
from portkey_mcp.gateway.reply import send_json
from portkey_mcp.model import Principal, Visit
from portkey_mcp.wire import Json
from tests.gateway.asgi import Browser, Exchanged, legacy
from tests.gateway.house import ADA, BOB, FORM, House, house
from tests.gateway.memory_link import Asked, MemoryLink

QUESTION: Json = {"method": "elicitation/create", "params": {"message": "?"}}
NEWS: Json = {"method": "notifications/message", "params": {"level": "info", "data": "x"}}
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": FORM, "clientInfo": {"name": "me", "version": "1"}}


class Served:
    """One endpoint over HTTP; the path says who comes: /ada or /bob."""

    def __init__(self, place: House, exchange: Exchange, changes: Changes) -> None:
        self.place, self._exchange, self.changes = place, exchange, changes
        self.browser = Browser(self)
        self.turned_away = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal: Principal = BOB if scope["path"] == "/bob" else ADA

        async def admit() -> Visit:
            if self.turned_away:
                raise Unauthenticated("no more")
            return self.place.visit(principal=principal)

        try:
            headers = headers_of(scope)
            again = duplicates_of(scope, headers)
            await self._exchange.serve(Arrival(scope["method"], await admit(), admit, headers, again, receive, send))
        except Refusal as refusal:
            status = 413 if isinstance(refusal, TooLarge) else http_status(refusal)
            ident = refusal.id if isinstance(refusal, BadMessage) else None
            await send_json(send, status, {"id": ident, "error": {"message": str(refusal)}})

    async def post(self, message: Any, path: str = "/ada", **headers: str) -> Exchanged:
        return await self.browser.post(path, message, **headers)

    async def initialize(self) -> str:
        answered = await self.post(legacy("initialize", INITIALIZE))
        return answered.headers["mcp-session-id"]


@asynccontextmanager
async def serving(link: MemoryLink, max_body: int = 10_000) -> AsyncIterator[Served]:
    async with house(link) as place:
        changes = Changes()
        yield Served(place, Exchange(place.corridor, place.sessions, changes, place.tasks, max_body=max_body), changes)


class Waiting(MemoryLink):
    """Its tool tells something, then waits until its name is among those let go."""

    def __init__(self) -> None:
        super().__init__()
        self._let_go: set[str] = set()
        self.on("tools/call", self._wait)

    def let_go(self, name: str) -> None:
        self._let_go.add(name)
        self.stir()

    async def _wait(self, asked: Asked) -> Json:
        await asked.notify(NEWS)
        await self.until(lambda: (asked.params or {})["name"] in self._let_go)
        return {"content": []}
