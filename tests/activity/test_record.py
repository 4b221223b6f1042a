"""Notes are cheap and bounded, are written in batches, survive a store that fails, and go when they are old."""

import logging
import sqlite3
from contextlib import closing
from datetime import timedelta

import anyio
import pytest
from sqlalchemy import func, select

from portkey_mcp.activity import writing
from portkey_mcp.activity.record import LONGEST_NAME, Record
from portkey_mcp.activity.tables import CallRow
from portkey_mcp.storage.database import Database
from tests.activity.calls import CALL, NOON, call

pytestmark = pytest.mark.anyio


async def names(database: Database) -> list[str]:
    async with database.read() as session:
        return list(await session.scalars(select(CallRow.name).order_by(CallRow.id)))


async def count(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(CallRow)) or 0


def broken(database: Database) -> None:
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("ALTER TABLE calls RENAME TO mislaid")


def mended(database: Database) -> None:
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("ALTER TABLE mislaid RENAME TO calls")


async def test_a_note_is_written_with_every_column(database: Database) -> None:
    record = Record(database)
    record.note(CALL)
    assert await record.flush()
    async with database.read() as session:
        row = (await session.scalars(select(CallRow))).one()
    assert {column: getattr(row, column) for column in CALL._fields} == {**CALL._asdict(), "groups": ["ops"]}


async def test_the_columns_of_a_record_are_those_of_its_table() -> None:
    assert {"id", *CALL._fields} == set(CallRow.__table__.columns.keys())


async def test_writing_announces_nothing(database: Database) -> None:
    record = Record(database)
    record.note(CALL)
    await record.flush()
    assert await database.revision() == 0


async def test_more_than_a_batch_is_written_whole_and_in_order(database: Database) -> None:
    record = Record(database)
    for number in range(writing.BATCH + 7):
        record.note(call(name=f"tool_{number}"))
    assert await record.flush()
    assert await names(database) == [f"tool_{number}" for number in range(writing.BATCH + 7)]


async def test_it_writes_by_itself_while_it_runs(database: Database) -> None:
    record = Record(database, every=0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(record.run)
        for name in ("one", "two"):
            record.note(call(name=name))
            with anyio.fail_after(20):
                while (await names(database))[-1:] != [name]:
                    await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def test_too_many_notes_drop_the_oldest_and_count_them(database: Database) -> None:
    record = Record(database, most_waiting=3)
    for name in "abcde":
        record.note(call(name=name))
    await record.flush()
    assert (record.dropped, await names(database)) == (2, ["c", "d", "e"])


async def test_a_write_that_fails_keeps_its_batch_and_is_tried_again(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "portkey_mcp.activity.writing")
    record = Record(database)
    broken(database)
    record.note(call(name="secret"))
    assert not await record.flush()
    assert not await record.flush()
    record.note(call(name="later"))
    mended(database)
    assert await record.flush()
    assert await names(database) == ["secret", "later"]
    assert record.dropped == 0
    assert [entry.levelname for entry in caplog.records] == ["WARNING", "INFO"]
    assert "secret" not in caplog.text


async def test_what_is_put_back_makes_no_room_for_itself(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record(database, most_waiting=3)

    async def fail(batch: object) -> None:
        for name in "de":
            record.note(call(name=name))
        raise OSError

    with monkeypatch.context() as failing:
        failing.setattr(record, "_write", fail)
        for name in "abc":
            record.note(call(name=name))
        assert not await record.flush()
    await record.flush()
    assert (record.dropped, await names(database)) == (2, ["c", "d", "e"])


async def test_being_cancelled_loses_nothing_and_writes_nothing_twice(database: Database) -> None:
    record = Record(database)
    record.note(CALL)
    async with anyio.create_task_group() as tasks, database.write(announce=False):
        tasks.start_soon(record.flush)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    await record.flush()
    assert await count(database) == 1


async def test_text_that_no_store_could_hold_stops_nobody(database: Database) -> None:
    record = Record(database)
    record.note(call(name="a\ud800b"))
    record.note(call(name="ü"))
    record.note(call(name="x" * 5000))
    assert await record.flush()
    assert await names(database) == ["a\\ud800b", "ü", "x" * LONGEST_NAME]


async def test_what_is_old_is_deleted_and_what_is_not_stays(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BATCH", 1)
    record = Record(database, kept_days=30)
    for number in range(120):
        record.note(call(name=f"old_{number}", at=NOON - timedelta(days=31)))
    record.note(call(name="kept", at=NOON - timedelta(days=29)))
    await record.flush()
    assert await record.sweep(NOON) == 120
    assert await names(database) == ["kept"]
    assert await record.sweep(NOON) == 0


async def test_it_sweeps_by_itself_and_a_store_that_fails_does_not_end_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    record = Record(database, every=0)
    broken(database)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(record.run)
        with anyio.fail_after(20):
            while "could not be deleted" not in caplog.text:
                await anyio.lowlevel.checkpoint()
        mended(database)
        record.note(CALL)
        with anyio.fail_after(20):
            while not await count(database):
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
