"""Readers never wait, writers never fail half way, and every write is noticed everywhere."""

from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
from sqlalchemy import select, text

from portkey_mcp.registry.tables import ServerRow, WorkspaceRow
from portkey_mcp.storage.database import Database

pytestmark = pytest.mark.anyio


def workspace(slug: str) -> WorkspaceRow:
    return WorkspaceRow(slug=slug, name=slug, origin="cli")


async def slugs(database: Database) -> list[str]:
    async with database.read() as session:
        return list(await session.scalars(select(WorkspaceRow.slug).order_by(WorkspaceRow.slug)))


async def test_a_write_is_committed_whole_and_counted(database: Database) -> None:
    async with database.write() as session:
        session.add_all([workspace("one"), workspace("two")])
    assert await slugs(database) == ["one", "two"]
    assert await database.revision() == 1


async def test_a_write_that_raises_changes_nothing_not_even_the_revision(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as session:
            session.add(workspace("one"))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await slugs(database) == []
    assert await database.revision() == 0


async def test_a_quiet_write_is_not_counted(database: Database) -> None:
    async with database.write(announce=False) as session:
        session.add(workspace("one"))
    assert await slugs(database) == ["one"]
    assert await database.revision() == 0


async def test_a_reader_sees_one_moment_while_somebody_writes(database: Database) -> None:
    async with database.read() as session:
        assert list(await session.scalars(select(WorkspaceRow.slug))) == []
        async with database.write() as writing:
            writing.add(workspace("one"))
        assert list(await session.scalars(select(WorkspaceRow.slug))) == []
    assert await slugs(database) == ["one"]


async def test_many_writers_of_two_gateways_all_succeed(database: Database, tmp_path: Path) -> None:
    other = await Database.open(tmp_path)

    async def add(to: Database, slug: str) -> None:
        async with to.write() as session:
            await session.execute(select(WorkspaceRow.slug))  # a read first must not make the write fail
            session.add(workspace(slug))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(add, database if number % 2 else other, f"w{number:02}")
    assert len(await slugs(database)) == 20
    assert await other.revision() == 20
    await other.close()


async def test_connections_are_set_as_promised(database: Database) -> None:
    async with database.read() as session:
        found = [
            (await session.scalar(text(f"PRAGMA {name}"))) for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
        assert found == ["wal", 1, 1]
        assert await session.scalar(text("PRAGMA busy_timeout")) == 5000


async def test_what_belongs_to_a_workspace_goes_with_it(database: Database) -> None:
    row = {"transport": "http", "url": "", "command": [], "env": {}, "cwd": "", "headers": {}, "protocol": "auto"}
    async with database.write() as session:
        session.add(workspace("one"))
        await session.flush()
        session.add(ServerRow(workspace="one", name="a", process="shared", title="", enabled=True, origin="cli", **row))
    async with database.write() as session:
        await session.delete(await session.get(WorkspaceRow, "one"))
    async with database.read() as session:
        assert (await session.scalars(select(ServerRow))).all() == []


async def test_own_writes_are_noticed_at_once_and_foreign_ones_by_asking(database: Database, tmp_path: Path) -> None:
    other = await Database.open(tmp_path)
    with anyio.fail_after(30):
        async with aclosing(database.revisions(every=3600)) as own, aclosing(other.revisions(every=0.01)) as foreign:
            assert (await anext(own), await anext(foreign)) == (0, 0)
            async with database.write() as session:
                session.add(workspace("one"))
            assert (await anext(own), await anext(foreign)) == (1, 1)
    await other.close()


async def test_a_write_wakes_whoever_waits_already(database: Database) -> None:
    seen: list[int] = []
    first, second = anyio.Event(), anyio.Event()

    async def follow() -> None:
        async for revision in database.revisions(every=3600):
            seen.append(revision)
            (second if revision else first).set()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            await first.wait()
            async with database.write() as session:
                session.add(workspace("one"))
            await second.wait()
            tasks.cancel_scope.cancel()
    assert seen == [0, 1]


async def test_cancellation_waits_for_the_session_and_leaves_nothing_that_hangs(database: Database) -> None:
    for _ in range(200):
        with anyio.CancelScope() as scope:
            scope.cancel()
            async with database.write() as session:
                session.add(workspace("never"))
        with anyio.CancelScope() as scope:
            async with database.read() as session:
                scope.cancel()
                assert list(await session.scalars(select(WorkspaceRow.slug))) == []
    assert await slugs(database) == []


async def test_what_began_to_be_written_is_written_though_cancelled(database: Database) -> None:
    with anyio.CancelScope() as scope:
        async with database.write() as session:
            scope.cancel()
            session.add(workspace("one"))
    assert await slugs(database) == ["one"]
    assert await database.revision() == 1
