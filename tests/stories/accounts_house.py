"""Gateways in front of a protected server, and how people connect their accounts there: in a browser, or over HTTP.

The people are those of `sign_in_house`. `blue` has the server three times: as `mine`, where everybody has an account
of their own, as `ours`, whose one account the workspace shares, and as `keyed`, to which a person's own key is sent.
"""

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import STDOUT
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import httpx2

from tests.conformance.person import Person, link_in
from tests.stories.browser import Browser
from tests.stories.gateway import READY, Gateway, gateway
from tests.stories.house import ROOT, document
from tests.stories.oauth_upstreams import OAuthUpstream, sign_in, sign_in_without_browser
from tests.stories.raw_client import Heard, Json, RawClient, raw_http
from tests.stories.sign_in_house import Home, agree, is_there, settle

LOOPBACK = {"allow": ["127.0.0.0/8"]}
KEY = f"pk_caller_{'0' * 24}"
"""The API key of a service account in `blue`."""

WHO: Json = {"name": "whoami", "arguments": {}}


def accounts_document(upstream: OAuthUpstream, **more: Any) -> str:
    """The text of the `portkey.yaml`; `more` are further servers of `blue`."""
    servers: Json = {
        "mine": {"url": upstream.url, "auth": {"type": "oauth"}},
        "ours": {"url": upstream.url, "auth": {"type": "oauth", "sharing": "workspace"}},
        "keyed": {"url": upstream.url, "auth": {"type": "headers", "headers": {"X-Api-Key": "${person:key}"}}},
        **more,
    }
    keys = [{"name": "caller", "key": KEY, "role": "member"}]
    return document({"blue": {"servers": servers, "api_keys": keys}, "red": {}}, egress=LOOPBACK)


@dataclass
class AccountsHouse(Home):
    """Everything."""

    upstream: OAuthUpstream

    async def connected(self, name: str, server: str, user: str) -> None:
        """Somebody of the gateway's connects an account of `user`'s upstream, over HTTP."""
        async with self.browser(name) as browser:
            await connected(self.origin, browser, server, user)

    async def who(self, access: str, *place: str, era: str = "modern") -> str:
        """Whom the upstream takes the caller for who brings this token of the gateway's; it must work."""
        return user_of(await self.asked_who(access, *place, era=era))

    async def asked_who(self, access: str, *place: str, era: str = "modern") -> Heard:
        """The answer to that."""
        return await self.client(access, *place, era=era).call("tools/call", WHO)

    def client(self, access: str, *place: str, era: str = "modern") -> RawClient:
        """An MCP client that brings this token; it asks nobody anything."""
        client = RawClient(self.http, self.at(*place), era, access)
        client.capabilities = {}
        return client

    def link(self, heard: Heard) -> str:
        """The link to connect an account that a readable failure has; it must be one."""
        assert heard.status == 200, heard.body
        result = heard.answer["result"]
        assert result["isError"], result
        link = link_in(" ".join(part["text"] for part in result["content"]), self.origin)
        assert link, result
        return link


def user_of(heard: Heard) -> str:
    """What `whoami` says."""
    assert heard.status == 200, f"{heard.status} {heard.body!r}"
    result = heard.answer.get("result")
    assert result is not None, heard.answer
    assert not result.get("isError"), result
    return str(result["structuredContent"]["user"])


async def connected(origin: str, browser: httpx2.AsyncClient, server: str, user: str, link: str = "") -> None:
    """Connect an account in a browser that is signed in at the gateway, from the server's page or a given link on."""
    person = Person(origin, partial(sign_in_without_browser, user=user), browser)
    page = await person.connect(link or f"{origin}/connect/blue/{server}")
    assert page.status_code == 200, f"{page.status_code} at {page.url}: {page.text}"
    assert person.sent_to, "nobody was sent upstream"


async def go_through(desk: Browser, url: str, name: str, user: str = "") -> None:
    """What a person does in a real browser whose client sent them to `url`: sign in at the gateway, allow the client,
    and, where the server wants an account of theirs (`user` is who they are there), connect it; back at the client.
    """
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    await agree(desk, url, name)
    if user:
        await desk.arrives(f"{origin}/connect/")
        await connect_on_page(desk, user)
    await desk.page.get_by_text("You may close this window.").wait_for()


async def connect_on_page(desk: Browser, user: str) -> None:
    """Press the button of the connect page that is shown, and sign in upstream."""
    await desk.page.locator("form[action*='/connect/'] button[type=submit]:visible").first.click()
    await desk.page.locator("input[name=user]").wait_for()
    await sign_in(desk, user)


def consenting(desk: Browser, name: str, user: str = "") -> Callable[[str], Awaitable[None]]:
    """The same as a client's `consent`."""
    return partial(go_through, desk, name=name, user=user)


@asynccontextmanager
async def accounts(data: Path, upstream: OAuthUpstream, **settings: Any) -> AsyncIterator[AccountsHouse]:
    """Run one gateway in this process until the block ends."""
    if not is_there(data):
        await settle(data)
    async with raw_http() as http, gateway(accounts_document(upstream), data, **settings) as running:
        yield AccountsHouse(running, http, upstream)


@asynccontextmanager
async def processes(
    folder: Path, upstream: OAuthUpstream, number: int, environment: dict[str, str] | None = None, **more: Any
) -> AsyncIterator[list[AccountsHouse]]:
    """Run so many gateways in processes of their own, on one data directory, `folder / "data"`, until the block ends.

    What each says is in `folder / "said-NUMBER"`, at level debug. The first must be told of first by whoever connects.
    """
    data, config = folder / "data", folder / "portkey.yaml"
    if not is_there(data):
        await settle(data)
    config.write_text(accounts_document(upstream, **more))
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(raw_http())
        houses = []
        for index in range(number):
            said = folder / f"said-{index}"
            running = _process(data, config, said, {**os.environ, **(environment or {})})
            houses.append(AccountsHouse(await stack.enter_async_context(running), http, upstream))
        yield houses


@asynccontextmanager
async def _process(data: Path, config: Path, said: Path, environment: dict[str, str]) -> AsyncIterator[Gateway]:
    where = ["--config", str(config), "--data", str(data), "--port", "0"]
    environment |= {"PORTKEY_MCP_LOG_LEVEL": "debug", "PYTHONUNBUFFERED": "1"}
    with said.open("wb") as out:
        command = [sys.executable, "-m", "portkey_mcp", "serve", *where]
        process = await anyio.open_process(command, cwd=ROOT, env=environment, stdout=out, stderr=STDOUT)
    try:
        with anyio.fail_after(READY):
            while not (origin := _origin(said)):
                assert process.returncode is None, _said(said)
                await anyio.lowlevel.checkpoint()
        parts = urlsplit(origin)
        assert parts.hostname
        assert parts.port
        yield Gateway(origin, parts.hostname, parts.port, data, config)
        process.terminate()
        with anyio.fail_after(READY):
            assert await process.wait() == 0, _said(said)
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


def _origin(said: Path) -> str:
    """The origin that a gateway says it listens on, once it does."""
    _, found, rest = _said(said).partition("listens on ")
    return rest.split()[0] if found and "\n" in rest else ""


def _said(file: Path) -> str:
    return file.read_text()
