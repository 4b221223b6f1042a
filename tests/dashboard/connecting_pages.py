"""The pages on which accounts are connected, with people who sign in, over ASGI, and a real authorization server.

Ada is an admin of `demo`, Bob and Cem are members of it, Eve is an owner of `other`.
"""

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
from argon2 import PasswordHasher
from fastapi import FastAPI

from portkey_mcp.activity.acts import Act
from portkey_mcp.addresses import Addresses
from portkey_mcp.dashboard import accounts, connect, consent, front, sign_in
from portkey_mcp.dashboard.pages import Site, files
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.egress import Egress
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.identity.passwords import Passwords
from portkey_mcp.identity.sessions import BrowserSessions
from portkey_mcp.model import Principal
from portkey_mcp.oauth import endpoints
from portkey_mcp.oauth.authorizing import Authorizing
from portkey_mcp.oauth.documents import ClientDocuments
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.server import OAuthServer
from portkey_mcp.trust import Trust
from portkey_mcp.vault.asked import ConnectLinks
from tests.oauth.conftest import OURS, PASSWORD
from tests.vault.connecting_house import BASE, CODE, House, house_at

LINEAR = "/connect/demo/linear"


@dataclass
class Pages:
    """Everything a test of these pages needs. `acts` are those that were noted."""

    vault: House
    identity: Identity
    base: str = BASE
    acts: list[Act] = field(default_factory=list)

    def who(self, name: str) -> Principal:
        found = self.identity.people.named(f"{name}@example.com")
        assert found is not None
        return found

    @property
    def links(self) -> ConnectLinks:
        return ConnectLinks(self.vault.keyring, Addresses(self.base))

    def app(self, local: Principal | None = None) -> FastAPI:
        """One process of the gateway; each call makes another one on the same database."""
        addresses, database, trust = Addresses(self.base), self.vault.database, Trust()
        site = Site(addresses, lambda: self.vault.directory, local, lambda scope: "198.51.100.7")
        signed_in = SignedIn(BrowserSessions(database), self.identity, site.origin)
        oauth = OAuthServer.of(
            database,
            self.identity.people,
            ClientDocuments(Egress()),
            addresses,
            lambda: trust,
            site.directory,
            site.address_of,
        )
        connecting, app = self.vault.connecting(), FastAPI()

        async def assertions(_: object) -> None:
            raise OAuthRefusal("unsupported_grant_type", "none here")

        app.include_router(connect.router(site, signed_in, connecting, self.links, self.acts.append))
        app.include_router(accounts.router(site, signed_in, connecting, self.acts.append))
        app.include_router(front.router(site, signed_in, oauth.grants, connecting))
        app.include_router(sign_in.router(site, signed_in, self.identity))
        app.include_router(
            consent.router(site, signed_in, Authorizing(oauth, connecting.next_step), self.vault.keyring)
        )
        app.include_router(endpoints.router(oauth, assertions))  # type: ignore[arg-type]
        app.include_router(files())
        return app

    @asynccontextmanager
    async def browser(self, name: str = "", local: Principal | None = None) -> AsyncIterator[httpx2.AsyncClient]:
        """A browser, in which somebody is signed in where a name is given. Say `headers=OURS` with a form."""
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app(local)), base_url=self.base) as opened:
            if name:
                form = {"email": f"{name}@example.com", "password": PASSWORD}
                answer = await opened.post("/ui/sign-in", data=form, headers=OURS)
                assert answer.status_code == 303, answer.text
            yield opened

    def at_other_process(self, browser: httpx2.AsyncClient, local: Principal | None = None) -> httpx2.AsyncClient:
        """The same browser, whose requests another process of the gateway gets."""
        transport = httpx2.ASGITransport(self.app(local))
        return httpx2.AsyncClient(transport=transport, base_url=self.base, cookies=browser.cookies)


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's form."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in found}


async def sent(browser: httpx2.AsyncClient, path: str = LINEAR) -> dict[str, str]:
    """Press the button of the page; what the authorization server is then asked."""
    page = await browser.get(path)
    assert page.status_code == 200, page.text
    answer = await browser.post(urlsplit(path).path, data=hidden(page.text), headers=OURS)
    assert answer.status_code == 303, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def back(asked: dict[str, str], **params: str) -> str:
    """Where the authorization server sends the browser."""
    return f"/oauth/callback?{urlencode({'code': CODE, 'state': asked['state'], **params})}"


async def connected(browser: httpx2.AsyncClient, path: str = LINEAR) -> httpx2.Response:
    """Connect an account; what the browser gets at its end, before it follows any redirect."""
    return await browser.get(back(await sent(browser, path)))


@asynccontextmanager
async def pages_at(data: Path, base: str = BASE) -> AsyncIterator[Pages]:
    """The pages over a fresh database."""
    async with house_at(data) as vault:
        identity = Identity(vault.database)
        cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        identity.passwords = Passwords(vault.database, identity.people, cheap)
        password = await identity.passwords.hashed(PASSWORD)
        await identity.people.add("ada@example.com", "Ada", workspace="demo", role="admin", password=password)
        await identity.people.add("bob@example.com", "Bob", workspace="demo", password=password)
        await identity.people.add("cem@example.com", "Cem", workspace="demo", password=password)
        await identity.people.add("eve@example.com", "Eve", workspace="other", role="owner", password=password)
        yield Pages(vault, identity, base)
