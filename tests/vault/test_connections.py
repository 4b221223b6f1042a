"""The store of connections: sealed, one for each place, changed only by who may."""

import logging
from datetime import timedelta

import pytest
from sqlalchemy import text

from portkey_mcp.errors import Mistake, StoreDown
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.vault.connection import Place
from portkey_mcp.vault.connections import Connections
from portkey_mcp.vault.rows import UNREADABLE
from tests.vault.conftest import ADA, BOB, SHARED, Keeping

pytestmark = pytest.mark.anyio


async def test_what_is_kept_is_found_again_by_any_process(keeping: Keeping) -> None:
    kept = await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    other = Connections(keeping.database, keeping.keyring, keeping.clock)
    assert await other.find(ADA) == kept
    assert await other.find(BOB) is None


async def test_connecting_again_replaces_everything(keeping: Keeping) -> None:
    first = await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    await keeping.connections.end(ADA, first.generation, "withdrawn")
    await keeping.connections.want(ADA, ["write"])
    second = await keeping.connections.keep(ADA, keeping.credential("a-2"), "ada")
    assert await keeping.connections.find(ADA) == second
    assert (second.state, second.why, second.wanted) == ("good", "", ())
    assert second.generation > first.generation


async def test_a_generation_is_never_had_twice_at_a_place(keeping: Keeping) -> None:
    first = await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    await keeping.connections.drop(ADA)
    keeping.clock.wait(1)
    assert (await keeping.connections.keep(ADA, keeping.credential("a-2"), "ada")).generation > first.generation


async def test_only_the_generation_that_is_meant_ends(keeping: Keeping) -> None:
    first = await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    second = await keeping.connections.keep(ADA, keeping.credential("a-2"), "ada")
    await keeping.connections.end(ADA, first.generation, "withdrawn")
    assert await keeping.connections.find(ADA) == second
    await keeping.connections.end(ADA, second.generation, "withdrawn")
    ended = await keeping.connections.find(ADA)
    assert ended is not None
    assert (ended.state, ended.why) == ("ended", "withdrawn")


async def test_wanted_scopes_add_up_without_those_it_has(keeping: Keeping) -> None:
    await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    await keeping.connections.want(ADA, ["write", "read"])
    await keeping.connections.want(ADA, ["admin"])
    await keeping.connections.want(BOB, ["write"])
    found = await keeping.connections.find(ADA)
    assert found is not None
    assert found.wanted == ("admin", "write")
    assert await keeping.connections.find(BOB) is None


async def test_what_is_dropped_is_handed_out_for_revoking_and_gone(keeping: Keeping) -> None:
    kept = await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    assert await keeping.connections.drop(ADA) == kept
    assert await keeping.connections.drop(ADA) is None
    assert await keeping.connections.find(ADA) is None


async def test_a_list_has_what_belongs_to_it(keeping: Keeping) -> None:
    for place in (ADA, BOB, SHARED):
        await keeping.connections.keep(place, keeping.credential(f"a-{place.subject}"), "ada")
    assert [one.place for one in await keeping.connections.of_subject("ada")] == [ADA]
    assert [one.place for one in await keeping.connections.of_workspace("demo")] == [ADA, BOB, SHARED]
    assert await keeping.connections.of_workspace("other") == []


async def test_a_server_takes_its_connections_with_it_and_there_are_none_without_one(keeping: Keeping) -> None:
    await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    await Registry(keeping.database, keeping.keyring).remove_server("demo", "files")
    assert await keeping.connections.find(ADA) is None
    with pytest.raises(Mistake, match="workspace 'demo' has no server 'files' any more"):
        await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")


async def test_other_processes_hear_of_what_was_connected_ended_or_dropped_and_of_nothing_else(
    keeping: Keeping,
) -> None:
    heard: list[Place] = []
    keeping.connections.changed = heard.append
    revision = keeping.database.revision
    before = await revision()
    kept = await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    assert await revision() == before + 1
    await keeping.connections.want(ADA, ["write"])
    assert await keeping.connections.lease(ADA, kept.generation, "me", 30)
    assert await keeping.connections.replace(kept, ADA, keeping.credential("a-2"), "me")
    await keeping.connections.release(ADA, "me")
    await keeping.connections.tidy(())
    assert await revision() == before + 1
    await keeping.connections.end(ADA, kept.generation + 1, "withdrawn")
    await keeping.connections.drop(ADA)
    assert await revision() == before + 3
    assert heard == [ADA, ADA, ADA]


async def test_one_holder_has_the_lease_until_its_time_is_over(keeping: Keeping) -> None:
    kept = await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    lease = keeping.connections.lease
    assert not await lease(ADA, kept.generation - 1, "me", 30)
    assert await lease(ADA, kept.generation, "me", 30)
    assert not await lease(ADA, kept.generation, "you", 30)
    await keeping.connections.release(ADA, "you")
    assert not await lease(ADA, kept.generation, "you", 30)
    keeping.clock.wait(30)
    assert await lease(ADA, kept.generation, "you", 30)
    assert not await keeping.connections.replace(kept, ADA, keeping.credential("mine"), "me")
    assert await keeping.connections.replace(kept, ADA, keeping.credential("yours"), "you")
    found = await keeping.connections.find(ADA)
    assert found is not None
    assert (found.credential.tokens, found.generation) == (keeping.credential("yours").tokens, kept.generation + 1)
    assert found.refreshed == keeping.clock.now
    assert await lease(ADA, found.generation, "me", 30)


async def test_what_was_connected_meanwhile_is_not_written_over(keeping: Keeping) -> None:
    kept = await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    assert await keeping.connections.lease(ADA, kept.generation, "me", 30)
    await keeping.connections.drop(ADA)
    new = await keeping.connections.keep(ADA, keeping.credential("new"), "ada")
    assert not await keeping.connections.replace(kept, ADA, keeping.credential("renewed"), "me")
    assert await keeping.connections.find(ADA) == new


async def test_the_first_credential_has_a_lease_before_there_is_one(keeping: Keeping) -> None:
    assert await keeping.connections.lease(SHARED, None, "me", 30)
    assert not await keeping.connections.lease(SHARED, None, "you", 30)
    assert await keeping.connections.find(SHARED) is None
    assert await keeping.connections.of_workspace("demo") == []
    assert await keeping.connections.drop(BOB) is None
    assert await keeping.connections.replace(None, SHARED, keeping.credential("a-1"), "me")
    found = await keeping.connections.find(SHARED)
    assert found is not None
    assert found.state == "good"
    assert not await keeping.connections.lease(SHARED, None, "you", 30)


async def test_a_lease_that_brought_nothing_is_tidied_away(keeping: Keeping) -> None:
    assert await keeping.connections.lease(SHARED, None, "me", 30)
    await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    await keeping.connections.tidy(())
    keeping.clock.now += timedelta(days=2)
    await keeping.connections.tidy(())
    async with keeping.database.read() as session:
        assert (await session.execute(text("select server from connections"))).scalars().all() == ["files"]


async def test_b2_a_row_copied_onto_another_one_is_nobodys_account(
    keeping: Keeping, caplog: pytest.LogCaptureFixture
) -> None:
    await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    await keeping.connections.keep(BOB, keeping.credential("b-1"), "bob")
    async with keeping.database.write() as session:
        await session.execute(
            text("update connections set sealed = (select sealed from connections where subject = 'ada')")
        )
    for _ in range(2):
        stolen = await keeping.connections.find(BOB)
        assert stolen is not None
        assert (stolen.state, stolen.why, stolen.credential.tokens) == ("ended", UNREADABLE, None)
    assert caplog.messages == [
        "the account at demo/files of 'bob' does not open: damaged, or sealed for something else"
    ]
    own = await keeping.connections.find(ADA)
    assert own is not None
    assert own.state == "good"


async def test_without_its_key_a_connection_has_ended_and_can_be_made_again(
    keeping: Keeping, caplog: pytest.LogCaptureFixture
) -> None:
    await keeping.connections.keep(ADA, keeping.credential("planted-1"), "ada")
    other = Connections(keeping.database, KeyRing({"other": b"k" * 32}), keeping.clock)
    with caplog.at_level(logging.DEBUG):
        [found] = await other.of_subject("ada")
    assert (found.state, found.why) == ("ended", UNREADABLE)
    assert "planted" not in caplog.text
    assert (await other.keep(ADA, keeping.credential("a-2"), "ada")).state == "good"


async def test_a_store_that_fails_is_told_as_such_without_values(keeping: Keeping) -> None:
    async with keeping.database.write() as session:
        await session.execute(text("drop table connections"))
    for work in (
        keeping.connections.find(ADA),
        keeping.connections.keep(ADA, keeping.credential("planted"), "ada"),
        keeping.connections.tidy(()),
    ):
        with pytest.raises(StoreDown, match="accounts cannot be read or written: no such table") as failed:
            await work
        assert "planted" not in str(failed.value)


async def test_accounts_of_people_who_are_gone_are_forgotten_and_nobody_elses(keeping: Keeping) -> None:
    places = [Place("demo", "files", subject) for subject in ("person:ada", "person:bob", "local", "key:1")]
    for place in [*places, SHARED]:
        await keeping.connections.keep(place, keeping.credential("a-1"), "ada")
    await keeping.connections.tidy({"person:bob"})
    kept = [place for place in [*places, SHARED] if await keeping.connections.find(place) is not None]
    assert kept == [*places[1:], SHARED]


async def test_what_ends_by_itself_is_told_once(keeping: Keeping) -> None:
    told: list[tuple[Place, str]] = []
    keeping.connections.ended = lambda place, why: told.append((place, why))
    kept = await keeping.connections.keep(ADA, keeping.credential("a-1"), "ada")
    await keeping.connections.end(ADA, kept.generation - 1, "of an older one")
    for _ in range(2):
        await keeping.connections.end(ADA, kept.generation, "it was withdrawn")
    assert told == [(ADA, "it was withdrawn")]
