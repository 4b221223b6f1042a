"""Values at rest are sealed anew without taking anything from whoever writes meanwhile."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text

from portkey_mcp.model import McpServer
from portkey_mcp.registry.registry import SEALED, Registry
from portkey_mcp.registry.tables import SecretRow
from portkey_mcp.sealing import KeyRing, key_file
from portkey_mcp.storage import resealing
from portkey_mcp.storage.database import Database
from portkey_mcp.storage.resealing import Pass, Sealed, held, reseal
from tests.storage.conftest import database

__all__ = ["database"]

pytestmark = pytest.mark.anyio

MANY = 2 * resealing.AT_ONCE + 1


async def rotated(database: Database, many: int) -> tuple[Registry, KeyRing]:
    """A registry with so many secrets of an old key, and a ring with a new one."""
    data = database.path.parent
    registry = Registry(database, KeyRing.of(data))
    await registry.add_workspace("demo")
    secrets = {f"s{number}": f"value {number}" for number in range(many)}
    await registry.add_server(McpServer("demo", "files", "http", url="https://x.example/mcp"), secrets=secrets)
    key_file(data).add()
    return registry, KeyRing.of(data)


async def test_everything_is_sealed_anew_in_small_steps_and_opens_as_before(database: Database) -> None:
    registry, keyring = await rotated(database, MANY)
    passes = [one async for one in reseal(database, keyring, SEALED[0])]
    assert [one.resealed for one in passes] == [50, 100, MANY]
    assert await held(database, SEALED) == {"k2": {"secrets": MANY}}
    assert [await registry.secret("demo", f"s{number}") for number in (0, MANY - 1)] == ["value 0", f"value {MANY - 1}"]
    assert [one async for one in reseal(database, keyring, SEALED[0])] == [Pass("secrets")]


async def test_what_does_not_open_is_counted_and_left_as_it_is(database: Database) -> None:
    registry, keyring = await rotated(database, 3)
    async with database.write() as session:
        await session.execute(text("update secrets set sealed = 'v1.lost.AAAA' where name = 's0'"))
        await session.execute(
            text("update secrets set sealed = (select sealed from secrets where name = 's2') where name = 's1'")
        )
    assert [one async for one in reseal(database, keyring, SEALED[0])] == [Pass("secrets", 1, 2)]
    assert await held(database, SEALED) == {"k2": {"secrets": 1}, "lost": {"secrets": 1}, "k1": {"secrets": 1}}
    assert await registry.secret("demo", "s2") == "value 2"


async def test_what_somebody_writes_meanwhile_stays_theirs(database: Database) -> None:
    registry, keyring = await rotated(database, 2)

    def binding(row: SecretRow) -> str:
        """Between reading and writing a row, somebody else writes it, with the key they know."""
        if row.name == "s0" and not overtaken:
            overtaken.append(row.name)
            sealed = old.seal(b"another", SEALED[0].binding(row))
            with closing(sqlite3.connect(database.path)) as other, other:
                other.execute("update secrets set sealed = ? where name = 's0'", (sealed,))
        return SEALED[0].binding(row)

    overtaken: list[str] = []
    old = KeyRing.parse(key_file(database.path.parent).text().splitlines()[1])
    place = Sealed(SecretRow, binding)
    assert [one async for one in reseal(database, keyring, place)] == [Pass("secrets", 1, 0)]
    assert await registry.secret("demo", "s0") == "another"
    assert await held(database, SEALED) == {"k2": {"secrets": 1}, "k1": {"secrets": 1}}
    assert [one async for one in reseal(database, keyring, place)] == [Pass("secrets", 1, 0)]
    assert await registry.secret("demo", "s0") == "another"
