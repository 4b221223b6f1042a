"""A whole gateway on upstreams in memory: one workspace, its servers, and calls to it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import TaskGroup

from portkey_mcp.gateway.bridge.parked import Parking
from portkey_mcp.gateway.bridge.way import Way
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.catalogue import Catalogue
from portkey_mcp.gateway.corridor import Corridor
from portkey_mcp.gateway.lane import Lane
from portkey_mcp.gateway.means import Means
from portkey_mcp.gateway.schemas import Schemas
from portkey_mcp.gateway.session import Session, Sessions
from portkey_mcp.gateway.snapshots import Snapshots
from portkey_mcp.gateway.visible import NO_PINS, Pins
from portkey_mcp.model import Bundle, Endpoint, Era, Principal, Visit, Workspace
from portkey_mcp.policy.decide import Rules
from portkey_mcp.policy.document import Policy, parse
from portkey_mcp.policy.match import compile_pattern
from portkey_mcp.sealing import KeyRing
from portkey_mcp.telemetry.spans import SILENT
from portkey_mcp.wire import Json
from tests.gateway.memory_link import Client, MemoryLink, Upstreams

ADA = Principal("ada", "Ada", "person", {"team": "member"})
BOB = Principal("bob", "Bob", "person", {"team": "member"})
EVE = Principal("eve", "Eve", "person", {"elsewhere": "owner"})

FORM: Json = {"elicitation": {}}
"""Capabilities of a client that can be asked by a form."""

PROTOCOL_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
LEVEL_KEY = "io.modelcontextprotocol/logLevel"


def hiding(*patterns: str) -> Policy:
    """A policy that hides what these patterns are about."""
    return parse({"version": 1, "rules": [{"match": list(patterns), "enabled": False}]} if patterns else {})


def envelope(capabilities: Json | None = None, **more: Any) -> Json:
    """The `_meta` of a modern request."""
    return {PROTOCOL_KEY: "2026-07-28", CAPABILITIES_KEY: capabilities or {}, **more}


def way_of(link: MemoryLink, method: str, params: Json | None, client: Client, era: Era = "legacy", **more: Any) -> Way:
    """One request on its way to a link, for the bridges."""
    given: dict[str, Any] = {
        "version": "2025-11-25" if era == "legacy" else "2026-07-28",
        "capabilities": {},
        "client_info": {"name": "test", "version": "1"},
        **more,
    }
    besides = {name: given.pop(name) for name in ("headers", "inject", "noted") if name in given}
    timeout = given.pop("timeout", 5.0)
    principal = Principal(given.pop("principal", ADA.id), "Somebody", "person", {"team": "member"})
    visit = Visit(principal, Endpoint("server", Workspace("team", "Team", {}, {}), link.server.name))
    call = Call(visit=visit, id=1, method=method, params=params, era=era, **given)
    return Way(call, link, client, timeout, **besides)


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """The gateway's parts, made as app.py makes them."""

    upstreams: Upstreams
    workspace: Workspace
    means: Means
    snapshots: Snapshots
    corridor: Corridor
    sessions: Sessions
    tasks: TaskGroup
    clock: Clock

    def visit(self, at: str = "alpha", principal: Principal = ADA) -> Visit:
        """A visit to a server, a bundle, or, with an empty name, the hub."""
        kind: Any = "hub" if not at else "server" if at in self.workspace.servers else "bundle"
        return Visit(principal, Endpoint(kind, self.workspace, at))

    def call(
        self,
        method: str,
        params: Json | None = None,
        *,
        at: str = "alpha",
        era: Era = "modern",
        principal: Principal = ADA,
        capabilities: Json | None = None,
        session: Session | None = None,
        **more: Any,
    ) -> Call:
        """One request; a modern one gets its envelope."""
        declared = capabilities or {}
        if era == "modern":
            params = {"_meta": envelope(declared), **(params or {})}
        return Call(
            visit=self.visit(at, principal),
            id=more.pop("id", 1),
            method=method,
            params=params,
            era=era,
            version="2026-07-28" if era == "modern" else "2025-11-25",
            capabilities=declared,
            session=session,
            live=self.sessions.live(session) if session else None,
            **more,
        )

    async def answer(
        self, method: str, params: Json | None = None, *, client: Client | None = None, **more: Any
    ) -> Json:
        """The outcome of one request: `{"result": …}` or `{"error": …}`."""
        with anyio.fail_after(10):
            return await self.corridor.answer(self.call(method, params, **more), client or Client())

    def shake_hands(self, at: str = "alpha", principal: Principal = ADA, capabilities: Json | None = None) -> Session:
        """A legacy client's session."""
        ident = f"session-{principal.id}-{at}"
        return self.sessions.mint(self.visit(at, principal), ident, "2025-11-25", capabilities or {}, {"name": "test"})

    def lane(self, call: Call, at: str = "alpha", *chosen: str) -> Lane:
        """One server for one call."""
        rules = Rules(self.workspace.policy or parse({}))
        patterns = tuple(compile_pattern(text) for text in chosen) or None
        return Lane(self.means, self.workspace.servers[at], call, rules, patterns)


@asynccontextmanager
async def house(
    *links: MemoryLink,
    hidden: Sequence[str] = (),
    bundles: Sequence[Bundle] = (),
    timeout: float = 5.0,
    policy: Policy | None = None,
    pins: Pins = NO_PINS,
) -> AsyncIterator[House]:
    """Open a gateway on these upstreams; `policy`, or one that hides `hidden`."""
    upstreams = Upstreams({link.server.name: link for link in links})
    workspace = Workspace(
        slug="team",
        name="The team",
        servers={link.server.name: link.server for link in links},
        bundles={bundle.name: bundle for bundle in bundles},
        policy=hiding(*hidden) if hidden else policy,
    )
    keyring = KeyRing.generate()
    async with anyio.create_task_group() as tasks:
        clock = Clock()
        catalogue = Catalogue(clock)
        means = Means(upstreams, keyring, Parking(keyring, tasks), Schemas(), SILENT, timeout, catalogue, pins=pins)
        snapshots = Snapshots(tasks, catalogue.freshness, clock)
        sessions = Sessions(keyring, days=30)
        yield House(upstreams, workspace, means, snapshots, Corridor(means, snapshots), sessions, tasks, clock)
        tasks.cancel_scope.cancel()
