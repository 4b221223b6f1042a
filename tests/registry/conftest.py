"""A registry on a database of the test's own, with the workspace `demo` in it; its environment is `ENVIRON`."""

import pytest

from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from tests.storage.conftest import database

__all__ = ["database"]

ENVIRON = {"TOKEN": "from-the-environment", "EMPTY": "", "CI_KEY": "ci-" + "k" * 30, "SHORT": "short"}


@pytest.fixture
async def registry(database: Database) -> Registry:
    opened = Registry(database, KeyRing.generate(), ENVIRON)
    await opened.add_workspace("demo", "Demo")
    return opened


@pytest.fixture
async def identity(database: Database) -> Identity:
    return Identity(database)
