"""A database with two workspaces, `demo` and `other`."""

import pytest

from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from tests.storage.conftest import database

__all__ = ["database"]


@pytest.fixture
async def workspaces(database: Database) -> Database:
    registry = Registry(database, KeyRing.generate())
    await registry.add_workspace("demo")
    await registry.add_workspace("other")
    return database
