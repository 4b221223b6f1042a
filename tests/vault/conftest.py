"""A database with two servers, `demo/files` and `demo/search`, connections in it, and a clock that a test moves."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from portkey_mcp.model import McpServer
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.connection import Client, Credential, Endpoint, Place, Tokens
from portkey_mcp.vault.connections import Connections
from tests.vault.renewer import ADA

__all__ = ["ADA"]

BOB: Final = Place("demo", "files", "bob")
SHARED: Final = Place("demo", "search", "")


@dataclass
class Clock:
    """The moment it is; it passes when a test says so."""

    now: datetime = datetime(2026, 7, 28, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Keeping:
    """A database, and connections on it. `credential` makes what is kept there."""

    database: Database
    keyring: KeyRing
    clock: Clock
    connections: Connections

    def credential(self, access: str, *, refresh: str = "r-1", life: float | None = 3600) -> Credential:
        """A credential that is good for so many seconds; None: nobody says for how long."""
        expires = None if life is None else self.clock.now + timedelta(seconds=life)
        return Credential(
            "https://files.example/mcp",
            Tokens(access, expires=expires, refresh=refresh, scopes=("read",)),
            Endpoint("https://as.example", "https://as.example/token", methods=("none",), dpop=("ES256",)),
            Client("me", "client_secret_basic", "s3cret"),
            ("read",),
        )


@pytest.fixture
async def keeping(tmp_path: Path) -> AsyncIterator[Keeping]:
    database, keyring, clock = await Database.open(tmp_path), KeyRing.of(tmp_path), Clock()
    await register(database, keyring)
    yield Keeping(database, keyring, clock, Connections(database, keyring, clock))
    await database.close()


async def register(database: Database, keyring: KeyRing) -> None:
    """Make the workspace and its servers."""
    registry = Registry(database, keyring)
    await registry.add_workspace("demo")
    for name in ("files", "search"):
        await registry.add_server(McpServer("demo", name, "http", url=f"https://{name}.example/mcp"))
