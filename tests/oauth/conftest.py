"""An OAuth server on a real database, with people in two workspaces, reached over ASGI as clients and browsers do."""

import base64
import hashlib
import html
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from portkey_mcp.activity.acts import Act
from portkey_mcp.addresses import Addresses
from portkey_mcp.dashboard import apps, consent, front, sign_in
from portkey_mcp.dashboard.pages import Site
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.egress import Egress
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.identity.passwords import Passwords
from portkey_mcp.identity.sessions import BrowserSessions
from portkey_mcp.model import Directory, McpServer, Principal, Workspace
from portkey_mcp.oauth import endpoints, published_keys
from portkey_mcp.oauth.authorizing import Authorizing
from portkey_mcp.oauth.documents import ClientDocuments
from portkey_mcp.oauth.grants import Grants
from portkey_mcp.oauth.issuing import Issued, Issuing
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.server import OAuthServer
from portkey_mcp.oauth.token_endpoint import Assert, Request
from portkey_mcp.oauth.tokens import Tokens
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Trust
from portkey_mcp.vault.signing import SigningKeys

BASE = "https://gw.example"
PASSWORD = "a fine long password"
REDIRECT = "https://app.example/callback"
FILES = McpServer("demo", "files", "stdio", command=("x",), title="Files & Co")
DIRECTORY = Directory(
    {"demo": Workspace("demo", "Demo & Co", {"files": FILES}, {}), "other": Workspace("other", "Other", {}, {})},
    hosts={"files.example": "demo/files", "keys.example": "demo/files"},
    key_hosts=frozenset({"keys.example"}),
)
OURS = {"sec-fetch-site": "same-origin"}
"""What a browser says of a form on the gateway's own page."""


@dataclass
class House:
    """Everything a test of the OAuth server needs. Change `trust` and `directory` at will; `acts` are those noted."""

    database: Database
    identity: Identity
    keyring: KeyRing
    base: str = BASE
    trust: Trust = field(default_factory=Trust)
    directory: Directory = DIRECTORY
    acts: list[Act] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)
    """What comes before a client can use an endpoint, by reach."""
    assertions: Assert | None = None
    """What exchanges assertions; None where nothing does."""

    def __post_init__(self) -> None:
        self.sessions = BrowserSessions(self.database)
        documents = ClientDocuments(Egress(), terms=lambda: self.trust.terms)
        self.server = OAuthServer.of(
            self.database,
            self.identity.people,
            documents,
            Addresses(self.base),
            trust=lambda: self.trust,
            directory=lambda: self.directory,
            address_of=lambda scope: "198.51.100.7",
            note=self.acts.append,
        )
        self.identity.accept(self.server.tokens.verify)

    def app(self) -> FastAPI:
        site = Site(self.server.addresses, lambda: self.directory, None, self.server.address_of)
        signed_in = SignedIn(self.sessions, self.identity, site.origin)
        app = FastAPI()

        async def next_step(_: Principal, reach: str) -> str:
            return self.steps.get(reach, "")

        async def assertions(request: Request) -> Issued:
            if self.assertions is None:
                raise OAuthRefusal("unsupported_grant_type", "none here")
            return await self.assertions(request)

        app.include_router(consent.router(site, signed_in, Authorizing(self.server, next_step), self.keyring))
        app.include_router(published_keys.router(self.server, SigningKeys(self.database, self.keyring).published))
        app.include_router(endpoints.router(self.server, assertions))
        app.include_router(sign_in.router(site, signed_in, self.identity))
        app.include_router(front.router(site, signed_in, self.server.grants))
        app.include_router(apps.router(site, signed_in, self.server))
        return app

    def browser(self, origin: str | None = None) -> httpx2.AsyncClient:
        """Keeps cookies; says nothing of where its requests come from: pass `headers=OURS` with a form."""
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app()), base_url=origin or self.base)

    @asynccontextmanager
    async def signed_in(self, name: str = "ada") -> AsyncIterator[httpx2.AsyncClient]:
        """A browser in which somebody is signed in."""
        async with self.browser() as browser:
            form = {"email": f"{name}@example.com", "password": PASSWORD}
            answer = await browser.post("/ui/sign-in", data=form, headers=OURS)
            assert answer.status_code == 303, answer.text
            yield browser

    async def registered(self, browser: httpx2.AsyncClient, **said: object) -> str:
        """A client that registered itself; returns its id."""
        whole = {"client_name": "Some App", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", **said}
        answer = await browser.post("/register", json=whole)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["client_id"])

    def later(self, **moved: float) -> OAuthServer:
        """The OAuth server of another process, whose clock goes as much ahead as a `timedelta` of this."""

        def now() -> datetime:
            return datetime.now(UTC) + timedelta(**moved)

        grants = Grants(self.database, now)
        issuing = Issuing(self.database, grants, lambda: self.trust.terms, now)
        return replace(
            self.server, grants=grants, issuing=issuing, tokens=Tokens(issuing, grants, self.identity.people, now)
        )

    async def principal(self, access: str) -> Principal:
        """Who comes with an access token."""
        return await self.identity.authenticate({"authorization": f"Bearer {access}"})


@dataclass
class Asked:
    """One authorization request, and the verifier that only its client knows."""

    client: str
    resource: str | None = f"{BASE}/demo/files/mcp"
    redirect_uri: str = REDIRECT
    scope: str | None = "mcp:read mcp:call"
    state: str = "a state"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    more: dict[str, str] = field(default_factory=dict)

    @property
    def challenge(self) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()

    def path(self) -> str:
        parameters = {
            "response_type": "code",
            "client_id": self.client,
            "redirect_uri": self.redirect_uri,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            "state": self.state,
            "resource": self.resource,
            "scope": self.scope,
            **self.more,
        }
        return "/authorize?" + urlencode({name: value for name, value in parameters.items() if value})

    def form(self, code: str, **more: str) -> dict[str, str]:
        """What the client sends to the token endpoint."""
        form = {"grant_type": "authorization_code", "code": code, "client_id": self.client}
        return {**form, "redirect_uri": self.redirect_uri, "code_verifier": self.verifier, **more}


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of the consent page."""
    return {name: html.unescape(value) for name, value in re.findall(r'name="(query|ticket)" value="([^"]+)"', page)}


def answer_of(response: httpx2.Response) -> dict[str, str]:
    """What a redirect to the client says."""
    assert response.status_code in (302, 303), response.text
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()}


async def allowed(browser: httpx2.AsyncClient, asked: Asked, **form: str) -> dict[str, str]:
    """Say yes on the consent page, unless that is remembered; what the client is then told."""
    page = await browser.get(asked.path())
    if page.status_code == 302:
        return answer_of(page)
    assert page.status_code == 200, page.text
    chosen = {**hidden(page.text), "decision": "allow", **form}
    return answer_of(await browser.post("/authorize", data=chosen, headers=OURS))


async def tokens(browser: httpx2.AsyncClient, asked: Asked, **form: str) -> dict[str, str]:
    """Say yes, and have the client redeem its code."""
    code = (await allowed(browser, asked))["code"]
    answer = await browser.post("/token", data=asked.form(code, **form))
    assert answer.status_code == 200, answer.text
    told: dict[str, str] = answer.json()
    return told


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Ada is an admin of `demo` and a member of `other`, Bob a member of `demo`, Eve an owner of `other`."""
    database, keyring = await Database.open(tmp_path), KeyRing.generate()
    for slug in ("demo", "other"):
        await Registry(database, keyring).add_workspace(slug)
    identity = Identity(database)
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    identity.passwords = Passwords(database, identity.people, cheap)
    password = await identity.passwords.hashed(PASSWORD)
    await identity.people.add("ada@example.com", "Ada", workspace="demo", role="admin", password=password)
    await identity.people.add("ada@example.com", workspace="other")
    await identity.people.add("bob@example.com", "Bob", workspace="demo", password=password)
    await identity.people.add("eve@example.com", "Eve", workspace="other", role="owner", password=password)
    yield House(database, identity, keyring)
    await database.close()
