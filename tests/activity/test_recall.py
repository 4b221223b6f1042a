"""What was recorded comes back as it was noted, in the order of time, whatever the size of a page."""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from portkey_mcp.activity.recall import recent
from portkey_mcp.activity.record import CallRecord, Record
from portkey_mcp.storage.database import Database
from tests.activity.calls import CALL, NOON, call

pytestmark = pytest.mark.anyio


async def written(database: Database, calls: Iterable[CallRecord]) -> None:
    record = Record(database)
    for one in calls:
        record.note(one)
    assert await record.flush()


async def names(database: Database, days: float = 7, page: int = 2000) -> list[str]:
    return [found.name async for found in recent(database, "demo", days, now=NOON, page=page)]


async def test_a_call_comes_back_as_it_was_noted(database: Database) -> None:
    await written(database, [CALL])
    assert [found async for found in recent(database, "demo", 1, now=NOON)] == [CALL]


async def test_only_the_days_and_the_workspace_asked_for_come_back(database: Database) -> None:
    await written(
        database,
        [
            call(name="old", at=NOON - timedelta(days=8)),
            call(name="other", workspace="elsewhere"),
            call(name="just", at=NOON - timedelta(days=7)),
            call(name="future", at=NOON + timedelta(seconds=1)),
        ],
    )
    assert await names(database) == ["just"]


@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_the_oldest_comes_first_and_no_page_loses_or_repeats_one(database: Database, page: int) -> None:
    moments = [3, 1, 1, 1, 2, 5, 1]
    await written(database, [call(name=f"{m}{i}", at=NOON - timedelta(hours=9 - m)) for i, m in enumerate(moments)])
    assert await names(database, page=page) == ["11", "12", "13", "16", "24", "30", "55"]


async def test_an_empty_record_gives_nothing(database: Database) -> None:
    assert await names(database) == []
