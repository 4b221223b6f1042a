"""Acts are kept with who, from where and why, come back page by page, and hold no more than they may."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import anyio
import pytest
from sqlalchemy import func, select, text

from portkey_mcp.activity.acts import Act
from portkey_mcp.activity.audit import LONGEST, MOST_DETAILS, ActRecord, Audit, Noted, Wanted
from portkey_mcp.activity.tables import ActRow
from portkey_mcp.model import Principal
from portkey_mcp.storage.database import Database
from tests.activity.calls import NOON

pytestmark = pytest.mark.anyio

ADA = Principal("person:1", "Ada", "person", client="claude", email="ada@example.com")
CI = Principal("key:1", "ci", "service")


def at(moment: datetime, database: Database) -> Audit:
    return Audit(database, now=lambda: moment)


async def kept(database: Database, acts: Iterable[Act], moment: datetime = NOON) -> None:
    audit = at(moment, database)
    for act in acts:
        audit.note(act)
    assert await audit.flush()


async def found(database: Database, wanted: Wanted | None = None, **more: int) -> list[Noted]:
    return await Audit(database).recent(wanted or Wanted(), **more)


async def test_an_act_comes_back_as_it_was_noted(database: Database) -> None:
    await kept(
        database,
        [Act("member", ADA, "", "10.0.0.7", "demo", "bob@example.com", "refused", "no", "", {"role": "admin"})],
    )
    [noted] = await found(database)
    assert noted == Noted(
        noted.id,
        NOON,
        "demo",
        "person:1",
        "ada@example.com",
        "10.0.0.7",
        "member",
        "bob@example.com",
        "refused",
        "no",
        "claude",
        {"role": "admin"},
    )


async def test_whoever_only_says_who_they_are_is_never_taken_for_somebody(database: Database) -> None:
    await kept(database, [Act("sign_in", actor="person:1", outcome="refused"), Act("sign_in", CI)])
    assert [(one.actor, one.actor_name) for one in await found(database)] == [("key:1", "ci"), ("", "person:1")]


async def test_the_columns_of_a_record_are_those_of_its_table() -> None:
    assert {"id", *ActRecord._fields} == set(ActRow.__table__.columns.keys())


async def test_text_is_bounded_and_what_no_store_could_hold_stops_nobody(database: Database) -> None:
    many = {f"{number}\ud800": "y" * 5000 for number in range(100)}
    await kept(database, [Act("register", actor="a\ud800b", subject="x" * 5000, why="\x00ü", detail=many)])
    [noted] = await found(database)
    assert (noted.actor_name, noted.subject, noted.why) == ("a\\ud800b", "x" * LONGEST, "\x00ü")
    assert len(noted.detail) == MOST_DETAILS
    assert noted.detail["0\\ud800"] == "y" * LONGEST


async def test_acts_that_wait_are_not_pushed_out_by_later_ones(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    audit = Audit(database, most_waiting=2)
    for subject in "abcd":
        audit.note(Act("member", ADA, subject=subject))
    assert await audit.flush()
    assert [one.subject for one in await found(database)] == ["b", "a"]
    assert "2 acts were lost" in caplog.text


async def test_refusals_that_are_left_out_are_counted_in_the_log(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await kept(database, [Act("sign_in", actor="x", address="10.0.0.1", outcome="refused")] * 50)
    assert len(await found(database)) == 20
    assert "30 refusals of strangers were not recorded" in caplog.text


async def test_a_key_is_told_once_a_day(database: Database) -> None:
    audit = Audit(database, now=lambda: NOON)
    for _ in range(3):
        audit.note(Act("key_used", CI, address="10.0.0.1"))
    await audit.flush()
    assert len(await found(database)) == 1


async def test_it_writes_by_itself_while_it_runs(database: Database) -> None:
    audit = Audit(database, every=0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(audit.run)
        audit.note(Act("sign_in", ADA))
        with anyio.fail_after(20):
            while not await found(database):
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def test_what_is_older_than_its_days_is_deleted(database: Database) -> None:
    await kept(database, [Act("sign_in", ADA, subject="old")], NOON - timedelta(days=401))
    await kept(database, [Act("sign_in", ADA, subject="kept")], NOON - timedelta(days=399))
    assert await Audit(database).sweep(NOON) == 1
    assert [one.subject for one in await found(database)] == ["kept"]


@pytest.mark.parametrize(
    ("wanted", "subjects"),
    [
        (Wanted(), "dcba"),
        (Wanted(workspace="demo"), "db"),
        (Wanted(workspace=""), "a"),
        (Wanted(act="sign_in"), "ba"),
        (Wanted(who="person:1"), "ca"),
        (Wanted(who="ada@example.com"), "ca"),
        (Wanted(outcome="refused"), "b"),
        (Wanted(since=NOON), "dc"),
        (Wanted(workspace="demo", outcome="done"), "d"),
    ],
)
async def test_acts_are_found_by_what_they_are(database: Database, wanted: Wanted, subjects: str) -> None:
    early = [
        Act("sign_in", ADA, subject="a"),
        Act("sign_in", CI, workspace="demo", subject="b", outcome="refused"),
    ]
    await kept(database, early, NOON - timedelta(hours=1))
    await kept(
        database, [Act("grant", ADA, workspace="other", subject="c"), Act("token", workspace="demo", subject="d")]
    )
    assert "".join(one.subject for one in await found(database, wanted)) == subjects


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_pages_lose_and_repeat_nothing_whatever_the_order_of_writing(database: Database, size: int) -> None:
    for number, hour in enumerate([3, 1, 1, 2, 1, 3]):
        await kept(database, [Act("member", ADA, subject=f"{hour}{number}")], NOON + timedelta(hours=hour))
    subjects: list[str] = []
    before: dict[str, int] = {}
    while page := await found(database, limit=size, **before):
        subjects += [one.subject for one in page]
        before = {"before": page[-1].id}
    assert subjects == ["35", "30", "23", "14", "12", "11"]


async def test_what_follows_an_act_that_is_gone_is_nothing(database: Database) -> None:
    await kept(database, [Act("sign_in", ADA)])
    assert await found(database, before=10**6) == []


async def test_a_workspaces_acts_are_read_by_the_index(database: Database) -> None:
    query = "EXPLAIN QUERY PLAN SELECT * FROM acts WHERE workspace = 'demo' ORDER BY at DESC, id DESC LIMIT 9"
    async with database.read() as session:
        plan = " ".join(row.detail for row in await session.execute(text(query)))
        assert await session.scalar(select(func.count()).select_from(ActRow)) == 0
    assert "ix_acts_workspace" in plan
    assert "TEMP B-TREE" not in plan
