from typing import Any

import pytest

from portkey_mcp.gateway.lasting import LONGEST, milliseconds, seconds_of, timed
from portkey_mcp.model import Era
from portkey_mcp.wire import Json, Raw, dumps, loads
from tests.gateway.house import ADA, BOB, FORM, House, envelope, house
from tests.gateway.memory_link import Asked, Client, MemoryLink

pytestmark = pytest.mark.anyio

CHANGED = "notifications/tools/list_changed"
SCOPES = pytest.mark.parametrize("scope", ["public", "private"])


def server(scope: Any = "public", era: Era = "modern", **more: Any) -> MemoryLink:
    """A server whose list is good for a minute; it says how often it was asked."""
    link = MemoryLink("alpha", era)

    async def listed(_: Asked) -> Json:
        tools = [{"name": "seen", "title": str(len(link.asked("tools/list")))}, {"name": "secret"}]
        return Raw({"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": scope, **more})

    link.on("tools/list", listed)
    link.on("tools/call", {"resultType": "complete", "content": []})
    return link


async def listing(place: House, **more: Any) -> Json:
    result: Json = (await place.answer("tools/list", **more))["result"]
    return result


@SCOPES
async def test_a_list_is_served_until_it_runs_out_and_says_how_long_it_has_left(scope: str) -> None:
    link = server(scope)
    async with house(link) as place:
        first = await listing(place)
        place.clock.now += 20
        second = await listing(place)
        place.clock.now += 40
        third = await listing(place)

    assert second == {**first, "ttlMs": 40_000}
    assert isinstance(second, Raw)
    assert loads(second.text) == second
    assert (third["ttlMs"], len(link.asked("tools/list"))) == (60_000, 2)


@pytest.mark.parametrize(("scope", "asked"), [("public", 1), ("private", 2), (None, 2), ("everybody", 2)])
async def test_only_a_public_list_is_shared_between_principals(scope: Any, asked: int) -> None:
    link = server(scope)
    async with house(link) as place:
        for who in (ADA, BOB, ADA, BOB):
            await listing(place, principal=who)

    assert len(link.asked("tools/list")) == asked


async def test_a_private_list_is_another_for_a_client_with_other_capabilities() -> None:
    link = server("private")
    async with house(link) as place:
        await listing(place)
        await listing(place, capabilities=FORM)

    assert len(link.asked("tools/list")) == 2


async def test_what_policy_hides_is_hidden_in_a_kept_list_which_is_private_then() -> None:
    link = server()
    async with house(link, hidden=["alpha/secret"]) as place:
        for _ in range(2):
            result = await listing(place)
            assert [tool["name"] for tool in result["tools"]] == ["seen"]
            assert result["cacheScope"] == "private"

    assert len(link.asked("tools/list")) == 1


@SCOPES
async def test_a_list_is_asked_for_anew_after_a_call_of_the_same_principal(scope: str) -> None:
    link = server(scope)
    async with house(link) as place:
        before = await listing(place)
        await place.answer("tools/call", {"name": "seen"})

        assert (await listing(place))["tools"] != before["tools"]
        assert len(link.asked("tools/list")) == 2


@SCOPES
async def test_a_list_is_asked_for_anew_after_the_server_said_that_it_changed(scope: str) -> None:
    link = server(scope)

    async def tells(asked: Asked) -> Json:
        await asked.notify({"method": CHANGED})
        return {"resultType": "complete", "content": []}

    link.on("tools/call", tells)
    async with house(link) as place:
        await listing(place)
        await place.answer("tools/call", {"name": "seen"}, principal=BOB)
        await listing(place)

    assert len(link.asked("tools/list")) == 2


async def test_a_change_heard_on_a_listen_stream_makes_lists_old() -> None:
    link = server()
    async with house(link) as place:
        call = place.call("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, principal=BOB)
        client = Client()
        place.tasks.start_soon(place.corridor.answer, call, client)
        await link.until(lambda: link.listeners)
        await listing(place)
        await listing(place)
        assert len(link.asked("tools/list")) == 1

        await link.tell(CHANGED)
        await listing(place)

    assert len(link.asked("tools/list")) == 2


@pytest.mark.parametrize(
    "params",
    [{"filter": "x"}, {"_meta": envelope(**{"com.example/tenant": "x"})}, {"_meta": 7}, {"cursor": 7}],
)
async def test_a_request_that_says_more_than_its_cursor_is_always_sent(params: Json) -> None:
    link = server()
    async with house(link) as place:
        for _ in range(2):
            await place.answer("tools/list", params)

    assert len(link.asked("tools/list")) == 2


async def test_pages_are_kept_by_their_cursor_and_an_empty_one_is_one() -> None:
    link = server()
    async with house(link) as place:
        for params in ({}, {"cursor": ""}, {"cursor": "x"}) * 2:
            await place.answer("tools/list", params)

    assert len(link.asked("tools/list")) == 3


@pytest.mark.parametrize("odd", [{"ttlMs": 0}, {"ttlMs": -5}, {"ttlMs": True}, {"ttlMs": "9"}, {"resultType": "other"}])
async def test_a_list_that_is_not_said_to_be_good_for_a_while_is_not_kept(odd: Json) -> None:
    link = server(**odd)
    async with house(link) as place:
        await listing(place)
        await listing(place)

    assert len(link.asked("tools/list")) == 2


@pytest.mark.parametrize(("era", "upstream"), [("legacy", "legacy"), ("legacy", "modern"), ("modern", "legacy")])
async def test_nothing_is_kept_where_one_side_is_of_the_legacy_era(era: Era, upstream: Era) -> None:
    link = server(era=upstream)
    async with house(link) as place:
        await listing(place, era=era)
        await listing(place, era=era)

    assert len(link.asked("tools/list")) == 2


def test_times_that_make_no_sense_are_no_time() -> None:
    assert [seconds_of(ttl) for ttl in (1500, 0, -1, None, "5", 1.5, True)] == [1.5, 0, 0, 0, 0, 0, 0]
    assert seconds_of(10**400) == LONGEST
    assert (milliseconds(1.2345), milliseconds(-1)) == (1234, 0)


@pytest.mark.parametrize("ttl", [0, 5])
def test_a_time_is_put_into_the_text_that_is_there(ttl: int) -> None:
    result = timed(Raw({"tools": []}), ttl)

    assert result.text == dumps(result) == b'{"tools":[],"ttlMs":%d}' % ttl
