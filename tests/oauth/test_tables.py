"""What hangs on a membership or on a grant ends with it, in the database itself."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from portkey_mcp.identity.people import People
from portkey_mcp.oauth.tables import CodeRow, ConsentRow, GrantRow, TokenRow
from portkey_mcp.storage.database import Database
from portkey_mcp.storage.tables import Base
from tests.identity.conftest import database, workspaces

__all__ = ["database", "workspaces"]

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 24, tzinfo=UTC)


async def grant(database: Database, person: str) -> None:
    texts = dict.fromkeys(("client_name", "redirect_host", "resource", "issuer", "address"), "x")
    place = {"person": person, "workspace": "demo", "client": "c", "reach": "demo", "scopes": ["mcp:read"]}
    token = {"grant": "g", "scopes": [], "created": NOW, "expires": NOW}
    async with database.write() as session:
        session.add(GrantRow(id="g", created=NOW, **place, **texts))
        await session.flush()
        session.add(TokenRow(digest="t", kind="access", **token))
        session.add(CodeRow(digest="c", grant="g", redirect_uri="", challenge="", expires=NOW))
        session.add(ConsentRow(redirect_uri="", created=NOW, **place))


async def rows(database: Database) -> list[int]:
    tables: tuple[type[Base], ...] = (GrantRow, TokenRow, CodeRow, ConsentRow)
    async with database.read() as session:
        return [await session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


@pytest.mark.parametrize("how", ["leaves the workspace", "is removed"])
async def test_all_of_a_grant_ends_when_its_person(workspaces: Database, how: str) -> None:
    people = People(workspaces)
    await grant(workspaces, await people.add("ada@example.com", workspace="demo"))
    assert await rows(workspaces) == [1, 1, 1, 1]

    if how == "is removed":
        await people.remove("ada@example.com")
    else:
        await people.leave("ada@example.com", "demo")

    assert await rows(workspaces) == [0, 0, 0, 0]
