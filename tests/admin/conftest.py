"""The API on a real database and counter, with real API keys, reached over ASGI; workspaces `demo` and `other`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from portkey_mcp.activity.acts import Act
from portkey_mcp.activity.audit import Audit
from portkey_mcp.addresses import Addresses
from portkey_mcp.admin.api import router
from portkey_mcp.admin.visiting import Services
from portkey_mcp.approval.approvals import Approvals
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.model import Directory, Endpoint, McpServer, Principal, Visit
from portkey_mcp.oauth.grants import Grants
from portkey_mcp.policy.document import EMPTY, ServerPolicy
from portkey_mcp.registry.definitions import Definitions, digest_of
from portkey_mcp.registry.policies import Policies
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.counters import SqliteCounter
from portkey_mcp.storage.database import Database

ORIGIN = "http://gateway.example"
API = f"{ORIGIN}/api/v1"
SERVERS = ("files", "linear")


@dataclass
class House:
    """Everything a test of the API needs. Keys are called by their names; the bearer of `boss` is an admin of demo."""

    database: Database
    services: Services
    late: timedelta = field(default_factory=timedelta)
    keys: dict[str, str] = field(default_factory=dict)
    whose: dict[str, Principal] = field(default_factory=dict)
    directory: Directory = field(default_factory=Directory)
    acts: list[Act] = field(default_factory=list)
    _apps: dict[Any, FastAPI] = field(default_factory=dict)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.late

    async def key(self, name: str, role: str = "member", workspace: str = "demo") -> None:
        """Make an API key, to be called by its name."""
        identity = self.services.identity
        self.keys[name] = await identity.create_key(workspace, name, role)  # type: ignore[arg-type]
        self.whose[name] = await identity.authenticate({"authorization": f"Bearer {self.keys[name]}"})

    async def person(self, name: str, role: str = "member", workspace: str = "demo", **more: Any) -> str:
        """Make a person with a key of their own, to be called by a name; returns the person's id."""
        identity, email = self.services.identity, f"{name}@example.com"
        ident = await identity.people.add(email, name.title(), workspace=workspace, role=role, **more)  # type: ignore[arg-type]
        self.keys[name] = await identity.create_key(workspace, f"{name}'s", person=email)
        self.whose[name] = await identity.authenticate({"authorization": f"Bearer {self.keys[name]}"})
        return ident

    async def policy(self, text: str) -> int:
        """Put a policy in force, as a person on the command line; returns the version's number."""
        saved = await self.services.policies.save("demo", text, who="cli:ada", why="a test", origin="cli")
        return saved.number

    async def offers(self, server: str, *tools: Mapping[str, Any], held: ServerPolicy | None = None) -> list[str]:
        """Let a server be seen to offer these tools; returns their digests."""
        seen = {str(tool["name"]): (digest_of(dict(tool)), dict(tool)) for tool in tools}
        at = McpServer("demo", server, "http", "http://127.0.0.1:9")
        self.services.definitions.seen(at, held or ServerPolicy(), seen)
        await self.services.definitions.flush()
        return [digest for digest, _ in seen.values()]

    def visit(self, name: str) -> Visit:
        """A key's bearer at the hub of demo."""
        return Visit(self.whose[name], Endpoint("hub", self.directory.workspaces["demo"]))

    def client(
        self,
        key: str | None = "boss",
        *,
        headers: Mapping[str, str] | None = None,
        authenticate: Callable[[Mapping[str, str]], Awaitable[Principal]] | None = None,
        address: str = "",
    ) -> httpx2.AsyncClient:
        """A client of the API that sends this key; None sends none."""
        app = self._app(authenticate or self.services.identity.authenticate, address)
        said = {"authorization": f"Bearer {self.keys.get(key, key)}"} if key is not None else {}
        transport = httpx2.ASGITransport(app)
        return httpx2.AsyncClient(transport=transport, base_url=API, headers={**said, **(headers or {})})

    def _app(self, authenticate: Callable[[Mapping[str, str]], Awaitable[Principal]], address: str) -> FastAPI:
        """The API, made once for all clients that are alike: its routes take longer to make than to answer."""
        place = id(self.services), authenticate, address
        if place not in self._apps:
            app = self._apps[place] = FastAPI()
            about = lambda: self.directory, ORIGIN, lambda scope: address, self.services.audit.note
            app.include_router(router(self.services, authenticate, *about))
        return self._apps[place]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    database, keyring = await Database.open(tmp_path), KeyRing.generate()
    registry = Registry(database, keyring)
    for slug in ("demo", "other"):
        await registry.add_workspace(slug)
    for name in SERVERS:
        await registry.add_server(McpServer("demo", name, "http", "http://127.0.0.1:9"))
    async with SqliteCounter(database.path) as counter:
        made = House(database, None)  # type: ignore[arg-type]
        approvals = Approvals(database, keyring, made.now)
        definitions = Definitions(database)
        await definitions.refresh()
        audit = Audit(database, now=made.now)
        services = registry, Identity(database), Policies(database), definitions, approvals, counter, audit
        made.services = Services(*services, Grants(database), Addresses(ORIGIN), made.acts.append)
        made.directory = await registry.directory()
        assert made.directory.workspaces["demo"].policy == EMPTY
        for name, role in (("boss", "admin"), ("ci", "member"), ("other-ci", "member")):
            await made.key(name, role)
        yield made
    await database.close()


def error_of(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code of an answer that is no success, which is as it must be."""
    said = answer.json()
    assert set(said) == {"error"}
    assert {"code", "message"} <= set(said["error"]) <= {"code", "message", "mistakes"}
    assert said["error"]["message"]
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, said["error"]["code"]
