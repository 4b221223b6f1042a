from typing import Any

import anyio
import pytest

from portkey_mcp.errors import InvalidRequest, UpstreamError
from portkey_mcp.gateway.bridge import legacy_on_modern
from portkey_mcp.gateway.bridge.legacy_on_modern import forward, legacy_question
from portkey_mcp.gateway.session import Live
from portkey_mcp.wire import Json
from tests.gateway.house import CAPABILITIES_KEY, LEVEL_KEY, way_of
from tests.gateway.memory_link import SERVER_INFO_KEY, Asked, Client, MemoryLink, error

pytestmark = pytest.mark.anyio

BOTH: Json = {"elicitation": {"form": {}, "url": {}}, "sampling": {}}
FORM: Json = {"method": "elicitation/create", "params": {"message": "Sure?"}}
SAMPLE: Json = {"method": "sampling/createMessage", "params": {"messages": []}}
YES: Json = {"result": {"action": "accept"}}


def wants(requests: Json | None = None, state: str | None = None) -> Json:
    result: Json = {"resultType": "input_required"}
    if requests is not None:
        result["inputRequests"] = requests
    return result if state is None else {**result, "requestState": state}


def rounds(link: MemoryLink, *results: Json) -> None:
    left = list(results)

    async def next_result(asked: Asked) -> Json:
        return left.pop(0)

    link.on("tools/call", next_result)


async def forwarded(link: MemoryLink, params: Json | None = None, client: Client | None = None, **more: Any) -> Json:
    with anyio.fail_after(10):
        return await forward(way_of(link, more.pop("method", "tools/call"), params, client or Client(), **more))


async def test_a_request_gets_an_envelope_and_its_result_loses_what_is_modern() -> None:
    link = MemoryLink(era="modern")
    rounds(link, {"resultType": "complete", "content": [], "x": None, "_meta": {SERVER_INFO_KEY: {}, "v": 1}})
    result = await forwarded(
        link, {"name": "x", "_meta": {"v": 1}}, capabilities={"roots": {}}, live=Live(log_level="info")
    )

    meta = (link.requests[0].params or {})["_meta"]
    assert (meta["v"], meta[CAPABILITIES_KEY], meta[LEVEL_KEY]) == (1, {"roots": {}}, "info")
    assert result == {"content": [], "x": None, "_meta": {"v": 1}}


async def test_the_tasks_extension_is_not_honoured_for_a_legacy_client() -> None:
    link = MemoryLink(era="modern")
    rounds(link, {})
    extensions: Json = {"io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": {}}
    await forwarded(link, {}, capabilities={"extensions": extensions, "tasks": {}})

    declared = (link.requests[0].params or {})["_meta"][CAPABILITIES_KEY]
    assert declared == {"extensions": {"io.modelcontextprotocol/ui": {}}}


async def test_required_input_is_asked_for_in_place_and_the_call_sent_again() -> None:
    link = MemoryLink(era="modern")
    client = Client(elicitation_create=YES, sampling_createMessage={"result": {"role": "assistant"}})
    rounds(link, wants({"a": FORM, "b": SAMPLE}, "s-1"), {"content": []})
    result = await forwarded(link, {"name": "x"}, client, capabilities=BOTH)

    again = link.requests[1].params or {}
    assert result == {"content": []}
    assert again["inputResponses"] == {"a": YES["result"], "b": {"role": "assistant"}}
    assert again["requestState"] == "s-1"
    assert sorted(question["method"] for question in client.questions) == [FORM["method"], SAMPLE["method"]]
    assert client.heard == []


async def test_a_state_is_echoed_only_in_the_round_after_it() -> None:
    link = MemoryLink(era="modern")
    rounds(link, wants({"a": FORM}, "s-1"), wants({"b": FORM}), {})
    await forwarded(link, {}, Client(elicitation_create=YES), capabilities=BOTH)

    first, second, third = [asked.params or {} for asked in link.requests]
    assert "requestState" not in first
    assert second["requestState"] == "s-1"
    assert "requestState" not in third
    assert list(third["inputResponses"]) == ["b"]


async def test_a_state_alone_is_sent_back_after_a_moment() -> None:
    link = MemoryLink(era="modern")
    rounds(link, wants(None, "s-1"), {"done": True})

    assert await forwarded(link, {}) == {"done": True}
    assert "inputResponses" not in (link.requests[1].params or {})


async def test_a_server_that_never_stops_asking_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy_on_modern, "MOST_ROUNDS", 3)
    link = MemoryLink(era="modern")
    rounds(link, *[wants({"a": FORM}, "s")] * 9)

    with pytest.raises(InvalidRequest, match="3 rounds"):
        await forwarded(link, {}, Client(elicitation_create=YES), capabilities=BOTH)
    assert len(link.requests) == 3


async def test_a_client_that_refuses_ends_the_call_with_its_own_error_and_the_other_questions() -> None:
    link = MemoryLink(era="modern")
    rounds(link, wants({"a": FORM, "b": SAMPLE}))
    client = Client(elicitation_create={"error": {"code": -1, "message": "user left", "data": 7}})

    with pytest.raises(InvalidRequest) as caught:
        await forwarded(link, {}, client, capabilities=BOTH)
    assert (caught.value.code, caught.value.message, caught.value.data) == (-1, "user left", 7)


async def test_a_client_is_never_asked_what_it_did_not_declare() -> None:
    link, client = MemoryLink(era="modern"), Client()
    rounds(link, wants({"a": SAMPLE}))

    with pytest.raises(InvalidRequest) as caught:
        await forwarded(link, {}, client, capabilities={"elicitation": {}})
    assert caught.value.code == -32601
    assert client.questions == []


def test_an_elicitation_by_url_gets_the_id_that_legacy_clients_need() -> None:
    url: Json = {"method": "elicitation/create", "params": {"mode": "url", "url": "https://x", "message": "go"}}
    params = legacy_question(url)["params"]

    assert params.pop("elicitationId")
    assert params == url["params"]
    assert legacy_question(FORM) == FORM


@pytest.mark.parametrize("odd", [{}, {"method": 7}, {"method": []}, {"method": "elicitation/create", "params": 7}])
def test_no_input_request_is_too_odd_to_be_put(odd: Json) -> None:
    assert isinstance(legacy_question(odd)["method"], str)


async def test_level_and_subscriptions_are_kept_here_and_never_sent() -> None:
    link, live = MemoryLink(era="modern"), Live()
    changed = live.changed
    assert await forwarded(link, {"level": "debug"}, method="logging/setLevel", live=live) == {}
    assert await forwarded(link, {"uri": "f:x"}, method="resources/subscribe", live=live) == {}

    assert live.log_level == "debug"
    assert live.subscriptions == {("alpha", "f:x")}
    assert changed.is_set()
    assert await forwarded(link, {"uri": "f:x"}, method="resources/unsubscribe", live=live) == {}
    assert live.subscriptions == set()
    assert link.requests == []


async def test_an_unknown_resource_has_its_legacy_code() -> None:
    async def unknown(asked: Asked) -> Json:
        raise error(-32602, "gone", {"uri": "f:x"})

    link = MemoryLink(era="modern")
    link.on("resources/read", unknown)

    with pytest.raises(UpstreamError) as caught:
        await forwarded(link, {"uri": "f:x"}, method="resources/read")
    assert caught.value.error == {"code": -32002, "message": "gone", "data": {"uri": "f:x"}}
