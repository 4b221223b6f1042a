"""What records and audit have in common is tried in their own tests; here: what is lost, and that it is told."""

import logging
from typing import Literal

import pytest
from sqlalchemy import select

from portkey_mcp.activity.tables import ActRow
from portkey_mcp.activity.writing import Kind, Writing, instant, storable
from portkey_mcp.storage.database import Database
from tests.activity.calls import NOON

pytestmark = pytest.mark.anyio

COLUMNS = tuple(name for name in (column.name for column in ActRow.__table__.columns) if name != "id")


class Words(Writing[str]):
    """Rows that have nothing but a subject."""

    def values(self, note: str) -> tuple[object, ...]:
        said = {"at": instant(NOON), "subject": note, "detail": "{}"}
        return tuple(said.get(name, "") for name in COLUMNS)


def words(database: Database, lost: Literal["oldest", "newest"]) -> Words:
    return Words(database, Kind(ActRow, COLUMNS, "words", 10, 3, lost))


async def written(database: Database) -> list[str]:
    async with database.read() as session:
        return list(await session.scalars(select(ActRow.subject).order_by(ActRow.id)))


@pytest.mark.parametrize(("lost", "left"), [("oldest", "cde"), ("newest", "abc")])
async def test_of_too_many_the_oldest_or_the_newest_are_lost_and_the_log_says_how_many(
    database: Database, caplog: pytest.LogCaptureFixture, lost: Literal["oldest", "newest"], left: str
) -> None:
    some = words(database, lost)
    for word in "abcde":
        some.wait(word)
    for _ in range(2):
        assert await some.flush()
    assert (await written(database), some.dropped) == (list(left), 2)
    told = [(entry.levelno, entry.getMessage()) for entry in caplog.records]
    assert told == [(logging.WARNING, "2 words were lost: too many waited to be recorded")]


@pytest.mark.parametrize(("lost", "left"), [("oldest", "cde"), ("newest", "abc")])
async def test_what_could_not_be_written_waits_in_its_place(
    database: Database, monkeypatch: pytest.MonkeyPatch, lost: Literal["oldest", "newest"], left: str
) -> None:
    some = words(database, lost)

    async def fail(batch: object) -> None:
        for word in "de":
            some.wait(word)
        raise OSError

    with monkeypatch.context() as failing:
        failing.setattr(some, "_write", fail)
        for word in "abc":
            some.wait(word)
        assert not await some.flush()
    assert await some.flush()
    assert (await written(database), some.dropped) == (list(left), 2)


def test_text_that_no_store_could_hold_is_written_out() -> None:
    assert [storable(text) for text in ("plain", "schön", "a\ud800b")] == ["plain", "schön", "a\\ud800b"]
