"""A workspace `demo`, somebody who calls there, and a clock that a test moves."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from portkey_mcp.approval.approvals import Approvals
from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database

DEMO = Workspace("demo", "Demo", {}, {})


@dataclass
class Clock:
    """The moment it is; it passes when a test says so."""

    now: datetime = datetime(2026, 7, 28, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass
class House:
    """A database, and approvals on it."""

    database: Database
    keyring: KeyRing
    clock: Clock
    approvals: Approvals


def visit(who: str = "ada", workspace: Workspace = DEMO) -> Visit:
    """A visit of a member of the workspace."""
    return Visit(Principal(who, who.title(), "person", {workspace.slug: "member"}), Endpoint("hub", workspace))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    database, keyring, clock = await Database.open(tmp_path), KeyRing.generate(), Clock()
    await Registry(database, keyring).add_workspace("demo")
    await Registry(database, keyring).add_workspace("other")
    yield House(database, keyring, clock, Approvals(database, keyring, clock))
    await database.close()
