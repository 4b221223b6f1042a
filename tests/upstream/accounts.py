"""A keeper of credentials for tests, and servers that want them: tokens by account, no vault behind them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from portkey_mcp.errors import ConnectNeeded, UpstreamDown
from portkey_mcp.model import Introduction, McpServer, Principal
from portkey_mcp.proof import AccountAuth
from portkey_mcp.upstream.pool import LinkPool
from tests.upstream.heard import ADA as HERSELF
from tests.upstream.heard import BOB as HIMSELF
from tests.upstream.heard import Heard, as_it_is, http
from tests.upstream.scripted import Answer, Seen, Upstream, legacy, modern, reply, serving

OAUTH = AccountAuth()
PAGE = "https://gw.example/connect/team"
ADA = replace(HERSELF, who=Principal("ada", "Ada", "person"))
BOB = replace(HIMSELF, who=Principal("bob", "Bob", "person"))

ERAS = pytest.mark.parametrize("era", [legacy, modern])

CHALLENGE = 'Bearer resource_metadata="https://up.example/.well-known/oauth-protected-resource/mcp"'


@dataclass
class Tokens:
    """Fulfils `Proofs`. `held` are the tokens at hand, by account; `newer` those that a renewal would bring.

    `down`: no credential is to be had just now. `stubborn`: what is refused stays refused. `slow`: a credential is
    never at hand, and must be waited for.
    """

    held: dict[str, str] = field(default_factory=dict)
    newer: dict[str, list[str]] = field(default_factory=dict)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    shared: bool = False
    down: bool = False
    stubborn: bool = False
    slow: bool = False
    urls: list[str] = field(default_factory=list)

    def account(self, server: McpServer, who: Principal | None) -> str:
        return "" if self.shared or who is None else who.id

    def proof(self, server: McpServer, who: Principal | None) -> "Bearer":
        account = self.account(server, who)
        self.made.append(account)
        return Bearer(self, server, account)

    def needed(self, server: McpServer) -> ConnectNeeded:
        return ConnectNeeded(server.name, f"{server.name} wants an account of yours.", f"{PAGE}/{server.name}")


@dataclass
class Bearer:
    """Fulfils `Proof`."""

    tokens: Tokens
    server: McpServer
    account: str

    def ready(self, verb: str, url: str) -> bytes | None:
        return None if self.tokens.slow or self.tokens.down else self._line(verb, url)

    async def lines(self, verb: str, url: str) -> bytes:
        if self.tokens.down:
            raise UpstreamDown(self.server.name, "its authorization server cannot be reached")
        line = self._line(verb, url)
        if line is None:
            raise self.tokens.needed(self.server)
        return line

    async def refused(self, lines: bytes, status: int, headers: Mapping[str, str]) -> bool:
        self.tokens.refusals.append((status, headers.get("www-authenticate", "")))
        if newer := self.tokens.newer.get(self.account):
            self.tokens.held[self.account] = newer.pop(0)
            return True
        if status == 403 or self.tokens.stubborn:
            return False
        self.tokens.held.pop(self.account, None)
        raise self.tokens.needed(self.server)

    def _line(self, verb: str, url: str) -> bytes | None:
        token = self.tokens.held.get(self.account)
        self.tokens.urls.append(f"{verb} {url}")
        return None if token is None else f"Authorization: Bearer {token}\r\n".encode()


def token_of(seen: Seen) -> str:
    """The token that a request came with; empty where it had none."""
    return seen.headers.get("authorization", "").removeprefix("Bearer ")


def guarded(answer: Answer, good: set[str], status: int = 401) -> Answer:
    """A server that answers nothing without a good token, whatever the request."""

    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        if token_of(seen) not in good:
            return web.Response(status=status, headers={"WWW-Authenticate": CHALLENGE})
        return await answer(request, seen)

    return handle


async def who(request: web.Request, seen: Seen) -> web.StreamResponse:
    """Tells whose token it was."""
    if seen.verb == "GET":
        return web.Response(status=405)
    return reply(seen, {"whose": token_of(seen), "resultType": "complete"})


@asynccontextmanager
async def accounts(answer: Answer, tokens: Tokens) -> AsyncIterator[tuple[Upstream, LinkPool, McpServer]]:
    async with serving(answer) as upstream, LinkPool(as_it_is, tokens) as links:
        yield upstream, links, http(upstream.url, auth=OAUTH)


async def whose(links: LinkPool, server: McpServer, visitor: Introduction) -> str:
    link = await links.link(server, visitor)
    return str((await Heard().ask(link, "tools/call", {"name": "who"}))["whose"])
