"""A gateway on real servers that want an account, and on one that wants none: links, tokens and all, but no vault."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from aiohttp import web
from starlette.types import Receive, Scope, Send

from portkey_mcp.activity.record import CallRecord
from portkey_mcp.gateway.arrival import Arrival, duplicates_of, headers_of
from portkey_mcp.gateway.bridge.parked import Parking
from portkey_mcp.gateway.catalogue import Catalogue
from portkey_mcp.gateway.changes import Changes
from portkey_mcp.gateway.corridor import Corridor
from portkey_mcp.gateway.exchange import Exchange
from portkey_mcp.gateway.gate import Gate
from portkey_mcp.gateway.means import Means
from portkey_mcp.gateway.schemas import Schemas
from portkey_mcp.gateway.session import Sessions
from portkey_mcp.gateway.snapshots import Snapshots
from portkey_mcp.gateway.wanting import Wanting
from portkey_mcp.model import Era, McpServer, Visit, Workspace
from portkey_mcp.policy.document import parse
from portkey_mcp.sealing import KeyRing
from portkey_mcp.telemetry.spans import SILENT
from portkey_mcp.upstream.pool import LinkPool
from portkey_mcp.wire import Json
from tests.gateway.asgi import Browser
from tests.gateway.house import Clock, House
from tests.gateway.memory_link import Upstreams
from tests.upstream.accounts import OAUTH, PAGE, Tokens, guarded, token_of
from tests.upstream.heard import as_it_is
from tests.upstream.scripted import Answer, Seen, Sse, Upstream, legacy, modern, reply, serving

URL: Json = {"elicitation": {"url": {}}}
"""Capabilities of a client that opens URLs."""

ECHO: Json = {"name": "echo", "arguments": {}}

UPSTREAM = pytest.mark.parametrize("upstream", ["legacy", "modern"])
CLIENT = pytest.mark.parametrize("era", ["legacy", "modern"])


def text_of(outcome: Json) -> str:
    return str(outcome["result"]["content"][0]["text"])


def is_said(outcome: Json) -> bool:
    """Whether a model can read that an account is missing, and where to connect it."""
    return outcome["result"]["isError"] is True and f"{PAGE}/alpha" in text_of(outcome)


class Shop:
    """What a server does: `echo` tells by which token it was called; a standing stream says nothing."""

    def __init__(self, era: Era) -> None:
        self.era = era

    def served(self) -> Answer:
        """It with the greeting of its era."""
        return (legacy if self.era == "legacy" else modern)(self)

    async def __call__(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        stamp = {"resultType": "complete"} if self.era == "modern" else {}
        params = (seen.message or {}).get("params", {})
        match seen.method or seen.verb:
            case "tools/list":
                tools = [{"name": "echo", "inputSchema": {"type": "object"}}]
                return reply(seen, {"tools": tools, "ttlMs": 0, "cacheScope": "private", **stamp})
            case "tools/call" if params["name"] == "echo":
                return reply(seen, {"content": [{"type": "text", "text": token_of(seen)}], **stamp})
            case "prompts/get":
                return reply(seen, {"messages": [], **stamp})
            case "resources/read":
                return reply(seen, {"contents": [], **stamp})
            case "subscriptions/listen":
                stream = await Sse.open(request)
                told = {"notifications": params["notifications"]}
                await stream.send(
                    {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": told}
                )
                await anyio.sleep_forever()
            case "GET":
                await (await Sse.open(request)).raw(b": hello\n\n")
                await anyio.sleep_forever()
        error = {"code": -32601, "message": "Method not found"}
        return web.json_response({"jsonrpc": "2.0", "id": (seen.message or {}).get("id"), "error": error})


@dataclass
class Place:
    """The gateway: `alpha` wants an account, `open` does not. `good` are the tokens that alpha takes."""

    house: House
    alpha: Upstream
    links: LinkPool
    tokens: Tokens
    good: set[str]
    changes: Changes
    records: list[CallRecord] = field(default_factory=list)

    async def answer(self, method: str, params: Json | None = None, **more: Any) -> Json:
        """The outcome of one request, as `House.answer`."""
        return await self.house.answer(method, params, **more)

    async def connect(self, principal: str = "ada", token: str = "t1") -> None:
        """What happens once a person has connected an account."""
        self.good.add(token)
        self.tokens.held[principal] = token
        await self.links.forget_account("team/alpha", principal)
        self.changes.tell()

    async def until_asked(self, times: int) -> None:
        """Wait until a token was asked for so often."""
        with anyio.fail_after(10):
            while len(self.tokens.urls) < times:
                await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def wanting(
    era: Era,
    *,
    policy: Json | None = None,
    gate: Gate | None = None,
    patience: float = 10.0,
    shop: Answer | None = None,
    status: int = 401,
    **changed: Any,
) -> AsyncIterator[Place]:
    """Open the gateway; `era` is that of both servers, `changed` what else there is to say of alpha."""
    tokens, good = Tokens(), set[str]()
    async with AsyncExitStack() as opened:
        alpha = await opened.enter_async_context(serving(guarded(shop or Shop(era).served(), good, status)))
        other = await opened.enter_async_context(serving(Shop(era).served()))
        links = await opened.enter_async_context(LinkPool(as_it_is, tokens))
        tasks = await opened.enter_async_context(anyio.create_task_group())
        servers = {
            "alpha": McpServer("team", "alpha", **{"transport": "http", "url": alpha.url, "auth": OAUTH, **changed}),
            "open": McpServer("team", "open", "http", url=other.url),
        }
        workspace = Workspace("team", "The team", servers, {}, parse(policy) if policy else None)
        keyring, clock, changes, records = KeyRing.generate(), Clock(), Changes(), list[CallRecord]()
        catalogue, parking = Catalogue(clock), Parking(keyring, tasks)
        means = Means(
            links,
            keyring,
            parking,
            Schemas(),
            SILENT,
            10.0,
            catalogue,
            gate or Gate(),
            wanting=Wanting(changes, patience, (0.01,)),
            note=records.append,
        )
        snapshots = Snapshots(tasks, catalogue.freshness, clock)
        corridor, sessions = Corridor(means, snapshots), Sessions(keyring, days=30)
        house = House(Upstreams({}), workspace, means, snapshots, corridor, sessions, tasks, clock)
        yield Place(house, alpha, links, tokens, good, changes, records)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def over_http(place: Place) -> AsyncIterator[Browser]:
    """Ada's way to alpha over HTTP."""
    house = place.house
    exchange = Exchange(house.corridor, house.sessions, place.changes, house.tasks, max_body=10_000)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def admit() -> Visit:
            return house.visit()

        headers = headers_of(scope)
        duplicates = duplicates_of(scope, headers)
        await exchange.serve(Arrival(scope["method"], house.visit(), admit, headers, duplicates, receive, send))

    yield Browser(serve)
