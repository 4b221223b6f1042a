"""What people allowed, and what they need not be asked again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from portkey_mcp.errors import StoreDown
from portkey_mcp.oauth.client import Client, digest_of
from portkey_mcp.oauth.grants import CODE, Grant, Granted, Grants
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.tables import CodeRow, GrantRow
from tests.oauth.conftest import REDIRECT, House

pytestmark = pytest.mark.anyio

CLIENT = Client("app", "registered", "App", (REDIRECT,))


def granted(house: House, name: str = "ada", reach: str = "demo/files", client: str = "app") -> Granted:
    person = house.identity.people.named(f"{name}@example.com")
    assert person is not None
    return Granted(
        person=person.id,
        workspace=reach.partition("/")[0],
        client=client,
        client_name="App",
        redirect_host="app.example",
        reach=reach,
        resource="",
        scopes=("mcp:read",),
        issuer=house.base,
        address="192.0.2.1",
    )


async def kept(house: House, which: Granted) -> Grant:
    """A grant without a code."""
    return await house.server.grants.make(which)


async def count(house: House) -> int:
    async with house.database.read() as session:
        return await session.scalar(select(func.count()).select_from(GrantRow)) or 0


async def test_a_code_is_random_short_and_never_kept_itself(house: House) -> None:
    one, other = [await house.server.grants.allow(granted(house), REDIRECT, "c") for _ in range(2)]
    async with house.database.read() as session:
        row = await session.get_one(CodeRow, digest_of(one))

    assert one != other
    assert one.startswith(CODE)
    assert len(one) > 43
    assert timedelta(seconds=50) < row.expires - datetime.now(UTC) <= timedelta(seconds=60)


async def test_b9_only_a_member_of_the_workspace_can_grant_anything_in_it(house: House) -> None:
    with pytest.raises(OAuthRefusal) as refused:
        await house.server.grants.allow(granted(house, "bob", "other"), REDIRECT, "c")
    assert refused.value.error == "access_denied"
    with pytest.raises(OAuthRefusal):
        await kept(house, granted(house, "eve"))

    assert await count(house) == 0


async def test_people_see_their_own_grants_the_newest_first(house: House) -> None:
    first = Grants(house.database, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    await first.allow(granted(house), REDIRECT, "c")
    newest = await kept(house, granted(house, reach="other"))
    await kept(house, granted(house, "bob"))
    mine = await house.server.grants.of_person(granted(house).person)

    assert mine[0] == newest
    assert [grant.granted.reach for grant in mine] == ["other", "demo/files"]
    assert [grant.granted.reach for grant in await house.server.grants.of_workspace("demo")] == ["demo/files"] * 2


async def test_withdrawing_ends_what_one_app_was_given_in_one_place_and_asks_anew(house: House) -> None:
    grants, ada = house.server.grants, granted(house)
    await grants.remember(ada, REDIRECT)
    one, _, elsewhere, others = [
        await kept(house, which)
        for which in (ada, ada, granted(house, reach="other"), granted(house, client="another"))
    ]

    assert await grants.withdraw(granted(house, "bob").person, one.id) is None
    assert await grants.agreed(ada.person, "app", REDIRECT)
    assert await grants.withdraw(ada.person, one.id) == one
    assert {grant.id for grant in await grants.of_person(ada.person)} == {elsewhere.id, others.id}
    assert await grants.agreed(ada.person, "app", REDIRECT) == {}


async def test_b1_a_yes_is_remembered_by_person_client_redirect_and_place(house: House) -> None:
    grants, ada = house.server.grants, granted(house)
    await grants.remember(ada, REDIRECT)
    await grants.remember(replace(ada, scopes=("mcp:call",)), REDIRECT)

    assert await grants.agreed(ada.person, "app", REDIRECT) == {"demo/files": ("mcp:read", "mcp:call")}
    assert await grants.agreed(ada.person, "app", f"{REDIRECT}2") == {}
    assert await grants.agreed(ada.person, "another", REDIRECT) == {}
    assert await grants.agreed(granted(house, "bob").person, "app", REDIRECT) == {}


async def test_who_leaves_takes_grants_and_yeses_along(house: House) -> None:
    bob = granted(house, "bob")
    await kept(house, bob)
    await house.server.grants.remember(bob, REDIRECT)
    await house.identity.people.leave("bob@example.com", "demo")

    assert await count(house) == 0
    assert await house.server.grants.agreed(bob.person, "app", REDIRECT) == {}


async def test_an_end_is_announced_and_an_unknown_grant_is_no_error(house: House) -> None:
    grant = await kept(house, granted(house))
    before = await house.database.revision()
    await house.server.grants.end(grant.id)
    await house.server.grants.end("grant:none")

    assert await house.database.revision() > before
    assert await count(house) == 0


async def test_use_is_written_down_without_waking_anybody(house: House) -> None:
    grant = await kept(house, granted(house))
    before, moment = await house.database.revision(), datetime(2026, 11, 24, tzinfo=UTC)
    await house.server.grants.record_use({grant.id: moment, "grant:none": moment})

    assert await house.database.revision() == before
    assert (await house.server.grants.of_person(granted(house).person))[0].last_used == moment


async def test_a_grant_without_code_or_token_is_forgotten_after_an_hour(house: House) -> None:
    await kept(house, granted(house))
    await house.later(minutes=59).grants.tidy()
    assert await count(house) == 1

    await house.later(minutes=61).grants.tidy()
    assert await count(house) == 0


async def test_a_used_code_is_kept_for_an_hour_so_that_a_copy_is_known(house: House) -> None:
    code = await house.server.grants.allow(granted(house), REDIRECT, "c")
    redeemed = await house.server.issuing.redeem(code, CLIENT)
    await house.server.issuing.issue(redeemed.grant)
    for minutes, left in (30, 1), (62, 0):
        await house.later(minutes=minutes).grants.tidy()
        async with house.database.read() as session:
            assert await session.scalar(select(func.count()).select_from(CodeRow)) == left
    assert await count(house) == 1


async def test_it_fails_closed_where_the_store_does(house: House) -> None:
    grants, ada = house.server.grants, granted(house)
    async with house.database.write() as session:
        await (await session.connection()).exec_driver_sql("DROP TABLE oauth_consents")
        await (await session.connection()).exec_driver_sql("DROP TABLE oauth_codes")

    for asked in (grants.agreed(ada.person, "app", REDIRECT), grants.allow(ada, REDIRECT, "c"), grants.tidy()):
        with pytest.raises(StoreDown):
            await asked
    assert await count(house) == 0
