"""A database in a directory of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from portkey_mcp.storage.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path)
    yield opened
    await opened.close()
