"""The page of approvals on a real database, with real API keys, reached over ASGI as a browser would."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from portkey_mcp.approval.approvals import Approvals
from portkey_mcp.dashboard.approve import router
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.model import Directory, Endpoint, Principal, Visit, Workspace
from portkey_mcp.policy.decide import Thing
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.wire import Json

ORIGIN = "http://gateway.example"
THING = Thing("tool", "files", "write_file")
WORKSPACE = Workspace("demo", "Demo & Co", {}, {})


@dataclass
class Desk:
    """Everything a test of the page needs."""

    database: Database
    approvals: Approvals
    identity: Identity
    late: timedelta = field(default_factory=timedelta)
    keys: dict[str, str] = field(default_factory=dict)
    whose: dict[str, Principal] = field(default_factory=dict)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.late

    async def key(self, name: str, workspace: str = "demo", role: str = "member") -> None:
        """Make an API key, to be called by its name."""
        self.keys[name] = await self.identity.create_key(workspace, name, role)  # type: ignore[arg-type]
        self.whose[name] = await self.identity.authenticate({"authorization": f"Bearer {self.keys[name]}"})

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
    ) -> httpx2.AsyncClient:
        """A browser that says a request comes from the gateway's own page, unless told otherwise."""
        app = FastAPI()
        directory = Directory({"demo": WORKSPACE})
        app.include_router(
            router(self.approvals, authenticate or self.identity.authenticate, local, lambda: directory, ORIGIN)
        )
        said = {"sec-fetch-site": "same-origin"} if headers is None else headers
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=ORIGIN, headers=dict(said))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database, keyring = await Database.open(tmp_path), KeyRing.generate()
    for slug in ("demo", "other"):
        await Registry(database, keyring).add_workspace(slug)
    made = Desk(database, Approvals(database, keyring), Identity(database))
    made.approvals = Approvals(database, keyring, made.now)
    await made.key("caller")
    yield made
    await database.close()
