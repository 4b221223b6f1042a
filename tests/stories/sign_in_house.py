"""A gateway that people sign in to, and what an app and a browser do there, step by step on the wire.

Ada is an admin of `blue` and a member of `red`, Bob a member of `blue`, Eve an owner of `red`. `blue` has the servers
`files` and `notes`, `red` has `mail`; all three are one upstream, whose tool `echo` says what it was told.
"""

import html
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx2
from argon2 import PasswordHasher

from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from tests.oauth.conftest import OURS, PASSWORD, Asked
from tests.stories.browser import Browser
from tests.stories.gateway import Gateway, gateway
from tests.stories.hearing import PATIENCE
from tests.stories.house import ROOT, document
from tests.stories.policy_house import Scripted, tool
from tests.stories.raw_client import LEGACY, Heard, Json, RawClient, raw_http
from tests.stories.raw_upstream import RawUpstream, raw_upstream

SAYING: Json = {"type": "object", "properties": {"say": {"type": "string", "title": "Say"}}}
CALL: Json = {"name": "echo", "arguments": {"say": "hello"}}
REDIRECT = "https://app.example/callback"


class Plain(Scripted):
    """A server that greets as the schema has it: some of these clients insist on that."""

    def __call__(self, message: Json, era: str) -> list[Json]:
        if message["method"] != "initialize":
            return super().__call__(message, era)
        hello = {"protocolVersion": LEGACY, "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}
        return [{"jsonrpc": "2.0", "id": message["id"], "result": hello}]


@dataclass
class Home:
    """A gateway with its people. `http` is a client without cookies."""

    gateway: Gateway
    http: httpx2.AsyncClient

    @property
    def origin(self) -> str:
        return self.gateway.url

    def at(self, *place: str) -> str:
        return self.gateway.at(*place)

    @asynccontextmanager
    async def browser(self, name: str = "") -> AsyncIterator[httpx2.AsyncClient]:
        """What a browser does, as far as HTTP goes: cookies, and forms sent from the gateway's pages. Signed in."""
        async with httpx2.AsyncClient(base_url=self.origin, headers=OURS, timeout=60) as opened:
            if name:
                assert (await signed_in(opened, name)).status_code == 303
            yield opened

    async def registered(self, **said: Any) -> str:
        """Register an app; gives its id."""
        about = {"client_name": "Some App", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
        answer = await self.http.post(f"{self.origin}/register", json={**about, **said})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["client_id"])

    async def asked(self, *place: str, **more: Any) -> Asked:
        """What a newly registered app asks for at an endpoint."""
        return Asked(await self.registered(), self.at(*place), redirect_uri=REDIRECT, **more)

    async def token(self, **form: str) -> httpx2.Response:
        """Ask the token endpoint."""
        return await self.http.post(f"{self.origin}/token", data=form)

    async def tokens(self, browser: httpx2.AsyncClient, asked: Asked, **chosen: str) -> Json:
        """Say yes and redeem the code; what the app is told."""
        answer = await self.token(**asked.form((await allowed(browser, asked, **chosen))["code"]))
        assert answer.status_code == 200, answer.text
        told: Json = answer.json()
        return told

    async def given(self, name: str, *place: str) -> Json:
        """The tokens of a new app that somebody lets in at an endpoint."""
        async with self.browser(name) as browser:
            return await self.tokens(browser, await self.asked(*place))

    async def refresh(self, client: str, refresh: str, **more: str) -> httpx2.Response:
        return await self.token(grant_type="refresh_token", client_id=client, refresh_token=refresh, **more)

    async def heard(self, access: str, *place: str, era: str = "modern", call: bool = False) -> Heard:
        """The answer to one request that brings this token."""
        client = RawClient(self.http, self.at(*place), era, access)
        return await (client.call("tools/call", CALL) if call else client.call("tools/list"))

    async def status(self, access: str, *place: str) -> int:
        return (await self.heard(access, *place)).status

    async def until(self, status: int, access: str, *place: str, before: int = 200) -> None:
        """Ask until the answer has this status; until then it must have the other."""
        with anyio.fail_after(PATIENCE):
            while (found := await self.status(access, *place)) != status:
                assert found == before

    async def portkey(self, *arguments: object) -> str:
        """Run a command on the gateway's data in a process of its own; gives what it printed. It must succeed."""
        command = [sys.executable, "-m", "portkey_mcp", *map(str, arguments), "--data", str(self.gateway.data)]
        ended = await anyio.run_process(command, cwd=ROOT, stderr=None, env=dict(os.environ))
        return ended.stdout.decode().strip()


@dataclass
class House(Home):
    """Everything."""

    upstream: RawUpstream


async def signed_in(browser: httpx2.AsyncClient, name: str, password: str = PASSWORD) -> httpx2.Response:
    """Send the sign-in form."""
    return await browser.post("/ui/sign-in", data={"email": f"{name}@example.com", "password": password})


async def page_of(browser: httpx2.AsyncClient, asked: Asked) -> dict[str, str]:
    """Open the consent page; gives the hidden fields of its form."""
    page = await browser.get(asked.path())
    assert page.status_code == 200, f"{page.status_code} {page.headers.get('location')} {page.text}"
    return hidden(page.text)


def hidden(page: str) -> dict[str, str]:
    return {name: html.unescape(value) for name, value in re.findall(r'name="(query|ticket)" value="([^"]+)"', page)}


async def allowed(browser: httpx2.AsyncClient, asked: Asked, **chosen: str) -> dict[str, str]:
    """Say yes on the consent page; gives what the app is sent."""
    form = {**await page_of(browser, asked), "decision": "allow", **chosen}
    return sent_back(await browser.post("/authorize", data=form), asked.redirect_uri)


def sent_back(answer: httpx2.Response, redirect_uri: str) -> dict[str, str]:
    """What a redirect tells the app; it must lead to the app."""
    assert answer.status_code in (302, 303), answer.text
    there = answer.headers["location"]
    assert there.startswith(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}"), there
    return dict(parse_qsl(urlsplit(there).query))


async def agree(person: Browser, url: str, name: str = "ada", workspace: str = "") -> None:
    """What a person does in a real browser: sign in where that is asked, choose a workspace, and allow."""
    await person.visit(url)
    if await person.page.locator("input[name=password]").count():
        await person.sign_in(f"{name}@example.com", PASSWORD)
    if workspace:
        await person.page.locator(f"input[name=choice][value={workspace}]").check()
    await person.press("Allow")


async def settle(data: Path) -> None:
    """Make the workspaces and the people."""
    database = await Database.open(data)
    try:
        registry, identity = Registry(database, KeyRing.of(data)), Identity(database)
        for slug in ("blue", "red"):
            await registry.add_workspace(slug)
        password = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
        people = identity.people
        await people.add("ada@example.com", "Ada", workspace="blue", role="admin", password=password)
        await people.add("ada@example.com", workspace="red")
        await people.add("bob@example.com", "Bob", workspace="blue", password=password)
        await people.add("eve@example.com", "Eve", workspace="red", role="owner", password=password)
    finally:
        await database.close()


def written(upstream: str, policy: Json | None = None, **gateway: Any) -> str:
    """The text of the `portkey.yaml`; `policy` is that of `blue`."""
    server = {"url": upstream}
    blue, red = {"servers": {"files": server, "notes": server}}, {"servers": {"mail": server}}
    blue |= {"policy": policy} if policy else {}
    return document({"blue": blue, "red": red}, **gateway)


@asynccontextmanager
async def upstream_of_all() -> AsyncIterator[RawUpstream]:
    """The one upstream."""
    async with raw_upstream("legacy") as upstream:
        script = Plain(tools=[tool("echo", inputSchema=SAYING)])
        upstream.script, upstream.told = script, script.told
        yield upstream


@asynccontextmanager
async def house(data: Path, said: Mapping[str, Any] | None = None, **settings: Any) -> AsyncIterator[House]:
    """Run everything until the block ends. `said` are members of `gateway:` in the file."""
    if not is_there(data):
        await settle(data)
    async with (
        upstream_of_all() as upstream,
        raw_http() as http,
        gateway(written(upstream.url, **(said or {})), data, **settings) as running,
    ):
        yield House(running, http, upstream)


def is_there(data: Path) -> bool:
    """Whether an earlier run left a database."""
    return data.exists()


def read(response: httpx2.Response) -> Json:
    """A JSON object."""
    found: Json = json.loads(response.content)
    return found
