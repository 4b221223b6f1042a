"""A gateway in front of raw upstreams, and raw clients on both sides of it: directly, and through it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2

from tests.stories.gateway import Gateway, gateway
from tests.stories.house import ROOT, module, open_house
from tests.stories.raw_client import Json, RawClient, RawStdioClient, raw_http
from tests.stories.raw_upstream import RawUpstream, raw_upstream

CHILD = "tests.stories.raw_upstream_stdio"

Post = Callable[[Json], Awaitable[list[Json]]]
"""Sends one request and returns all that is heard until its response."""


@dataclass(frozen=True)
class RawHouse:
    """The gateway's servers: `legacy` and `modern` over HTTP, `child` (legacy) and `modern-child` over stdio."""

    gateway: Gateway
    legacy: RawUpstream
    modern: RawUpstream
    http: httpx2.AsyncClient

    async def through(
        self, server: str, era: str, capabilities: Json | None = None, besides: Json | None = None
    ) -> RawClient:
        """A client of the gateway that has said hello."""
        client = RawClient(self.http, self.gateway.at("team", server), era)
        await client.hello(capabilities, besides)
        return client

    async def direct(self, server: str, capabilities: Json | None = None) -> RawClient:
        """A client of an upstream itself, in the upstream's era, that has said hello."""
        upstream = self.upstream(server)
        client = RawClient(self.http, upstream.url, upstream.era)
        await client.hello(capabilities)
        return client

    def upstream(self, server: str) -> RawUpstream:
        """The upstream behind one of the HTTP servers."""
        return {"legacy": self.legacy, "modern": self.modern}[server]


@asynccontextmanager
async def raw_house(data: Path, **settings: Any) -> AsyncIterator[RawHouse]:
    """Everything, until the block ends."""
    async with raw_upstream("legacy") as legacy, raw_upstream("modern") as modern, raw_http() as http:
        servers = {
            "legacy": {"url": legacy.url},
            "modern": {"url": modern.url},
            "child": module(CHILD, "legacy"),
            "modern-child": module(CHILD, "modern"),
        }
        async with gateway(open_house(**servers), data, **settings) as running:
            yield RawHouse(running, legacy, modern, http)


@dataclass(frozen=True)
class Pair:
    """The same kind of client twice: `direct` at the upstream, `through` the gateway."""

    direct: Post
    through: Post


@dataclass(frozen=True)
class Pairs:
    """A pair for `legacy`, `modern` and `child`, and for each a client that makes the messages of both."""

    house: RawHouse
    at: dict[str, Pair]
    author: dict[str, RawClient]

    def __repr__(self) -> str:
        """Short, for hypothesis shows the arguments of every example that fails."""
        return "two"


@asynccontextmanager
async def pairs(data: Path) -> AsyncIterator[Pairs]:
    """A raw house, and in it a pair of clients for each server: same era on both sides."""
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(raw_house(data))
        command = module(CHILD, "legacy")["command"]
        process = await stack.enter_async_context(await anyio.open_process(command, cwd=ROOT, stderr=None))
        child = await house.through("child", "legacy")
        at = {"child": Pair(RawStdioClient(process).post, _posting(child))}
        author = {"child": child}
        for server in ("legacy", "modern"):
            author[server] = await house.through(server, server)
            at[server] = Pair(_posting(await house.direct(server)), _posting(author[server]))
        yield Pairs(house, at, author)
        assert process.stdin
        await process.stdin.aclose()


def _posting(client: RawClient) -> Post:
    async def post(message: Json) -> list[Json]:
        return (await client.post(message)).messages

    return post
