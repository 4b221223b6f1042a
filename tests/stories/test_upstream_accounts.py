"""People's accounts at a protected server, from a client's first 401 to what happens when things go wrong upstream."""

from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.stories.accounts_house import (
    KEY,
    AccountsHouse,
    accounts,
    connected,
    consenting,
    processes,
    user_of,
)
from tests.stories.browser import browser
from tests.stories.hearing import PATIENCE
from tests.stories.oauth_clients import Kept, sdk_client, typescript_client
from tests.stories.oauth_upstreams import oauth_upstream
from tests.stories.raw_client import Heard

pytestmark = [pytest.mark.anyio, pytest.mark.outside("node")]

ERAS = ("legacy", "modern")


async def over_token_lives(house: AccountsHouse, access: str, user: str, *place: str, lives: int = 3) -> None:
    """Call until so many refreshes were asked for; every call must work."""
    before = await house.upstream.authority.requests("refresh_token")
    with anyio.fail_after(PATIENCE):
        while await house.upstream.authority.requests("refresh_token") < before + lives:
            for era in ERAS:
                assert await house.who(access, *place, era=era) == user


@pytest.mark.outside("chromium")
async def test_the_whole_way_in_a_browser_from_a_clients_401_to_calls_as_oneself(tmp_path: Path) -> None:
    """A20 to A24, A28: with rotation and tokens that live five seconds; a second person has an account of their own."""
    async with (
        oauth_upstream(tmp_path, access_seconds=5) as upstream,
        accounts(tmp_path / "data", upstream) as house,
        browser(house.origin, elsewhere=[upstream.authority.issuer]) as ada,
        browser(house.origin, elsewhere=[upstream.authority.issuer]) as bob,
    ):
        url, hers, his = house.at("blue", "mine"), Kept(), Kept()
        async with (
            sdk_client(url, consenting(ada, "ada", "upstream-ada"), hers) as claude,
            sdk_client(url, consenting(bob, "bob", "upstream-bob"), his, mode="legacy") as other,
        ):
            for client, user in [(claude, "upstream-ada"), (other, "upstream-bob"), (claude, "upstream-ada")]:
                answer = await client.call_tool("whoami", {})
                assert answer.structured_content is not None
                assert answer.structured_content["user"] == user
        assert hers.tokens is not None
        assert his.tokens is not None
        await over_token_lives(house, hers.tokens.access_token, "upstream-ada", "blue", "mine")
        await over_token_lives(house, his.tokens.access_token, "upstream-bob", "blue", "mine", lives=1)

        seen = await upstream.authority.seen()
        assert (seen["refused"], seen["registered"]) == ({}, 1)
        assert seen["granted"]["authorization_code"] == 2
        tokens = {hers.tokens.access_token, his.tokens.access_token}
        assert not [told for told in upstream.server.headers if tokens & set(told.get("authorization", "").split())]


@pytest.mark.outside("chromium")
async def test_a_client_like_claude_code_goes_the_same_way(tmp_path: Path) -> None:
    async with (
        oauth_upstream(tmp_path) as upstream,
        accounts(tmp_path / "data", upstream) as house,
        browser(house.origin, elsewhere=[upstream.authority.issuer]) as ada,
    ):
        consent = consenting(ada, "ada", "upstream-ada")
        seen = await typescript_client(house.at("blue", "mine"), consent, "whoami", {}, home=tmp_path)
        assert seen["tools"] == ["whoami", "slow", "publish"]
        assert seen["result"]["structuredContent"]["user"] == "upstream-ada"
        assert seen["refreshed"]


@pytest.mark.outside("chromium")
async def test_one_account_that_the_workspace_shares_serves_everybody(tmp_path: Path) -> None:
    async with (
        oauth_upstream(tmp_path, access_seconds=5) as upstream,
        accounts(tmp_path / "data", upstream) as house,
        browser(house.origin, elsewhere=[upstream.authority.issuer]) as ada,
        browser(house.origin) as bob,
    ):
        url, hers, his = house.at("blue", "ours"), Kept(), Kept()
        for kept, consent in [
            (hers, consenting(ada, "ada", "upstream-team")),  # she is an admin, who connects it for all
            (his, consenting(bob, "bob")),  # and he is asked for nothing upstream
        ]:
            async with sdk_client(url, consent, kept) as client:
                answer = await client.call_tool("whoami", {})
                assert answer.structured_content is not None
                assert answer.structured_content["user"] == "upstream-team"
        assert his.tokens is not None
        await over_token_lives(house, his.tokens.access_token, "upstream-team", "blue", "ours")
        assert await house.who(KEY, "blue", "ours") == "upstream-team"
        assert (await upstream.authority.seen())["granted"]["authorization_code"] == 1


async def test_fifty_callers_of_three_processes_ask_for_one_new_token(tmp_path: Path) -> None:
    """A28: the token is refused for all of them at once; one request for another one, no failed call."""
    async with oauth_upstream(tmp_path) as upstream, processes(tmp_path, upstream, 3) as houses:
        await houses[0].connected("ada", "ours", "upstream-team")
        for house in houses:
            assert await house.who(KEY, "blue", "ours") == "upstream-team"
        upstream.server.ban()

        async with anyio.create_task_group() as callers:
            for index in range(50):
                house = houses[index % 3]
                callers.start_soon(partial(called, house, ERAS[index % 2], times=4))

        seen = await upstream.authority.seen()
        assert (seen["granted"], seen["refused"]) == ({"authorization_code": 1, "refresh_token": 1}, {})


async def called(house: AccountsHouse, era: str, times: int) -> None:
    """Call again and again; each call must work."""
    for _ in range(times):
        assert await house.who(KEY, "blue", "ours", era=era) == "upstream-team"


async def test_fifty_callers_of_three_processes_go_on_while_tokens_expire(tmp_path: Path) -> None:
    """A28: one request for each token's life. A refresh token that were used twice would end everything upstream."""
    async with oauth_upstream(tmp_path, access_seconds=5) as upstream, processes(tmp_path, upstream, 3) as houses:
        await houses[0].connected("ada", "ours", "upstream-team")
        enough = anyio.Event()

        async def call(house: AccountsHouse, era: str) -> None:
            while not enough.is_set():
                assert await house.who(KEY, "blue", "ours", era=era) == "upstream-team"
                if len(upstream.server.tokens) >= 4:
                    enough.set()

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as callers:
                for index in range(50):
                    callers.start_soon(call, houses[index % 3], ERAS[index % 2])

        seen = await upstream.authority.seen()
        assert seen["refused"] == {}
        # The last one may have been asked for when nobody called any more.
        assert len(upstream.server.tokens) - 1 <= seen["granted"]["refresh_token"] <= len(upstream.server.tokens)


async def test_while_the_authorization_server_is_down_calls_go_on_then_fail_readably_then_recover(
    tmp_path: Path,
) -> None:
    """A30: an upstream's failure is never the gateway's own 401, and costs nobody their token for the gateway."""
    async with oauth_upstream(tmp_path, access_seconds=10) as upstream, accounts(tmp_path / "data", upstream) as house:
        access = await at_work(house)
        await upstream.authority.stop()
        await goes_on_then_fails(house, access)
        await upstream.authority.start()
        with anyio.fail_after(PATIENCE):
            while failed(heard := await house.asked_who(access, "blue", "mine")):
                assert heard.status == 200, heard.body
        assert user_of(heard) == "upstream-ada"
        assert (await upstream.authority.seen())["refused"] == {}


async def test_after_an_authorization_server_hung_calls_recover_or_say_where_to_connect(tmp_path: Path) -> None:
    """A30: what was asked before it hung it may do afterwards, so that the refresh token is used up and nobody has the
    new one; then it ends the grant when it is asked again (RFC 9700, 4.14.2), and only the person can mend that.
    """
    async with oauth_upstream(tmp_path, access_seconds=10) as upstream, accounts(tmp_path / "data", upstream) as house:
        access = await at_work(house)
        upstream.authority.pause()
        await goes_on_then_fails(house, access)
        upstream.authority.go_on()
        with anyio.fail_after(PATIENCE):
            while failed(heard := await house.asked_who(access, "blue", "mine")):
                if "/connect/" in heard.answer["result"]["content"][0]["text"]:
                    async with house.browser("ada") as hers:
                        await connected(house.origin, hers, "mine", "upstream-ada", house.link(heard))
        assert user_of(heard) == "upstream-ada"


async def at_work(house: AccountsHouse) -> str:
    """Ada has connected her account and calls; gives her token."""
    await house.connected("ada", "mine", "upstream-ada")
    access = str((await house.given("ada", "blue", "mine"))["access_token"])
    assert await house.who(access, "blue", "mine") == "upstream-ada"
    return access


async def goes_on_then_fails(house: AccountsHouse, access: str) -> None:
    """Call on without the authorization server: it works while the token lives, and then fails readably."""
    assert await house.who(access, "blue", "mine") == "upstream-ada", "the token lives"
    heard = await until_failed(house, access)
    assert heard.status == 200, heard.body
    [said] = heard.answer["result"]["content"]
    assert "mine" in said["text"]
    assert "/connect/" not in said["text"], "nothing is wrong with the account"
    assert await house.status(access, "blue", "mine") == 200, "the gateway's own token is good"


def failed(heard: Heard) -> bool:
    """Whether a call came to nothing; an error of the protocol would be no readable failure."""
    return bool(heard.answer["result"].get("isError"))


async def until_failed(house: AccountsHouse, access: str) -> Heard:
    """Call until a call fails; gives its answer."""
    with anyio.fail_after(PATIENCE):
        while not failed(heard := await house.asked_who(access, "blue", "mine")):
            assert user_of(heard) == "upstream-ada"
    return heard


@pytest.mark.parametrize("era", ERAS)
async def test_when_access_was_withdrawn_upstream_calls_say_where_to_connect_again(tmp_path: Path, era: str) -> None:
    """A29, A30: the person who called opens the link, signs in once more, and goes on with the same token."""
    async with oauth_upstream(tmp_path) as upstream, accounts(tmp_path / "data", upstream) as house:
        await house.connected("ada", "mine", "upstream-ada")
        await house.connected("bob", "mine", "upstream-bob")
        access = (await house.given("ada", "blue", "mine"))["access_token"]
        his = (await house.given("bob", "blue", "mine"))["access_token"]
        assert await house.who(access, "blue", "mine", era=era) == "upstream-ada"
        upstream.server.ban()
        await upstream.authority.end_grants("upstream-ada")

        link = house.link(await house.asked_who(access, "blue", "mine", era=era))
        assert house.link(await house.asked_who(access, "blue", "mine", era=era)), "it is said each time"
        assert await upstream.authority.requests("refresh_token") == 1, "and asked for once"
        assert await house.status(access, "blue", "mine") == 200
        assert await house.who(his, "blue", "mine", era=era) == "upstream-bob", "nobody else's is touched"

        async with house.browser("ada") as hers:
            await connected(house.origin, hers, "mine", "upstream-ada", link)
        assert await house.who(access, "blue", "mine", era=era) == "upstream-ada"


async def test_a_tool_that_needs_more_says_where_to_allow_it_and_works_afterwards(tmp_path: Path) -> None:
    """A26: what was granted before is asked for again with it."""
    async with oauth_upstream(tmp_path) as upstream, accounts(tmp_path / "data", upstream) as house:
        await house.connected("ada", "mine", "upstream-ada")
        access = (await house.given("ada", "blue", "mine"))["access_token"]
        publish = {"name": "publish", "arguments": {}}
        heard = await house.client(access, "blue", "mine").call("tools/call", publish)
        link = house.link(heard)
        assert await house.who(access, "blue", "mine") == "upstream-ada", "the rest works on"

        async with house.browser("ada") as hers:
            await connected(house.origin, hers, "mine", "upstream-ada", link)
        result = (await house.client(access, "blue", "mine").call("tools/call", publish)).answer["result"]
        assert set(result["structuredContent"]["scope"].split()) >= {"mcp:use", "mcp:publish"}


async def test_nobody_connects_with_anothers_link(tmp_path: Path) -> None:
    """A29, B4: who opens the page must be who called; the link alone is worth nothing."""
    async with oauth_upstream(tmp_path) as upstream, accounts(tmp_path / "data", upstream) as house:
        access = (await house.given("ada", "blue"))["access_token"]
        client = house.client(access, "blue")
        heard = await client.call("tools/call", {"name": "mine__connect_account", "arguments": {}})
        link = house.link(heard)
        async with house.browser() as nobody:
            answer = await nobody.get(link)
            assert answer.is_redirect
            assert "/ui/sign-in" in answer.headers["location"]
        async with house.browser("bob") as his:
            answer = await his.get(link)
            assert answer.status_code in (200, 403)
            if answer.status_code == 200:  # then it is his own account that he would connect
                await connected(house.origin, his, "mine", "upstream-bob", link)
        assert house.link(await client.call("tools/call", {"name": "mine__connect_account", "arguments": {}}))


async def test_where_only_the_authorization_server_knows_of_bound_tokens_plain_ones_are_used(tmp_path: Path) -> None:
    """A33: many list what they can in their metadata; what the server itself takes, its challenge says."""
    async with oauth_upstream(tmp_path, dpop=True) as upstream, accounts(tmp_path / "data", upstream) as house:
        await house.connected("ada", "mine", "upstream-ada")
        access = (await house.given("ada", "blue", "mine"))["access_token"]
        assert await house.who(access, "blue", "mine") == "upstream-ada"
