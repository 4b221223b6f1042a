"""The table of calls is what its migration makes, and is read by workspace and time."""

import pytest
from sqlalchemy import inspect, text

from portkey_mcp.activity.tables import CallRow
from portkey_mcp.storage.database import Database

pytestmark = pytest.mark.anyio


async def test_the_database_has_the_columns_that_the_table_names(database: Database) -> None:
    async with database.read() as session:
        columns = await session.run_sync(lambda sync: inspect(sync.connection()).get_columns("calls"))
    assert {column["name"] for column in columns} == set(CallRow.__table__.columns.keys())


async def test_reading_a_workspace_by_time_uses_the_index_and_sorts_nothing(database: Database) -> None:
    query = "EXPLAIN QUERY PLAN SELECT * FROM calls WHERE workspace = 'demo' AND at >= '2026' ORDER BY at, id LIMIT 9"
    async with database.read() as session:
        plan = " ".join(row.detail for row in await session.execute(text(query)))
    assert "ix_calls_workspace" in plan
    assert "TEMP B-TREE" not in plan


async def test_no_column_could_hold_arguments_or_a_result() -> None:
    assert not {"arguments", "args", "result", "params", "body"} & set(CallRow.__table__.columns.keys())
