"""The pages on a real database, with real API keys, people and sessions, reached over ASGI as a browser would."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from portkey_mcp.activity.acts import Act
from portkey_mcp.activity.audit import Audit
from portkey_mcp.addresses import Addresses
from portkey_mcp.approval.approvals import Approvals
from portkey_mcp.dashboard import approve, front, join, sign_in
from portkey_mcp.dashboard.pages import Site
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.egress import Egress
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.identity.invitations import Invitations
from portkey_mcp.identity.passwords import Passwords
from portkey_mcp.identity.sessions import BrowserSessions
from portkey_mcp.model import Directory, Endpoint, Principal, Visit, Workspace
from portkey_mcp.oauth.documents import ClientDocuments
from portkey_mcp.oauth.server import OAuthServer
from portkey_mcp.policy.decide import Thing
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Trust
from portkey_mcp.wire import Json

ORIGIN = "http://gateway.example"
THING = Thing("tool", "files", "write_file")
WORKSPACE = Workspace("demo", "Demo & Co", {}, {})
DIRECTORY = Directory({"demo": WORKSPACE, "other": Workspace("other", "other", {}, {})})
PASSWORD = "a fine long password"


@dataclass
class Desk:
    """Everything a test of the pages needs. `late` moves every clock, of the passwords too."""

    database: Database
    approvals: Approvals
    identity: Identity
    sessions: BrowserSessions
    audit: Audit
    late: timedelta = field(default_factory=timedelta)
    keys: dict[str, str] = field(default_factory=dict)
    whose: dict[str, Principal] = field(default_factory=dict)
    trust: Trust = field(default_factory=Trust)
    acts: list[Act] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.late

    async def key(self, name: str, workspace: str = "demo", role: str = "member") -> None:
        """Make an API key, to be called by its name."""
        self.keys[name] = await self.identity.create_key(workspace, name, role)  # type: ignore[arg-type]
        self.whose[name] = await self.identity.authenticate({"authorization": f"Bearer {self.keys[name]}"})

    async def person(self, name: str, workspace: str | None = "demo", role: str = "member", shown: str = "") -> None:
        """Make a person with the one password, to be called by a name."""
        hashed, email = await self.identity.passwords.hashed(PASSWORD), f"{name}@example.com"
        shown = shown or name.title()
        await self.identity.people.add(email, shown, workspace=workspace, role=role, password=hashed)  # type: ignore[arg-type]
        found = self.identity.people.named(email)
        assert found is not None
        self.whose[name] = found

    async def sign_in(self, browser: httpx2.AsyncClient, name: str, **more: str) -> httpx2.Response:
        """Sign a person in, by the form."""
        data = {"email": f"{name}@example.com", "password": PASSWORD, **more}
        return await browser.post("/ui/sign-in", data=data)

    async def ask(self, params: Json | None = None, thing: Thing = THING, who: str = "caller") -> str:
        """Ask about a call that a key's bearer made; returns the path of its page."""
        visit = Visit(self.whose[who], Endpoint("hub", WORKSPACE))
        asked = await self.approvals.ask(visit, thing, params or {"arguments": {"path": "/a"}}, via="page")
        return f"/ui/approve/{asked.id}"

    async def claim(self, params: Json | None = None, thing: Thing = THING) -> str | None:
        """What the call would get when it comes again."""
        visit = Visit(self.whose["caller"], Endpoint("hub", WORKSPACE))
        return await self.approvals.claim(visit, thing, params or {"arguments": {"path": "/a"}})

    def browser(
        self,
        local: Principal | None = None,
        headers: Mapping[str, str] | None = None,
        authenticate: Callable[[Mapping[str, str]], Awaitable[Principal]] | None = None,
        origin: str = ORIGIN,
        address: str = "10.0.0.1",
    ) -> httpx2.AsyncClient:
        """A browser that says a request comes from the gateway's own page, unless told otherwise."""
        app = FastAPI()
        signed_in = SignedIn(self.sessions, self.identity, origin)
        authenticate = authenticate or self.identity.authenticate
        addresses, trust = Addresses(origin), Trust()
        site = Site(addresses, lambda: DIRECTORY, local, lambda scope: address)
        oauth = OAuthServer.of(
            self.database,
            self.identity.people,
            ClientDocuments(Egress()),
            addresses,
            lambda: trust,
            site.directory,
            site.address_of,
        )
        app.include_router(approve.router(site, self.approvals, authenticate, signed_in))
        app.include_router(sign_in.router(site, signed_in, self.identity))
        app.include_router(join.router(site, signed_in, self.identity, lambda: self.trust, self.acts.append))
        app.include_router(sign_in.router(site, signed_in, self.identity, note=self.audit.note))
        app.include_router(front.router(site, signed_in, oauth.grants))
        said = {"sec-fetch-site": "same-origin"} if headers is None else headers
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=origin, headers=dict(said))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database, keyring = await Database.open(tmp_path), KeyRing.generate()
    for slug in ("demo", "other"):
        await Registry(database, keyring).add_workspace(slug)
    identity = Identity(database)

    def now() -> datetime:
        return made.now()

    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    identity.passwords = Passwords(database, identity.people, cheap, lambda: made.late.total_seconds())
    identity.invitations = Invitations(database, identity.people, now)
    made = Desk(database, Approvals(database, keyring, now), identity, BrowserSessions(database, now))
    approvals, sessions = Approvals(database, keyring, now), BrowserSessions(database, now)
    made = Desk(database, approvals, identity, sessions, Audit(database, now=now))
    await made.key("caller")
    yield made
    await database.close()
