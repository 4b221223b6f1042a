import anyio
import pytest

from portkey_mcp.errors import InvalidRequest
from portkey_mcp.gateway.single import Single, visible_filter, wanted_of
from portkey_mcp.model import Era
from portkey_mcp.policy.decide import Rules
from portkey_mcp.wire import Json
from tests.gateway.house import House, hiding, house
from tests.gateway.memory_link import SUBSCRIPTION_KEY, Client, MemoryLink

pytestmark = pytest.mark.anyio

TOOLS, UPDATED = "notifications/tools/list_changed", "notifications/resources/updated"
UPSTREAMS = pytest.mark.parametrize("upstream", ["legacy", "modern"])


def single(place: House, wanted: Json | None, ident: object = 1) -> Single:
    params = {} if wanted is None else {"notifications": wanted}
    call = place.call("subscriptions/listen", params, id=ident)
    return Single(place.means, place.workspace.servers["alpha"], call, Rules(place.workspace.policy or hiding()))


@UPSTREAMS
async def test_a_listen_stream_is_served_whatever_the_upstreams_era(upstream: Era) -> None:
    link, client = MemoryLink(era=upstream), Client()
    for method in ("resources/subscribe", "resources/unsubscribe"):
        link.on(method, {})
    wanted: Json = {"toolsListChanged": True, "resourceSubscriptions": ["f:a", "f:secret"]}
    async with house(link, hidden=["resource:alpha/f:secret"]) as place, anyio.create_task_group() as group:
        group.start_soon(single(place, wanted, "id").request, client)
        await client.until(lambda: client.heard)
        await link.until(lambda: link.listeners)
        await link.tell(TOOLS)
        await link.tell("notifications/prompts/list_changed")
        await link.tell(UPDATED, {"uri": "f:secret"})
        await link.tell(UPDATED, {"uri": "f:a"})
        group.cancel_scope.cancel()

    acknowledged, *events = client.heard
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert acknowledged["params"]["notifications"] == {"toolsListChanged": True, "resourceSubscriptions": ["f:a"]}
    assert [event["method"] for event in events] == [TOOLS, UPDATED]
    assert {message["params"]["_meta"][SUBSCRIPTION_KEY] for message in client.heard} == {"id"}
    assert events[1]["params"]["uri"] == "f:a"


async def test_only_what_a_legacy_upstream_can_deliver_is_acknowledged() -> None:
    link, client = MemoryLink(capabilities={"tools": {}}), Client()
    async with house(link) as place, anyio.create_task_group() as group:
        group.start_soon(single(place, {"toolsListChanged": True, "resourceSubscriptions": ["f:a"]}).request, client)
        await client.until(lambda: client.heard)
        group.cancel_scope.cancel()

    assert client.heard[0]["params"]["notifications"] == {}
    assert link.asked("resources/subscribe") == []


async def test_a_stream_that_a_modern_upstream_ends_ends_with_this_hops_id() -> None:
    link = MemoryLink(era="modern")
    link.on("subscriptions/listen", {"resultType": "complete", "_meta": {SUBSCRIPTION_KEY: 99, "v": 1}})
    async with house(link) as place:
        result = await single(place, {}, 7).request(Client())

    assert result == {"resultType": "complete", "_meta": {SUBSCRIPTION_KEY: 7, "v": 1}}


@UPSTREAMS
async def test_listening_without_a_filter_is_refused(upstream: Era) -> None:
    async with house(MemoryLink(era=upstream)) as place:
        with pytest.raises(InvalidRequest) as caught:
            await single(place, None).request(Client())

    assert caught.value.code == -32602


async def test_a_filter_loses_hidden_resources_and_nothing_else() -> None:
    async with house(MemoryLink(), hidden=["resource:alpha/f:secret"]) as place:
        call = place.call("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["f:secret", 7, "f:a"]}})
        assert visible_filter(place.lane(call), wanted_of(call)) == {"resourceSubscriptions": ["f:a"]}
        assert visible_filter(place.lane(call), {"vendor": 1}) == {"vendor": 1}
    async with house(MemoryLink()) as place:
        wanted: Json = {"resourceSubscriptions": ["f:secret", 7]}
        assert visible_filter(place.lane(place.call("x")), wanted) is wanted


async def test_other_requests_greetings_and_notifications_are_the_servers_own() -> None:
    link = MemoryLink(instructions="Be kind.")
    link.on("tools/list", {"tools": [{"name": "a.b", "x": None}]})
    async with house(link) as place:
        call = place.call("tools/list", era="legacy")
        served = Single(place.means, place.workspace.servers["alpha"], call, Rules(hiding()))

        assert await served.hello() == link.hello
        assert await served.request(Client()) == {"tools": [{"name": "a.b", "x": None}]}
        await served.notify("vendor/news", {"a": 1})
        assert len(served.sources()) == 1

    assert link.notifications == [("vendor/news", {"a": 1})]
