from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from portkey_mcp.errors import InvalidRequest, UpstreamError
from portkey_mcp.gateway.bridge.modern_on_legacy import HearingOf, forward, modern_question
from portkey_mcp.gateway.bridge.parked import Parking
from portkey_mcp.sealing import KeyRing
from portkey_mcp.wire import Json
from tests.gateway.house import FORM, LEVEL_KEY, envelope, way_of
from tests.gateway.memory_link import SERVER_INFO_KEY, Asked, Client, MemoryLink, error

pytestmark = pytest.mark.anyio

QUESTION: Json = {"method": "elicitation/create", "params": {"message": "Sure?"}}
URLS: Json = {"elicitation": {"form": {}, "url": {}}}


class Front:
    """A modern client in front of one legacy link."""

    def __init__(self, link: MemoryLink, parking: Parking) -> None:
        self.link, self.parking = link, parking

    async def __call__(
        self, params: Json | None = None, client: Client | None = None, method: str = "tools/call", **more: Any
    ) -> Json:
        way = way_of(self.link, method, params, client or Client(), "modern", **more)
        with anyio.fail_after(10):
            return await forward(way, self.parking, "team/alpha")


@asynccontextmanager
async def fronting(link: MemoryLink) -> AsyncIterator[Front]:
    async with anyio.create_task_group() as tasks:
        yield Front(link, Parking(KeyRing.generate(), tasks))
        tasks.cancel_scope.cancel()


def progress(asked: Asked, value: int) -> Json:
    token = (asked.params or {}).get("_meta", {}).get("progressToken")
    return {"method": "notifications/progress", "params": {"progressToken": token, "progress": value}}


async def test_a_request_loses_its_envelope_and_its_result_is_stamped() -> None:
    link = MemoryLink()
    link.on("tools/call", {"content": [], "x": None})
    async with fronting(link) as front:
        result = await front({"name": "x", "_meta": {"v": 1, **envelope()}})

    assert link.requests[0].params == {"name": "x", "_meta": {"v": 1}}
    assert result == {
        "resultType": "complete",
        "content": [],
        "x": None,
        "_meta": {SERVER_INFO_KEY: link.hello["serverInfo"]},
    }


async def test_a_question_becomes_required_input_and_the_retry_reaches_the_same_call() -> None:
    async def asks(asked: Asked) -> Json:
        return {"content": [], "answer": await asked.ask(QUESTION)}

    link = MemoryLink()
    link.on("tools/call", asks)
    params = {"name": "x", "_meta": envelope(FORM)}
    async with fronting(link) as front:
        first = await front(params, capabilities=FORM)
        responses = {key: {"action": "accept"} for key in first["inputRequests"]}
        retry = {**params, "inputResponses": responses, "requestState": first["requestState"]}
        last = await front(retry, capabilities=FORM)

    assert list(first["inputRequests"].values()) == [QUESTION]
    assert last["answer"] == {"result": {"action": "accept"}}
    assert len(link.requests) == 1


async def test_a_retry_of_another_request_does_not_reach_the_call() -> None:
    async def asks(asked: Asked) -> Json:
        return await asked.ask(QUESTION)

    link = MemoryLink()
    link.on("tools/call", asks)
    async with fronting(link) as front:
        first = await front({"name": "x"}, capabilities=FORM)
        for stolen in ({"name": "y"}, {"name": "x", "arguments": {"all": True}}):
            with pytest.raises(InvalidRequest):
                await front({**stolen, "requestState": first["requestState"]}, capabilities=FORM)
        with pytest.raises(InvalidRequest):
            await front({"name": "x", "requestState": first["requestState"]}, capabilities=FORM, principal="bob")


async def test_progress_after_a_retry_goes_by_the_retrys_own_token() -> None:
    async def asks(asked: Asked) -> Json:
        await asked.notify(progress(asked, 1))
        await asked.ask(QUESTION)
        await asked.notify(progress(asked, 2))
        return {}

    link, client = MemoryLink(), Client()
    link.on("tools/call", asks)
    async with fronting(link) as front:
        first = await front({"_meta": {"progressToken": "one"}}, client, capabilities=FORM)
        again = {"inputResponses": {"input-1": {}}, "requestState": first["requestState"]}
        await front({**again, "_meta": {"progressToken": 2}}, client, capabilities=FORM)

    assert [message["params"]["progressToken"] for message in client.heard] == ["one", 2]


async def test_a_client_without_capabilities_is_never_asked() -> None:
    async def asks(asked: Asked) -> Json:
        return {"answer": await asked.ask(QUESTION)}

    link = MemoryLink()
    link.on("tools/call", asks)
    async with fronting(link) as front:
        assert (await front({"name": "x"}))["answer"]["error"]["code"] == -32601
        assert (await front({"name": "x"}, capabilities={"sampling": {}}))["answer"]["error"]["code"] == -32601


async def test_log_messages_come_only_as_loud_as_the_request_asked_for() -> None:
    async def talks(asked: Asked) -> Json:
        for level in ("debug", "info", "error", "unheard of"):
            await asked.notify({"method": "notifications/message", "params": {"level": level}})
        return {}

    link, silent, hearing = MemoryLink(), Client(), Client()
    link.on("tools/call", talks)
    link.on("logging/setLevel", {})
    async with fronting(link) as front:
        await front({}, silent)
        await front({"_meta": {LEVEL_KEY: "info"}}, hearing)

    assert silent.heard == []
    assert [message["params"]["level"] for message in hearing.heard] == ["info", "error"]


async def test_the_links_level_is_only_ever_lowered() -> None:
    link = MemoryLink()
    link.on("tools/call", {})
    link.on("logging/setLevel", {})
    async with fronting(link) as front:
        for level in ("error", "error", "debug", "info", "unheard of"):
            await front({"_meta": {LEVEL_KEY: level}})

    assert [asked.params for asked in link.asked("logging/setLevel")] == [{"level": "error"}, {"level": "debug"}]


async def test_an_upstream_that_refuses_a_level_or_has_none_still_answers() -> None:
    deaf, refusing = MemoryLink(capabilities={}), MemoryLink()
    for link in (deaf, refusing):
        link.on("tools/call", {"ok": True})
        async with fronting(link) as front:
            assert (await front({"_meta": {LEVEL_KEY: "info"}}))["ok"]

    assert deaf.asked("logging/setLevel") == []
    assert len(refusing.asked("logging/setLevel")) == 1


@pytest.mark.parametrize("method", ["notifications/tools/list_changed", "notifications/resources/updated"])
async def test_what_belongs_on_a_listen_stream_is_not_sent_on_a_call(method: str) -> None:
    client = Client()
    await HearingOf(way_of(MemoryLink(), "tools/call", {}, client, "modern")).notify({"method": method})

    assert client.heard == []


async def test_vendor_notifications_pass() -> None:
    client = Client()
    hearing = HearingOf(way_of(MemoryLink(), "tools/call", {}, client, "modern"))
    await hearing.notify({"method": "vendor/news", "params": {"progressToken": 7}})

    assert client.heard == [{"method": "vendor/news", "params": {"progressToken": 7}}]
    assert "error" in await hearing.ask(QUESTION)


async def test_an_unknown_resource_has_its_modern_code() -> None:
    async def unknown(asked: Asked) -> Json:
        raise error(-32002, "gone", {"uri": "f:x"})

    link = MemoryLink()
    link.on("resources/read", unknown)
    async with fronting(link) as front:
        with pytest.raises(UpstreamError) as caught:
            await front({"uri": "f:x"}, method="resources/read", capabilities=FORM)

    assert caught.value.error == {"code": -32602, "message": "gone", "data": {"uri": "f:x"}}


async def test_urls_that_must_be_visited_first_become_required_input() -> None:
    elicitation = {"elicitationId": "e", "url": "https://x", "message": "Sign in"}

    async def refuses(asked: Asked) -> Json:
        raise error(-32042, "visit", {"elicitations": [elicitation, 7]})

    link = MemoryLink()
    link.on("tools/call", refuses)
    async with fronting(link) as front:
        result = await front({"name": "x"}, capabilities=URLS)
        with pytest.raises(UpstreamError):
            await front({"name": "x"}, capabilities=FORM)
        with pytest.raises(UpstreamError):
            await front({}, method="tools/list", capabilities=URLS)

    assert result["resultType"] == "input_required"
    assert "requestState" not in result
    asked = next(iter(result["inputRequests"].values()))
    assert asked["params"] == {"mode": "url", "url": "https://x", "message": "Sign in"}


def test_the_legacy_id_of_an_elicitation_has_no_place_in_an_input_request() -> None:
    assert modern_question({**QUESTION, "params": {"elicitationId": "e", "a": 1}})["params"] == {"a": 1}
    assert modern_question(QUESTION) is QUESTION
