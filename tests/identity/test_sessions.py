"""Browser sessions: seen once, stored as a digest, over in time, and over everywhere when somebody says so."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest
from sqlalchemy import event, text

from portkey_mcp.errors import StoreDown
from portkey_mcp.identity.sessions import IDLE, KNOWN_FOR, LIFE, LONGEST_AGENT, MOST_EACH, BrowserSessions
from portkey_mcp.identity.tables import BrowserSessionRow, PersonRow
from portkey_mcp.storage.database import FILE, Database

pytestmark = pytest.mark.anyio

BEGAN = datetime(2026, 11, 24, 12, tzinfo=UTC)
MOMENT = timedelta(seconds=1)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = BEGAN

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, time: timedelta) -> None:
        self.time += time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def people(database: Database) -> Database:
    async with database.write() as session:
        for person in ("ann", "bob"):
            session.add(
                PersonRow(
                    id=person,
                    email=f"{person}@example.com",
                    folded=f"{person}@example.com",
                    name=person,
                    password="",
                    origin="cli",
                    created=BEGAN,
                )
            )
    return database


@pytest.fixture
def sessions(people: Database, clock: Clock) -> BrowserSessions:
    return BrowserSessions(people, clock)


async def test_a_session_is_random_and_leads_to_its_person(sessions: BrowserSessions) -> None:
    ann, bob = await sessions.begin("ann", "Firefox", "10.0.0.1"), await sessions.begin("bob", "Chrome", "10.0.0.2")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", ann)
    assert (await sessions.find(ann), await sessions.find(bob)) == ("ann", "bob")
    assert await sessions.begin("ann", "Firefox", "10.0.0.1") != ann


async def test_its_value_is_nowhere_on_disk(sessions: BrowserSessions, people: Database, tmp_path: Path) -> None:
    value = await sessions.begin("ann", "Firefox", "10.0.0.1")
    await people.close()
    assert value.encode() not in (tmp_path / FILE).read_bytes()


@pytest.mark.parametrize("value", ["", "x", "x" * 43, "x" * 44, "x" * 100_000, "\udcff" * 43, "é" * 43])
async def test_what_was_not_handed_out_is_nobodys(sessions: BrowserSessions, value: str) -> None:
    await sessions.begin("ann", "Firefox", "10.0.0.1")
    assert await sessions.find(value) is None
    await sessions.end(value)


async def test_a_value_that_cannot_be_ours_costs_no_look_into_the_database(
    sessions: BrowserSessions, people: Database
) -> None:
    await without_table(people)
    assert await sessions.find("x" * 42) is None
    with pytest.raises(StoreDown):
        await sessions.find("x" * 43)


async def without_table(database: Database) -> None:
    async with database.write() as session:
        await session.execute(text("DROP TABLE browser_sessions"))


async def test_a_session_is_believed_for_seconds_without_asking_the_database(
    sessions: BrowserSessions, people: Database, clock: Clock
) -> None:
    value = await sessions.begin("ann", "Firefox", "10.0.0.1")
    await sessions.find(value)
    await without_table(people)
    clock.pass_(KNOWN_FOR - MOMENT)
    assert await sessions.find(value) == "ann"
    clock.pass_(MOMENT)
    with pytest.raises(StoreDown, match="browser sessions cannot be read or written: no such table"):
        await sessions.find(value)


async def test_it_ends_after_its_life_however_busy(sessions: BrowserSessions, clock: Clock) -> None:
    value = await sessions.begin("ann", "Firefox", "10.0.0.1")
    while clock.time + timedelta(days=1) < BEGAN + LIFE:
        clock.pass_(timedelta(days=1))
        assert await sessions.find(value) == "ann"
    clock.time = BEGAN + LIFE - MOMENT
    assert await sessions.find(value) == "ann"
    clock.pass_(MOMENT)
    assert await sessions.find(value) is None
    assert await sessions.all("ann") == []


async def test_it_ends_when_the_browser_was_not_seen_for_long(sessions: BrowserSessions, clock: Clock) -> None:
    busy, idle = [await sessions.begin("ann", "Firefox", "10.0.0.1") for _ in range(2)]
    for _ in range(2):
        clock.pass_(IDLE - MOMENT)
        assert await sessions.find(busy) == "ann"
    assert await sessions.find(idle) is None
    clock.pass_(IDLE)
    assert await sessions.find(busy) is None


async def test_when_it_was_last_seen_is_written_together_and_outlives_the_process(
    sessions: BrowserSessions, people: Database, clock: Clock, tmp_path: Path
) -> None:
    value = await sessions.begin("ann", "Firefox", "10.0.0.1")
    clock.pass_(IDLE - MOMENT)
    for _ in range(3):
        await sessions.find(value)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        seen = "SELECT last_seen FROM browser_sessions"
        assert connection.execute(seen).fetchone()[0].startswith("2026-11-24 12:00:00")
        revision = await people.revision()
        await sessions.record_use()
        assert connection.execute(seen).fetchone()[0].startswith("2026-12-01 11:59:59")
    assert await people.revision() == revision
    clock.pass_(IDLE - MOMENT)
    assert await BrowserSessions(people, clock).find(value) == "ann"


async def test_what_could_not_be_written_is_written_later_and_never_backwards(
    sessions: BrowserSessions, people: Database, clock: Clock
) -> None:
    value, elsewhere = await sessions.begin("ann", "Firefox", "10.0.0.1"), BrowserSessions(people, clock)
    await sessions.find(value)
    async with people.write() as session:
        await session.execute(text("ALTER TABLE browser_sessions RENAME TO gone"))
    with pytest.raises(StoreDown):
        await sessions.record_use()
    async with people.write() as session:
        await session.execute(text("ALTER TABLE gone RENAME TO browser_sessions"))
    clock.pass_(timedelta(days=1))
    await elsewhere.find(value)
    await elsewhere.record_use()
    await sessions.record_use()
    assert [one.last_seen for one in await BrowserSessions(people, clock).all("ann")] == [clock.time]


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_session_that_was_ended_opens_nothing_in_any_process(
    sessions: BrowserSessions, people: Database, clock: Clock, everywhere: bool
) -> None:
    value, elsewhere = await sessions.begin("ann", "Firefox", "10.0.0.1"), BrowserSessions(people, clock)
    assert await elsewhere.find(value) == await sessions.find(value) == "ann"
    revision = await people.revision()

    await (sessions.end_all("ann") if everywhere else sessions.end(value))

    assert await sessions.find(value) is None
    assert await people.revision() > revision  # upon which the others forget
    elsewhere.forget()
    assert await elsewhere.find(value) is None


async def test_another_process_hears_of_it_by_the_revision(
    sessions: BrowserSessions, people: Database, clock: Clock, tmp_path: Path
) -> None:
    value, other = await sessions.begin("ann", "Firefox", "10.0.0.1"), await Database.open(tmp_path)
    elsewhere = BrowserSessions(other, clock)
    revisions = other.revisions(every=0.01)
    await anext(revisions)
    assert await elsewhere.find(value) == "ann"
    await sessions.end_all("ann")
    with anyio.fail_after(10):
        await anext(revisions)
    elsewhere.forget()
    assert await elsewhere.find(value) is None
    await other.close()


async def test_ending_everywhere_ends_all_of_one_person_only(sessions: BrowserSessions) -> None:
    mine = [await sessions.begin("ann", "Firefox", "10.0.0.1") for _ in range(3)]
    other = await sessions.begin("bob", "Firefox", "10.0.0.1")
    await sessions.end_all("ann")
    assert [await sessions.find(value) for value in [*mine, other]] == [None, None, None, "bob"]


async def test_ending_what_there_is_not_makes_no_gateway_read_anew(sessions: BrowserSessions, people: Database) -> None:
    revision = await people.revision()
    for end in (partial(sessions.end, "x" * 43), partial(sessions.end, ""), partial(sessions.end_all, "ann")):
        await end()
    assert await people.revision() == revision


async def test_a_look_that_a_sign_out_overtakes_is_not_believed_afterwards(people: Database, clock: Clock) -> None:
    value = await BrowserSessions(people, clock).begin("ann", "Firefox", "10.0.0.1")
    ended = [False]

    def at_the_row(row: BrowserSessionRow, _: object) -> None:
        """The look has its row in hand; only then does another process end the session, and this one is told."""
        if not ended[0]:
            ended[0] = True
            with closing(sqlite3.connect(people.path)) as connection, connection:
                connection.execute("DELETE FROM browser_sessions")
            sessions.forget()

    sessions = BrowserSessions(people, clock)
    event.listen(BrowserSessionRow, "load", at_the_row)
    try:
        assert await sessions.find(value) == "ann"
    finally:
        event.remove(BrowserSessionRow, "load", at_the_row)
    assert await sessions.find(value) is None


async def test_a_person_who_is_gone_is_signed_out(sessions: BrowserSessions, people: Database) -> None:
    value = await sessions.begin("ann", "Firefox", "10.0.0.1")
    async with people.write() as session:
        await session.execute(text("DELETE FROM people WHERE id = 'ann'"))
    assert await sessions.find(value) is None


async def test_nobody_is_signed_in_as_one_who_is_not_there(sessions: BrowserSessions) -> None:
    with pytest.raises(StoreDown):
        await sessions.begin("nobody", "Firefox", "10.0.0.1")


async def test_a_person_sees_where_they_are_signed_in_this_browser_first(
    sessions: BrowserSessions, clock: Clock
) -> None:
    await sessions.begin("bob", "Chrome", "10.0.0.9")
    this = await sessions.begin("ann", "Firefox" * 100, "10.0.0.1")
    clock.pass_(timedelta(days=1))
    other = await sessions.begin("ann", "Safari", "10.0.0.2")
    clock.pass_(timedelta(days=1))
    await sessions.find(other)

    first, second = await sessions.all("ann", this)
    assert (first.address, first.created, first.last_seen, first.is_this) == ("10.0.0.1", BEGAN, BEGAN, True)
    assert len(first.agent) == LONGEST_AGENT
    assert (second.agent, second.last_seen, second.is_this) == ("Safari", clock.time, False)
    assert first.id != second.id
    assert not {this, other} & set(map(str, (first, second)))


async def test_one_more_browser_than_may_be_signs_the_one_out_that_was_not_seen_for_the_longest(
    sessions: BrowserSessions, clock: Clock
) -> None:
    values = []
    for _ in range(MOST_EACH + 1):
        values.append(await sessions.begin("ann", "Firefox", "10.0.0.1"))
        clock.pass_(MOMENT)
    assert [await sessions.find(value) is not None for value in values] == [False, *[True] * MOST_EACH]


async def test_tidying_forgets_what_is_over_and_nothing_else(
    sessions: BrowserSessions, people: Database, clock: Clock
) -> None:
    idle, busy = [await sessions.begin("ann", "Firefox", "10.0.0.1") for _ in range(2)]
    clock.pass_(timedelta(days=1))
    await sessions.find(busy)
    clock.pass_(IDLE - timedelta(days=1))
    await sessions.tidy()
    async with people.read() as session:
        assert (await session.execute(text("SELECT count(*) FROM browser_sessions"))).scalar() == 1
    assert (await sessions.find(idle), await sessions.find(busy)) == (None, "ann")
