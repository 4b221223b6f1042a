"""Asked once, decided once, used once; and what is not certain is a no."""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from sqlalchemy import select

from portkey_mcp.approval.approvals import MOST_OPEN, WRONG_KEYS, Approvals
from portkey_mcp.approval.tables import ApprovalRow
from portkey_mcp.errors import NotFound, Refused, StoreDown
from portkey_mcp.model import Visit, Workspace
from portkey_mcp.policy.decide import Thing
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from tests.approval.conftest import House, visit

pytestmark = pytest.mark.anyio

THING = Thing("tool", "files", "write_file")
PARAMS = {"name": "write_file", "arguments": {"path": "/secret/place"}}
CALL = (visit(), THING, PARAMS)


def other(number: int) -> tuple[Visit, Thing, dict[str, Any]]:
    return (visit(), THING, {"arguments": {"number": number}})


async def rows(house: House) -> list[ApprovalRow]:
    async with house.database.read() as session:
        return list(await session.scalars(select(ApprovalRow).order_by(ApprovalRow.created)))


async def test_what_was_asked_and_granted_may_run_once(house: House) -> None:
    assert await house.approvals.claim(*CALL) is None
    asked = await house.approvals.ask(*CALL, via="page")
    assert await house.approvals.claim(*CALL) is None
    await house.approvals.decide(asked.id, True, "ada")
    assert await house.approvals.claim(*CALL) == "granted"
    assert await house.approvals.claim(*CALL) is None


async def test_a_grant_is_for_nobody_else_and_nothing_else(house: House) -> None:
    asked = await house.approvals.ask(*CALL, via="page")
    await house.approvals.decide(asked.id, True, "ada")

    assert await house.approvals.claim(visit("bob"), THING, PARAMS) is None
    assert await house.approvals.claim(visit(workspace=Workspace("other", "", {}, {})), THING, PARAMS) is None
    assert await house.approvals.claim(visit(), Thing("tool", "files", "delete_file"), PARAMS) is None
    assert await house.approvals.claim(visit(), THING, {**PARAMS, "arguments": {"path": "/secret/place2"}}) is None
    assert await house.approvals.claim(visit(), THING, {**PARAMS, "_meta": {"progressToken": 1}}) == "granted"


async def test_of_many_who_claim_at_once_exactly_one_may_run(house: House) -> None:
    asked = await house.approvals.ask(*CALL, via="page")
    await house.approvals.decide(asked.id, True, "ada")
    second = Database(house.database.path)
    answers: list[str | None] = []

    async def claim(approvals: Approvals) -> None:
        answers.append(await approvals.claim(*CALL))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(claim, house.approvals)
            tasks.start_soon(claim, Approvals(second, house.keyring, house.clock))
    await second.close()
    assert (len(answers), answers.count("granted"), answers.count(None)) == (20, 1, 19)


async def test_of_many_who_decide_at_once_exactly_one_does(house: House) -> None:
    asked = await house.approvals.ask(*CALL, via="page")
    second = Database(house.database.path)
    decided: list[bool] = []
    refused: list[str] = []

    async def decide(approvals: Approvals, approve: bool) -> None:
        try:
            await approvals.decide(asked.id, approve, "ada")
        except Refused as refusal:
            refused.append(str(refusal))
        else:
            decided.append(approve)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(decide, house.approvals, number % 2 == 0)
            tasks.start_soon(decide, Approvals(second, house.keyring, house.clock), number % 2 == 1)
    await second.close()
    assert (len(decided), len(refused)) == (1, 9)
    assert all("decided once" in text for text in refused)
    assert await house.approvals.claim(*CALL) == ("granted" if decided[0] else "denied")


async def test_a_question_expires(house: House) -> None:
    asked = await house.approvals.ask(*CALL, via="page")
    house.clock.wait(minutes=10)

    with pytest.raises(Refused, match="expired"):
        await house.approvals.decide(asked.id, True, "ada")
    assert await house.approvals.claim(*CALL) is None
    assert (await house.approvals.ask(*CALL, via="page")).id != asked.id


async def test_a_grant_expires_ten_minutes_after_it_was_given(house: House) -> None:
    asked = await house.approvals.ask(*CALL, via="page")
    house.clock.wait(minutes=9.9)
    await house.approvals.decide(asked.id, True, "ada")
    house.clock.wait(minutes=10)

    assert await house.approvals.claim(*CALL) is None


async def test_a_denial_is_told_once_and_then_it_may_be_asked_anew(house: House) -> None:
    asked = await house.approvals.ask(*CALL, via="page")
    await house.approvals.decide(asked.id, False, "ada")

    assert await house.approvals.claim(*CALL) == "denied"
    assert await house.approvals.claim(*CALL) is None
    again = await house.approvals.ask(*CALL, via="page")
    assert again.id != asked.id
    await house.approvals.decide(again.id, True, "ada")
    assert await house.approvals.claim(*CALL) == "granted"


async def test_a_denial_that_answers_an_elicitation_is_not_told_again(house: House) -> None:
    asked = await house.approvals.ask(*CALL, via="elicitation")
    await house.approvals.decide(asked.id, False, "ada")
    assert await house.approvals.claim(*CALL) is None


async def test_the_latest_decision_counts(house: House) -> None:
    first, second = [await house.approvals.ask(*CALL, via="elicitation") for _ in range(2)]
    page = await house.approvals.ask(*CALL, via="page")
    await house.approvals.decide(first.id, True, "ada")
    house.clock.wait(seconds=1)
    await house.approvals.decide(page.id, False, "ada")
    assert await house.approvals.claim(*CALL) == "denied"
    await house.approvals.decide(second.id, True, "ada")
    assert [await house.approvals.claim(*CALL) for _ in range(3)] == ["granted", "granted", None]


async def test_a_decision_about_nothing_is_not_found(house: House) -> None:
    with pytest.raises(NotFound, match="no such approval"):
        await house.approvals.decide("nothing", True, "ada")


async def test_a_model_that_calls_again_and_again_asks_one_question(house: House) -> None:
    asked = [await house.approvals.ask(*CALL, via="page") for _ in range(5)]
    assert len(set(asked)) == 1
    assert len(await rows(house)) == 1
    assert (await house.approvals.ask(visit("bob"), THING, PARAMS, via="page")).id != asked[0].id


async def test_ids_cannot_be_guessed(house: House) -> None:
    asked = [await house.approvals.ask(*other(number), via="page") for number in range(3)]
    assert all(len(one.id) == 32 for one in asked)
    assert len({one.id for one in asked}) == 3


async def test_the_oldest_of_too_many_open_questions_is_dropped(house: House) -> None:
    asked = []
    for number in range(MOST_OPEN + 2):
        asked.append(await house.approvals.ask(*other(number), via="page"))
        house.clock.wait(seconds=1)
    await house.approvals.ask(visit("bob"), THING, PARAMS, via="page")

    assert [row.id for row in await rows(house) if row.principal == "ada"] == [one.id for one in asked[2:]]
    assert await house.approvals.read(asked[0].id) is None


async def test_the_page_can_read_who_asks_and_what_but_the_file_does_not_show_it(house: House) -> None:
    asked = await house.approvals.ask(*CALL, via="page")
    read = await house.approvals.read(asked.id)

    assert read is not None
    assert house.approvals.is_open(read)
    assert (read.who, read.thing, read.state, read.via) == ("Ada", THING, "asked", "page")
    assert "/secret/place" in read.short == read.full
    async with house.database.write(announce=False):
        for file in house.database.path.parent.glob("*.db*"):
            assert b"/secret/place" not in file.read_bytes()


async def test_long_arguments_are_kept_short_and_full(house: House) -> None:
    asked = await house.approvals.ask(visit(), THING, {"arguments": {"body": "x" * 5000}}, via="page")
    read = await house.approvals.read(asked.id)
    assert read is not None
    assert len(read.short) < 1600
    assert len(read.full) > 5000


async def test_what_is_sealed_for_another_row_or_by_another_key_is_not_shown(house: House) -> None:
    one, two = await house.approvals.ask(*CALL, via="page"), await house.approvals.ask(*other(1), via="page")
    stranger = Approvals(house.database, KeyRing.generate(), house.clock)
    assert await stranger.read(one.id) is None
    async with house.database.write(announce=False) as session:
        first, second = await session.get(ApprovalRow, one.id), await session.get(ApprovalRow, two.id)
        assert first is not None
        assert second is not None
        first.sealed = second.sealed
    assert await house.approvals.read(one.id) is None


async def test_arguments_are_forgotten_with_the_decision(house: House) -> None:
    for number, approve in enumerate((True, False)):
        asked = await house.approvals.ask(*other(number), via="page")
        await house.approvals.decide(asked.id, approve, "ada")
        read = await house.approvals.read(asked.id)
        assert read is not None
        assert (read.short, read.full, read.who) == ("", "", "ada")
    assert [row.sealed for row in await rows(house)] == ["", ""]


async def test_tidying_forgets_arguments_of_what_expired_and_after_thirty_days_all_of_it(house: House) -> None:
    old = await house.approvals.ask(*other(1), via="page")
    house.clock.wait(minutes=11)
    fresh = await house.approvals.ask(*other(2), via="page")
    await house.approvals.tidy()
    assert [(row.id, bool(row.sealed)) for row in await rows(house)] == [(old.id, False), (fresh.id, True)]

    house.clock.wait(days=30)
    await house.approvals.tidy()
    assert [row.id for row in await rows(house)] == [fresh.id]
    house.clock.wait(minutes=11)
    await house.approvals.tidy()
    assert await rows(house) == []


async def test_decisions_made_in_place_are_recorded_and_never_used_again(house: House) -> None:
    await house.approvals.grant_and_use(*CALL, by="ada", via="elicitation")
    await house.approvals.record_denied(*CALL, by="ada", via="elicitation")

    assert await house.approvals.claim(*CALL) is None
    recorded = [(row.state, row.decided_by, row.via, row.sealed) for row in await rows(house)]
    assert sorted(recorded) == [("denied", "ada", "elicitation", ""), ("used", "ada", "elicitation", "")]


async def test_the_last_wrong_key_denies(house: House) -> None:
    asked = await house.approvals.ask(*CALL, via="page")
    left = [await house.approvals.wrong_key(asked.id) for _ in range(WRONG_KEYS)]

    assert left == [4, 3, 2, 1, 0]
    assert await house.approvals.wrong_key(asked.id) == 0
    assert await house.approvals.wrong_key("nothing") == 0
    with pytest.raises(Refused, match="denied already"):
        await house.approvals.decide(asked.id, True, "ada")
    assert await house.approvals.claim(*CALL) == "denied"


async def test_counting_wrong_keys_keeps_what_is_shown(house: House) -> None:
    asked = await house.approvals.ask(*CALL, via="page")
    before = await house.approvals.read(asked.id)
    await house.approvals.wrong_key(asked.id)
    after = await house.approvals.read(asked.id)
    assert before is not None
    assert after is not None
    assert (after.who, after.short, after.full, after.wrong) == (before.who, before.short, before.full, 1)


async def test_recent_ones_come_newest_first_and_only_from_their_workspace(house: House) -> None:
    first = await house.approvals.ask(*other(1), via="page")
    house.clock.wait(seconds=1)
    second = await house.approvals.ask(*other(2), via="elicitation")

    assert [one.id for one in await house.approvals.recent("demo")] == [second.id, first.id]
    assert [one.id for one in await house.approvals.recent("demo", 1)] == [second.id]
    assert await house.approvals.recent("other") == []


async def test_a_name_that_no_database_takes_is_asked_about_all_the_same(house: House) -> None:
    thing = Thing("resource", "files", "file:///\ud83d" + "x" * 1000)
    asked = await house.approvals.ask(visit(), thing, {"uri": thing.name}, via="page")
    read = await house.approvals.read(asked.id)
    assert read is not None
    assert read.thing.name.startswith("file:///\\u{d83d}xxx")


async def test_the_digest_is_the_records(house: House) -> None:
    assert house.approvals.digest(*CALL) != house.approvals.digest(*other(1))


Step = Callable[[Approvals], Awaitable[object]]


@pytest.mark.parametrize(
    "step",
    [
        lambda a: a.ask(*CALL, via="page"),
        lambda a: a.read("id"),
        lambda a: a.decide("id", True, "ada"),
        lambda a: a.wrong_key("id"),
        lambda a: a.claim(*CALL),
        lambda a: a.grant_and_use(*CALL, by="ada", via="elicitation"),
        lambda a: a.record_denied(*CALL, by="ada", via="elicitation"),
        lambda a: a.recent("demo"),
        lambda a: a.tidy(),
    ],
)
async def test_a_store_that_fails_is_never_a_yes(house: House, step: Step) -> None:
    connection = sqlite3.connect(house.database.path)
    connection.execute("DROP TABLE approvals")
    connection.close()

    with pytest.raises(StoreDown, match="no such table: approvals") as down:
        await step(house.approvals)
    assert "/secret/place" not in str(down.value)
