from typing import Any

import anyio
import pytest

from portkey_mcp.errors import InvalidRequest, UpstreamDown, UpstreamError, UpstreamTimeout
from portkey_mcp.model import Era
from portkey_mcp.wire import Json
from tests.gateway.house import CAPABILITIES_KEY, FORM, house
from tests.gateway.memory_link import SERVER_INFO_KEY, Asked, Client, MemoryLink, error

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])
UPSTREAMS = pytest.mark.parametrize("upstream", ["legacy", "modern"])
MARKED: Json = {"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": "City"}}}


@ERAS
@UPSTREAMS
async def test_a_call_is_answered_in_the_callers_era(era: Era, upstream: Era) -> None:
    link = MemoryLink(era=upstream)
    link.on("tools/call", {"content": [], "vendor": None})
    async with house(link) as place:
        lane = place.lane(place.call("tools/call", {"name": "x"}, era=era))
        result = await lane.request("tools/call", {"name": "x"}, Client())

    assert result["vendor"] is None
    assert ("resultType" in result) == (era == "modern")
    assert (CAPABILITIES_KEY in str(link.requests[0].params)) == (upstream == "modern" and era == "legacy")


@ERAS
@UPSTREAMS
async def test_a_greeting_is_in_the_callers_era(era: Era, upstream: Era) -> None:
    link = MemoryLink(era=upstream, instructions="Be kind.")
    link.on("server/discover", link.hello)
    async with house(link) as place:
        method = "initialize" if era == "legacy" else "server/discover"
        hello = await place.lane(place.call(method, {}, era=era)).hello()

    info = hello["serverInfo"] if era == "legacy" else hello["_meta"][SERVER_INFO_KEY]
    assert (info["name"], hello["instructions"]) == ("alpha-server", "Be kind.")
    assert ("protocolVersion" in hello) == (era == "legacy")
    assert ("supportedVersions" in hello) == (era == "modern")


@pytest.mark.parametrize(
    ("era", "method"),
    [
        ("modern", "initialize"),
        ("modern", "ping"),
        ("modern", "logging/setLevel"),
        ("modern", "resources/subscribe"),
        ("modern", "resources/unsubscribe"),
        ("legacy", "server/discover"),
        ("legacy", "subscriptions/listen"),
    ],
)
@UPSTREAMS
async def test_a_method_of_the_other_era_is_not_found(era: Era, method: str, upstream: Era) -> None:
    link = MemoryLink(era=upstream)
    link.on(method, {})
    async with house(link) as place:
        with pytest.raises(InvalidRequest) as caught:
            await place.lane(place.call(method, {"uri": "f:x"}, era=era)).request(method, {"uri": "f:x"}, Client())

    assert caught.value.code == -32601
    assert link.requests == []


@pytest.mark.parametrize(("era", "upstream", "crosses"), [("legacy", "modern", True), ("modern", "modern", False)])
async def test_tasks_never_cross_eras(era: Era, upstream: Era, crosses: bool) -> None:
    link = MemoryLink(era=upstream)
    link.on("tasks/get", {"taskId": "t"})
    async with house(link) as place:
        lane = place.lane(place.call("tasks/get", {"taskId": "t"}, era=era))
        if crosses:
            with pytest.raises(InvalidRequest, match="not found"):
                await lane.request("tasks/get", {"taskId": "t"}, Client())
        else:
            assert (await lane.request("tasks/get", {"taskId": "t"}, Client()))["taskId"] == "t"


async def test_unknown_methods_pass() -> None:
    link = MemoryLink()
    link.on("vendor/x", {"y": None})
    async with house(link) as place:
        lane = place.lane(place.call("vendor/x", {"z": 1}, era="legacy"))

        assert await lane.request("vendor/x", {"z": 1}, Client()) == {"y": None}


async def test_what_is_hidden_is_neither_listed_nor_called_nor_heard_of() -> None:
    async def reads(asked: Asked) -> Json:
        for uri in ("f:hidden", "f:seen"):
            await asked.notify({"method": "notifications/resources/updated", "params": {"uri": uri}})
        return {"tools": [{"name": "hidden"}, {"name": "seen"}]}

    link = MemoryLink()
    link.on("tools/list", reads)
    link.on("tools/call", {})
    async with house(link, hidden=["alpha/hidden", "resource:alpha/f:hidden"]) as place:
        lane, client = place.lane(place.call("tools/list", era="legacy")), Client()
        assert (await lane.request("tools/list", None, client))["tools"] == [{"name": "seen"}]
        with pytest.raises(InvalidRequest, match="Unknown tool: hidden"):
            await lane.request("tools/call", {"name": "hidden"}, client)

    assert [message["params"]["uri"] for message in client.heard] == ["f:seen"]
    assert link.asked("tools/call") == []


async def test_a_bundles_lane_has_what_the_bundle_chose() -> None:
    link = MemoryLink()
    link.on("tools/call", {})
    async with house(link) as place:
        lane = place.lane(place.call("tools/call"), "alpha", "alpha/read_*")
        await lane.request("tools/call", {"name": "read_file"}, Client())
        with pytest.raises(InvalidRequest):
            await lane.request("tools/call", {"name": "write_file"}, Client())


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_tools_that_changed_under_our_headers_are_looked_up_and_the_call_is_sent_once_more(era: Era) -> None:
    async def picky(asked: Asked) -> Json:
        if (asked.headers or {}) != {"Mcp-Param-City": "Rome"}:
            raise error(-32020, "mismatch")
        return {"content": []}

    link = MemoryLink(era="modern")
    link.on("tools/list", {"tools": [{"name": "weather", "inputSchema": {"type": "object"}}]})
    link.on("tools/call", picky)
    params: Json = {"name": "weather", "arguments": {"city": "Rome"}}
    async with house(link) as place:
        headers = {"mcp-param-city": "Rome"} if era == "modern" else {}
        lane = place.lane(place.call("tools/call", params, era=era, headers=headers))
        await _prime(lane, link, params)
        link.on("tools/list", {"tools": [{"name": "weather", "inputSchema": MARKED}]})
        assert (await lane.request("tools/call", params, Client()))["content"] == []

    assert len(link.asked("tools/list")) == 2


async def _prime(lane: Any, link: MemoryLink, params: Json) -> None:
    """Have the present schema looked up, as an earlier call would."""
    with pytest.raises(UpstreamError):
        await lane.request("tools/call", {**params, "name": "weather", "arguments": {"other": 1}}, Client())
    link.requests[:] = link.asked("tools/list")[-1:]


async def test_a_mismatch_that_stays_is_shown_as_the_gateways_own_fault() -> None:
    async def never(asked: Asked) -> Json:
        raise error(-32020, "mismatch")

    link = MemoryLink(era="modern")
    link.on("tools/call", never)
    link.on("tools/list", never)
    async with house(link) as place:
        for method in ("tools/call", "tools/list"):
            for era in ("modern", "legacy"):
                lane = place.lane(place.call(method, {"name": "x"}, era=era))
                with pytest.raises(UpstreamError) as caught:
                    await lane.request(method, {"name": "x"}, Client())
                assert caught.value.code == -32603

    assert len(link.asked("tools/call")) == 4


async def test_a_call_that_failed_otherwise_is_never_sent_twice() -> None:
    async def fails(asked: Asked) -> Json:
        raise UpstreamDown("alpha", "broke off", sent=True)

    link = MemoryLink()
    link.on("tools/call", fails)
    async with house(link) as place:
        with pytest.raises(UpstreamDown):
            await place.lane(place.call("tools/call")).request("tools/call", {"name": "x"}, Client())

    assert len(link.asked("tools/call")) == 1


async def test_a_request_of_the_gateways_own_has_its_time_and_answers_no_questions() -> None:
    async def silent(asked: Asked) -> Json:
        assert "error" in await asked.ask({"method": "roots/list"})
        await asked.notify({"method": "notifications/message"})
        await anyio.sleep_forever()
        raise AssertionError

    link = MemoryLink(era="modern")
    link.on("tools/list", silent)
    async with house(link, timeout=0.02) as place:
        lane = place.lane(place.call("tools/list", capabilities=FORM))
        with pytest.raises(UpstreamTimeout):
            await lane.ask_link(link, "tools/list", {})

    assert link.requests[0].params == {"_meta": {CAPABILITIES_KEY: FORM}}
    assert link.requests[0].cancelled


async def test_a_clients_notification_goes_to_a_legacy_upstream_only() -> None:
    old, new = MemoryLink("old"), MemoryLink("new", "modern")
    async with house(old, new) as place:
        call = place.call("notifications/roots/list_changed", era="legacy", at="old")
        for name in ("old", "new"):
            await place.lane(call, name).notify("notifications/roots/list_changed", None)

    assert old.notifications == [("notifications/roots/list_changed", None)]
    assert new.notifications == []
