"""Codes and tokens: redeemed, issued, refreshed and read. The clock is another process's, moved ahead."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from portkey_mcp.oauth.client import Client, digest_of
from portkey_mcp.oauth.issuing import ACCESS, REFRESH, Copied, Issued
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.tables import TokenRow
from portkey_mcp.trust import Terms, Trust
from tests.oauth.conftest import REDIRECT, House
from tests.oauth.test_grants import CLIENT, granted

pytestmark = pytest.mark.anyio

OTHER = Client("other", "registered", "Other", (REDIRECT,))


async def code(house: House) -> str:
    return await house.server.grants.allow(granted(house), REDIRECT, "challenge")


async def issued(house: House) -> Issued:
    redeemed = await house.server.issuing.redeem(await code(house), CLIENT)
    return await house.server.issuing.issue(redeemed.grant)


async def is_good(house: House, token: str) -> bool:
    return await house.server.issuing.read(token) is not None


async def test_a17_a_code_tells_what_it_was_made_for(house: House) -> None:
    redeemed = await house.server.issuing.redeem(await code(house), CLIENT)

    assert (redeemed.redirect_uri, redeemed.challenge) == (REDIRECT, "challenge")
    assert redeemed.grant.granted == granted(house)


async def test_a17_a_code_is_good_once_and_its_copy_ends_all_that_came_of_it(house: House) -> None:
    made = await code(house)
    tokens = await house.server.issuing.issue((await house.server.issuing.redeem(made, CLIENT)).grant)
    assert await is_good(house, tokens.access)
    before = await house.database.revision()
    with pytest.raises(Copied) as copied:
        await house.server.issuing.redeem(made, CLIENT)

    assert copied.value.error == "invalid_grant"
    assert not await is_good(house, tokens.access)
    assert not await is_good(house, tokens.refresh)
    assert await house.database.revision() > before


async def test_a_copy_that_comes_before_the_tokens_leaves_none(house: House) -> None:
    made = await code(house)
    redeemed = await house.server.issuing.redeem(made, CLIENT)
    with pytest.raises(Copied):
        await house.server.issuing.redeem(made, CLIENT)
    with pytest.raises(OAuthRefusal) as ended:
        await house.server.issuing.issue(redeemed.grant)

    assert ended.value.error == "invalid_grant"


async def test_a17_of_many_who_redeem_a_code_at_once_one_does(house: House) -> None:
    made, outcomes = await code(house), list[str]()

    async def redeem() -> None:
        try:
            await house.server.issuing.redeem(made, CLIENT)
            outcomes.append("redeemed")
        except OAuthRefusal as refusal:
            outcomes.append(refusal.error)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(redeem)
    assert sorted(outcomes) == ["invalid_grant"] * 4 + ["redeemed"]


async def test_a17_a_code_is_short_lived_and_a_copy_is_known_even_then(house: House) -> None:
    late, used = await code(house), await code(house)
    tokens = await house.server.issuing.issue((await house.server.issuing.redeem(used, CLIENT)).grant)
    with pytest.raises(OAuthRefusal) as over:
        await house.later(seconds=60).issuing.redeem(late, CLIENT)
    with pytest.raises(Copied):
        await house.later(seconds=600).issuing.redeem(used, CLIENT)

    assert not isinstance(over.value, Copied)
    assert not await is_good(house, tokens.access)


async def test_a17_another_clients_code_is_no_code_and_stays_good(house: House) -> None:
    made = await code(house)
    for wrong, client in ((made, OTHER), ("pkc_unknown", CLIENT), ("", CLIENT)):
        with pytest.raises(OAuthRefusal) as refused:
            await house.server.issuing.redeem(wrong, client)
        assert refused.value.error == "invalid_grant"

    assert await house.server.issuing.redeem(made, CLIENT)


async def test_tokens_are_random_and_never_kept_themselves(house: House) -> None:
    one, other = await issued(house), await issued(house)
    async with house.database.read() as session:
        assert await session.get(TokenRow, digest_of(one.access))
        assert not await session.get(TokenRow, one.access)

    assert len({one.access, one.refresh, other.access, other.refresh}) == 4
    assert (one.access[:4], one.refresh[:4]) == (ACCESS, REFRESH)
    assert min(len(one.access), len(one.refresh)) > 43


async def test_k11_how_long_tokens_live_is_a_setting(house: House) -> None:
    house.trust = Trust(terms=Terms(access_seconds=600, refresh_seconds=7200))
    tokens = await issued(house)
    good = await house.server.issuing.read(tokens.access)

    assert tokens.seconds == 600
    assert good is not None
    assert good.expires - good.created == timedelta(seconds=600)
    assert await house.later(seconds=590).issuing.read(tokens.access)
    assert await house.later(seconds=601).issuing.read(tokens.access) is None
    assert await house.later(seconds=7190).issuing.read(tokens.refresh)
    assert await house.later(seconds=7201).issuing.read(tokens.refresh) is None


async def test_a17_k11_a_refresh_token_gives_way_to_a_new_one(house: House) -> None:
    first = await issued(house)
    second = await house.server.issuing.refresh(first.refresh, CLIENT, None)

    assert second.refresh != first.refresh
    assert second.scopes == first.scopes
    assert [await is_good(house, token) for token in (first.access, second.access, second.refresh)] == [True] * 3
    assert not await is_good(house, first.refresh)


async def test_k11_clients_may_refresh_in_parallel_for_a_minute(house: House) -> None:
    first = await issued(house)
    second = await house.server.issuing.refresh(first.refresh, CLIENT, None)
    third = await house.later(seconds=55).issuing.refresh(first.refresh, CLIENT, None)

    assert await is_good(house, second.access)
    assert await is_good(house, third.access)
    assert len({first.refresh, second.refresh, third.refresh}) == 3


async def test_k11_the_minute_is_not_prolonged_by_using_it(house: House) -> None:
    first = await issued(house)
    await house.server.issuing.refresh(first.refresh, CLIENT, None)
    await house.later(seconds=55).issuing.refresh(first.refresh, CLIENT, None)
    with pytest.raises(Copied):
        await house.later(seconds=61).issuing.refresh(first.refresh, CLIENT, None)


async def test_a17_a_copied_refresh_token_ends_the_family(house: House) -> None:
    first = await issued(house)
    second = await house.server.issuing.refresh(first.refresh, CLIENT, None)
    third = await house.server.issuing.refresh(second.refresh, CLIENT, None)
    with pytest.raises(Copied) as copied:
        await house.later(seconds=61).issuing.refresh(first.refresh, CLIENT, None)

    assert copied.value.error == "invalid_grant"
    for token in (first.access, second.access, third.access, third.refresh):
        assert not await is_good(house, token)
    with pytest.raises(OAuthRefusal):
        await house.server.issuing.refresh(third.refresh, CLIENT, None)


async def test_a17_another_clients_refresh_token_is_none_and_stays_good(house: House) -> None:
    first = await issued(house)
    for wrong, client in ((first.refresh, OTHER), (first.access, CLIENT), ("pkr_unknown", CLIENT)):
        with pytest.raises(OAuthRefusal) as refused:
            await house.server.issuing.refresh(wrong, client, None)
        assert refused.value.error == "invalid_grant"

    assert await is_good(house, first.refresh)


async def test_k11_a_grant_lives_on_from_each_refresh_and_ends_without(house: House) -> None:
    house.trust = Trust(terms=Terms(access_seconds=60, refresh_seconds=1000))
    first = await issued(house)
    second = await house.later(seconds=900).issuing.refresh(first.refresh, CLIENT, None)
    third = await house.later(seconds=1800).issuing.refresh(second.refresh, CLIENT, None)

    with pytest.raises(OAuthRefusal) as over:
        await house.later(seconds=2801).issuing.refresh(third.refresh, CLIENT, None)
    assert over.value.error == "invalid_grant"
    assert not isinstance(over.value, Copied)


async def test_b9_scopes_are_narrowed_for_one_access_token_and_never_widened(house: House) -> None:
    first = await issued(house)  # of mcp:read
    for more in (("mcp:call",), ("mcp:read", "mcp:call")):
        with pytest.raises(OAuthRefusal) as refused:
            await house.server.issuing.refresh(first.refresh, CLIENT, more)
        assert refused.value.error == "invalid_scope"

    assert await is_good(house, first.refresh)
    assert (await house.server.issuing.refresh(first.refresh, CLIENT, ["mcp:read"])).scopes == ("mcp:read",)


async def test_k9_offline_access_that_was_not_granted_is_left_out(house: House) -> None:
    first = await issued(house)
    second = await house.server.issuing.refresh(first.refresh, CLIENT, ["mcp:read", "offline_access"])

    assert second.scopes == ("mcp:read",)


async def test_refreshing_tells_when_the_grant_was_used(house: House) -> None:
    first = await issued(house)
    await house.server.issuing.refresh(first.refresh, CLIENT, None)
    (grant,) = await house.server.grants.of_person(granted(house).person)

    assert grant.last_used is not None


async def test_an_assertion_is_exchanged_once(house: House) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    await house.server.issuing.once("digest", soon)
    with pytest.raises(OAuthRefusal) as again:
        await house.server.issuing.once("digest", soon)

    assert again.value.error == "invalid_grant"
    await house.later(minutes=6).grants.tidy()
    await house.server.issuing.once("digest", soon)
