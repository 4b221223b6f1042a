import anyio
import pytest

from portkey_mcp.errors import InvalidRequest
from portkey_mcp.gateway.single import Single, visible_filter, wanted_of
from portkey_mcp.gateway.wanting import CONNECT
from portkey_mcp.model import Era
from portkey_mcp.policy.decide import Rules
from portkey_mcp.wire import Json
from tests.gateway.asgi import legacy
from tests.gateway.asgi import modern as modern_message
from tests.gateway.house import House, hiding, house
from tests.gateway.memory_link import SUBSCRIPTION_KEY, Client, MemoryLink
from tests.gateway.served import INITIALIZE
from tests.gateway.wanting_house import CLIENT, ECHO, UPSTREAM, is_said, over_http, text_of, wanting
from tests.upstream.accounts import PAGE

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


@UPSTREAM
@CLIENT
async def test_greetings_and_lists_never_fail_for_want_of_an_account(upstream: Era, era: Era) -> None:
    async with wanting(upstream, title="Alpha Inc") as place:
        greet = "initialize" if era == "legacy" else "server/discover"
        hello = (await place.answer(greet, {}, era=era))["result"]
        listed = (await place.answer("tools/list", {}, era=era))["result"]
        prompts = (await place.answer("prompts/list", {}, era=era))["result"]
        info = hello["serverInfo"] if era == "legacy" else hello["_meta"]["io.modelcontextprotocol/serverInfo"]
        assert (info["name"], info["title"]) == ("alpha", "Alpha Inc")
        assert hello["capabilities"] == {"tools": {"listChanged": True}}
        assert f"{PAGE}/alpha" in hello["instructions"]
        assert hello["protocolVersion" if era == "legacy" else "supportedVersions"] in ("2025-11-25", ["2026-07-28"])
        (only,) = listed["tools"]
        assert only["name"] == CONNECT
        assert f"{PAGE}/alpha" in only["description"]
        assert prompts["prompts"] == []
        if era == "modern":
            assert (listed["ttlMs"], listed["cacheScope"], listed["resultType"]) == (0, "private", "complete")
        assert is_said(await place.answer("tools/call", {"name": CONNECT}, era=era))
        await place.connect()
        assert "connected" in text_of(await place.answer("tools/call", {"name": CONNECT}, era=era))
        listed = (await place.answer("tools/list", {}, era=era))["result"]
        assert [one["name"] for one in listed["tools"]] == ["echo"]
        assert text_of(await place.answer("tools/call", ECHO, era=era)) == "t1"


@UPSTREAM
@CLIENT
async def test_an_account_that_ends_overnight_leaves_the_client_a_way_back(upstream: Era, era: Era) -> None:
    async with wanting(upstream) as place:
        await place.connect()
        assert text_of(await place.answer("tools/call", ECHO, era=era)) == "t1"
        place.good.clear()
        assert is_said(await place.answer("tools/call", ECHO, era=era))
        assert is_said(await place.answer("tools/call", {"name": CONNECT}, era=era))
        greet = "initialize" if era == "legacy" else "server/discover"
        assert "result" in await place.answer(greet, {}, era=era)
        listed = (await place.answer("tools/list", {}, era=era))["result"]
        assert [one["name"] for one in listed["tools"]] == [CONNECT]
        await place.connect(token="t2")
        assert text_of(await place.answer("tools/call", ECHO, era=era)) == "t2"


@UPSTREAM
@pytest.mark.parametrize("status", [401, 403])
async def test_a30_a_servers_refusal_is_never_the_gateways_own(upstream: Era, status: int) -> None:
    """POST, greeting and standing stream, in both eras: a client that saw 401 would sign in at the wrong place."""
    async with wanting(upstream, status=status) as place, over_http(place) as browser:
        place.tokens.stubborn = True
        place.tokens.held["ada"] = "refused"
        place.good.add("good")
        for refused in (True, False):
            if not refused:
                await place.connect(token="good")
            answered = await browser.post("/", legacy("initialize", INITIALIZE))
            assert answered.status == 200
            assert ("error" in answered.json) == refused
            posted = await browser.post("/", legacy("tools/call", ECHO))
            assert (posted.status, posted.json["result"].get("isError", False)) == (200, refused)
            for method, params in (("server/discover", {}), ("tools/call", ECHO), ("tools/list", {})):
                message, headers = modern_message(method, params)
                answered_too = await browser.post("/", message, **headers)
                assert answered_too.status == 200
                assert ("HTTP" in str(answered_too.json)) == refused
            assert "www-authenticate" not in {*answered.headers, *posted.headers, *answered_too.headers}
        session = (await browser.post("/", legacy("initialize", INITIALIZE))).headers["mcp-session-id"]
        place.good.clear()
        async with browser.open("/", method="GET", mcp_session_id=session) as stream:
            await stream.until(lambda: stream.messages)
            assert stream.status == 200


@UPSTREAM
async def test_a_modern_listener_hears_that_there_are_tools_now(upstream: Era) -> None:
    wanted = {"notifications": {"toolsListChanged": True, "promptsListChanged": True}}
    async with wanting(upstream) as place:
        client = Client()
        async with anyio.create_task_group() as group:
            call = place.house.call("subscriptions/listen", wanted)
            group.start_soon(place.house.corridor.answer, call, client)
            await client.until(lambda: client.heard)
            await place.connect()
            await client.until(lambda: len(client.heard) > 1)
            group.cancel_scope.cancel()

    assert client.heard[0]["params"]["notifications"] == {"toolsListChanged": True}
    assert client.methods[1:] == ["notifications/tools/list_changed"]
