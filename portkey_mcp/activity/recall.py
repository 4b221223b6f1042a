"""Reads the record of calls back, page by page: as long as it may be, little of it is in memory."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, Select, select, tuple_

from portkey_mcp.activity.record import CallRecord
from portkey_mcp.activity.tables import CallRow
from portkey_mcp.storage.database import Database

PAGE: Final = 2000
"""Rows read at once, in a transaction of their own: a long replay holds no reader open."""

_COLUMNS: Final = tuple(getattr(CallRow, name) for name in CallRecord._fields)


async def recent(
    database: Database, workspace: str, days: float, *, now: datetime, page: int = PAGE
) -> AsyncIterator[CallRecord]:
    """The calls of a workspace that began in the `days` before `now`, the oldest first.

    What is recorded while this reads may come or not.
    """
    calls = select(CallRow.id, *_COLUMNS).filter_by(workspace=workspace).order_by(CallRow.at, CallRow.id).limit(page)
    query = calls.where(CallRow.at >= now - timedelta(days=days), CallRow.at <= now)
    while rows := await _page(database, query):
        for row in rows:
            yield _record(row)
        last = rows[-1]
        query = calls.where(tuple_(CallRow.at, CallRow.id) > (last.at, last.id), CallRow.at <= now)


async def _page(database: Database, query: Select[Any]) -> list[Row[Any]]:
    async with database.read() as session:
        return list(await session.execute(query))


def _record(row: Row[Any]) -> CallRecord:
    found = CallRecord._make(row[1:])
    return found._replace(groups=tuple(found.groups))
