import anyio
import pytest

from portkey_mcp.errors import InvalidRequest, UpstreamError
from portkey_mcp.gateway.bridge import same
from portkey_mcp.gateway.session import Live
from portkey_mcp.wire import Json
from tests.gateway.house import FORM, envelope, way_of
from tests.gateway.memory_link import Asked, Client, MemoryLink, error

pytestmark = pytest.mark.anyio

QUESTION: Json = {"method": "elicitation/create", "params": {"message": "Sure?"}}


async def asks(asked: Asked) -> Json:
    await asked.notify({"method": "notifications/progress", "params": {"progressToken": "t", "progress": 1}})
    answer = await asked.ask(QUESTION)
    await asked.notify({"method": "notifications/message", "params": {"level": "info", "data": None}})
    return {"content": [], "answer": answer}


async def test_a_legacy_call_passes_as_it_is_with_its_notifications_in_order() -> None:
    link, client = MemoryLink(), Client(elicitation_create={"result": {"action": "accept"}})
    link.on("tools/call", asks)
    params: Json = {"name": "x", "big": 2**70, "_meta": {"vendor": None}}
    result = await same.legacy(way_of(link, "tools/call", params, client, capabilities=FORM))

    assert link.requests[0].params == params
    assert client.methods == ["notifications/progress", "notifications/message"]
    assert client.questions == [QUESTION]
    assert result == {"content": [], "answer": {"result": {"action": "accept"}}}


async def test_a_legacy_client_is_never_asked_what_it_did_not_declare() -> None:
    link, client = MemoryLink(), Client()
    link.on("tools/call", asks)
    result = await same.legacy(way_of(link, "tools/call", {}, client))

    assert result["answer"]["error"]["code"] == -32601
    assert client.questions == []


async def test_what_a_session_set_is_told_to_a_link_that_comes_later_and_only_once() -> None:
    live, client = Live(), Client()
    first, second = MemoryLink(), MemoryLink()
    for link in (first, second):
        for method in ("logging/setLevel", "resources/subscribe", "tools/call"):
            link.on(method, {})
    await same.legacy(way_of(first, "logging/setLevel", {"level": "debug"}, client, live=live))
    await same.legacy(way_of(first, "resources/subscribe", {"uri": "f:x"}, client, live=live))
    for _ in range(2):
        await same.legacy(way_of(second, "tools/call", {}, client, live=live))

    assert (live.log_level, live.subscriptions) == ("debug", {("alpha", "f:x")})
    assert [asked.method for asked in second.requests] == [
        "logging/setLevel",
        "resources/subscribe",
        "tools/call",
        "tools/call",
    ]
    assert [asked.method for asked in first.requests] == ["logging/setLevel", "resources/subscribe"]


async def test_what_an_upstream_refused_is_not_remembered() -> None:
    live, link = Live(), MemoryLink()

    with pytest.raises(UpstreamError):
        await same.legacy(way_of(link, "resources/subscribe", {"uri": "f:x"}, Client(), live=live))
    assert live.subscriptions == set()


async def test_a_link_that_refuses_or_never_answers_what_it_is_told_costs_no_call() -> None:
    async def silent(asked: Asked) -> Json:
        await anyio.sleep_forever()
        raise AssertionError

    live, link = Live(log_level="debug", subscriptions={("alpha", "f:x")}), MemoryLink()
    link.on("logging/setLevel", silent)
    link.on("tools/call", {"ok": True})

    assert await same.legacy(way_of(link, "tools/call", {}, Client(), live=live, timeout=0.05)) == {"ok": True}


async def test_a_modern_call_passes_as_it_is() -> None:
    link, client = MemoryLink(era="modern"), Client()
    result: Json = {"resultType": "vendor", "x": None, "big": 2**70}
    link.on("tools/call", result)
    params = {"name": "x", "_meta": envelope(), "inputResponses": {"a": 1}, "requestState": "s"}

    assert await same.modern(way_of(link, "tools/call", params, client, "modern")) == result
    assert link.requests[0].params == params


async def test_a_modern_result_without_its_type_gets_one() -> None:
    link = MemoryLink(era="modern")
    link.on("vendor/x", {"a": 1})

    assert await same.modern(way_of(link, "vendor/x", {}, Client(), "modern")) == {"a": 1, "resultType": "complete"}


async def test_a_modern_upstream_that_asks_is_told_that_it_cannot() -> None:
    link, client = MemoryLink(era="modern"), Client()
    link.on("tools/call", asks)
    result = await same.modern(way_of(link, "tools/call", {}, client, "modern", capabilities=FORM))

    assert "error" in result["answer"]
    assert client.questions == []


async def test_required_input_reaches_a_modern_client_unchanged() -> None:
    link = MemoryLink(era="modern")
    wanted = {"resultType": "input_required", "inputRequests": {"a": QUESTION}, "requestState": "s"}
    link.on("tools/call", wanted)

    assert await same.modern(way_of(link, "tools/call", {}, Client(), "modern", capabilities=FORM)) == wanted


async def test_input_of_a_kind_the_client_did_not_declare_names_the_missing_capability() -> None:
    link = MemoryLink(era="modern")
    link.on("tools/call", {"resultType": "input_required", "inputRequests": {"a": QUESTION, "b": 7}})

    with pytest.raises(InvalidRequest) as caught:
        await same.modern(way_of(link, "tools/call", {}, Client(), "modern"))
    assert (caught.value.code, caught.value.data) == (-32021, {"requiredCapabilities": {"elicitation": {}}})


async def test_an_error_passes_as_it_is_in_both_eras() -> None:
    vendor = error(-31999, "vendor", {"x": [None]})

    async def fails(asked: Asked) -> Json:
        raise vendor

    for era, forward in (("legacy", same.legacy), ("modern", same.modern)):
        link = MemoryLink(era=era)  # type: ignore[arg-type]
        link.on("tools/call", fails)
        with pytest.raises(UpstreamError) as caught:
            await forward(way_of(link, "tools/call", {}, Client(), era))  # type: ignore[arg-type]
        assert caught.value.error == vendor.error


async def test_cancelling_the_call_cancels_it_upstream() -> None:
    async def silent(asked: Asked) -> Json:
        await anyio.sleep_forever()
        raise AssertionError

    link = MemoryLink()
    link.on("tools/call", silent)
    async with anyio.create_task_group() as group:
        group.start_soon(same.legacy, way_of(link, "tools/call", {}, Client()))
        await link.until(lambda: link.requests)
        group.cancel_scope.cancel()

    assert link.requests[0].cancelled
