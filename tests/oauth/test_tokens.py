"""Whose access token it is, from memory and from the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from portkey_mcp.errors import StoreDown, Unauthenticated
from portkey_mcp.identity.people import People
from portkey_mcp.model import Principal
from portkey_mcp.oauth import tokens as module
from portkey_mcp.oauth.issuing import Issued
from portkey_mcp.oauth.tokens import Tokens
from tests.oauth.conftest import House
from tests.oauth.test_grants import granted
from tests.oauth.test_issuing import CLIENT, issued

pytestmark = pytest.mark.anyio


class Clock:
    """One that is set."""

    late = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.late


def verifier(house: House, clock: Clock | None = None) -> Tokens:
    return Tokens(house.server.issuing, house.server.grants, house.identity.people, clock or Clock())


@contextmanager
def statements(house: House) -> Iterator[list[str]]:
    """What the database is asked meanwhile."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            asked.append(statement)

    engine = house.database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def who(tokens: Tokens, made: Issued) -> Principal:
    found = await tokens.verify(made.access)
    assert found is not None
    return found


async def refused(tokens: Tokens, made: Issued) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        await tokens.verify(made.access)
    return str(refusal.value)


async def test_b2_a_token_is_a_person_in_one_workspace_at_one_place_with_few_scopes(house: House) -> None:
    await house.identity.people.set_groups("ada@example.com", "demo", add=["leads"])
    await house.identity.people.set_groups("ada@example.com", "other", add=["guests"])
    made = await issued(house)
    principal = await who(verifier(house), made)

    assert (principal.id, principal.kind, principal.email) == (granted(house).person, "person", "ada@example.com")
    assert (principal.workspaces, principal.reach, principal.scopes) == ({"demo": "admin"}, "demo/files", ("mcp:read",))
    assert (principal.groups_in("demo"), principal.groups_in("other")) == (("leads",), ())
    assert (principal.client, principal.credential) == ("app", made.grant.id)
    assert principal.role_in("other") is None


@pytest.mark.parametrize("credential", ["", "pk_something", "eyJhbGciOiJIUzI1NiJ9.e30.x", "pkr_refresh", "PKA_x"])
async def test_what_is_no_access_token_is_left_to_others(house: House, credential: str) -> None:
    assert await verifier(house).verify(credential) is None


async def test_an_unknown_one_and_a_refresh_token_are_refused(house: House) -> None:
    made = await issued(house)
    for wrong in ("pka_unknown", made.access + "x", made.access[:-1], f"pka_{made.refresh[4:]}"):
        with pytest.raises(Unauthenticated):
            await verifier(house).verify(wrong)
    assert await verifier(house).verify(made.refresh) is None


async def test_the_same_token_gives_the_same_object_and_asks_the_database_once(house: House) -> None:
    tokens, made = verifier(house), await issued(house)
    with statements(house) as asked:
        principal = await who(tokens, made)
        first = len(asked)
        for _ in range(5):
            assert await who(tokens, made) is principal

    assert first > 0
    assert len(asked) == first


async def test_after_half_a_minute_it_asks_again_and_the_object_stays(house: House) -> None:
    clock = Clock()
    tokens, made = verifier(house, clock), await issued(house)
    principal = await who(tokens, made)
    clock.late = timedelta(seconds=31)
    with statements(house) as asked:
        assert await who(tokens, made) is principal
    assert asked


async def test_so_it_does_once_told_that_something_changed(house: House) -> None:
    tokens, made = verifier(house), await issued(house)
    principal = await who(tokens, made)
    tokens.forget()
    with statements(house) as asked:
        assert await who(tokens, made) is principal
        once = len(asked)
        assert await who(tokens, made) is principal
    assert once == len(asked) > 0


async def test_k11_an_expired_token_is_refused_though_it_is_in_memory(house: House) -> None:
    clock = Clock()
    tokens, made = verifier(house, clock), await issued(house)
    clock.late = timedelta(seconds=made.seconds - 10)
    assert await who(tokens, made)
    clock.late = timedelta(seconds=made.seconds + 1)

    assert "expired" in await refused(tokens, made)


async def test_what_another_process_revoked_ends_with_the_next_revision(house: House) -> None:
    tokens, made = verifier(house), await issued(house)
    await who(tokens, made)
    before = await house.database.revision()
    await house.later().grants.end(made.grant.id)
    assert await house.database.revision() != before
    tokens.forget()

    assert "revoked" in await refused(tokens, made)
    assert "revoked" in await refused(tokens, made)


async def test_what_was_revoked_is_believed_for_half_a_minute_at_most(house: House) -> None:
    clock = Clock()
    tokens, made = verifier(house, clock), await issued(house)
    await who(tokens, made)
    await house.later().grants.end(made.grant.id)
    clock.late = timedelta(seconds=31)

    assert await refused(tokens, made)


async def test_an_answer_from_before_a_revocation_is_not_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, made = verifier(house), await issued(house)
    read = house.server.issuing.read

    async def while_it_is_revoked(token: str) -> Any:
        found = await read(token)
        await house.server.grants.end(made.grant.id)
        tokens.forget()
        return found

    monkeypatch.setattr(type(house.server.issuing), "read", lambda _, token: while_it_is_revoked(token))
    assert await who(tokens, made)
    monkeypatch.undo()

    assert await refused(tokens, made)


async def test_b9_who_the_person_is_counts_at_once(house: House) -> None:
    tokens, made, people = verifier(house), await issued(house), house.identity.people
    before = await who(tokens, made)
    await people.set_role("ada@example.com", "demo", "viewer")
    after = await who(tokens, made)

    assert (before.role_in("demo"), after.role_in("demo")) == ("admin", "viewer")
    assert await who(tokens, made) is after


async def test_who_is_disabled_is_refused_and_comes_back(house: House) -> None:
    tokens, made, people = verifier(house), await issued(house), house.identity.people
    await who(tokens, made)
    await people.disable("ada@example.com")
    assert "kept out" in await refused(tokens, made)
    await people.enable("ada@example.com")

    assert await who(tokens, made)


@pytest.mark.parametrize("how", ["leave", "remove"])
async def test_who_left_or_was_removed_is_refused_for_good(house: House, how: str) -> None:
    tokens, made, people = verifier(house), await issued(house), house.identity.people
    await who(tokens, made)
    await (people.leave("ada@example.com", "demo") if how == "leave" else people.remove("ada@example.com"))
    assert await refused(tokens, made)
    tokens.forget()
    assert await refused(tokens, made)

    await people.add("ada@example.com", workspace="demo")
    assert await refused(tokens, made)


async def test_people_are_read_when_nobody_was_yet(house: House) -> None:
    tokens = Tokens(house.server.issuing, house.server.grants, People(house.database))

    assert (await who(tokens, await issued(house))).name == "Ada"


async def test_it_fails_closed_where_the_store_does(house: House) -> None:
    made = await issued(house)
    async with house.database.write() as session:
        await (await session.connection()).exec_driver_sql("DROP TABLE group_members")
    with pytest.raises(StoreDown):
        await Tokens(house.server.issuing, house.server.grants, People(house.database)).verify(made.access)

    async with house.database.write() as session:
        await (await session.connection()).exec_driver_sql("DROP TABLE oauth_tokens")
    with pytest.raises(StoreDown):
        await verifier(house).verify(made.access)


async def test_only_so_many_are_held_in_memory(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 2)
    tokens, made = verifier(house), [await issued(house) for _ in range(3)]
    for one in made:
        assert await who(tokens, one)

    assert len(tokens._known) <= 2


async def test_use_is_written_once_in_a_while(house: House) -> None:
    tokens, made = verifier(house), await issued(house)
    with statements(house) as asked:
        await tokens.record_use()
    assert asked == []

    await who(tokens, made)
    await tokens.record_use()
    (grant,) = await house.server.grants.of_person(granted(house).person)
    assert grant.last_used is not None


async def test_introspection_asks_for_the_person_as_they_are_now(house: House) -> None:
    tokens, made = verifier(house), await issued(house)
    good = await house.server.issuing.read(made.access)
    assert good is not None
    assert await tokens.owner(good) == house.identity.people.named("ada@example.com")
    await house.identity.people.disable("ada@example.com")

    assert await tokens.owner(good) is None
    assert good.grant.granted.client == CLIENT.id
