import logging
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from portkey_mcp.errors import Mistake, UpstreamDown
from portkey_mcp.gateway.corridor import Corridor
from portkey_mcp.gateway.hub import Hub
from portkey_mcp.gateway.single import Single
from portkey_mcp.model import Bundle
from portkey_mcp.telemetry.spans import Span, Spans
from portkey_mcp.wire import Json
from tests.gateway.house import hiding, house
from tests.gateway.memory_link import Asked, Client, MemoryLink, error

pytestmark = pytest.mark.anyio


class Recorded(Spans):
    """Spans that write down what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    @contextmanager
    def _span(self, kind: str, method: str) -> Any:
        told = self.told

        class Telling(Span):
            def result(self, result: Json) -> None:
                told.append((kind, "result", bool(result.get("isError"))))

            def error(self, code: int, message: str) -> None:
                told.append((kind, "error", code))

        told.append((kind, "begins", method))
        yield Telling()
        told.append((kind, "ends", method))

    def server(self, *, method: str, **more: Any) -> Any:
        return self._span("server", method)

    def client(self, method: str, *more: Any) -> Any:
        return self._span("client", method)


async def test_every_endpoint_is_answered_by_what_stands_behind_it() -> None:
    bundle = Bundle("team", "reading", "", ("alpha/*",))
    async with house(MemoryLink(), bundles=[bundle]) as place:
        assert isinstance(place.corridor.at(place.call("x", at="alpha")), Single)
        assert isinstance(place.corridor.at(place.call("x", at="reading")), Hub)
        assert isinstance(place.corridor.at(place.call("x", at="")), Hub)


async def test_a_legacy_ping_is_answered_here_and_a_modern_one_is_unknown() -> None:
    link = MemoryLink()
    async with house(link) as place:
        for at in ("alpha", ""):
            assert await place.answer("ping", era="legacy", at=at) == {"result": {}}
            assert (await place.answer("ping", at=at))["error"]["code"] == -32601

    assert link.requests == []


@pytest.mark.parametrize(
    ("failure", "code"),
    [(error(-31999), -31999), (error(-32601), -32601), (KeyError("bug"), -32603), (Mistake("no token"), -32603)],
)
async def test_every_failure_is_an_outcome(failure: Exception, code: int, caplog: pytest.LogCaptureFixture) -> None:
    async def fails(asked: Asked) -> Json:
        raise failure

    link = MemoryLink()
    link.on("prompts/get", fails)
    async with house(link) as place:
        with caplog.at_level(logging.CRITICAL):
            assert (await place.answer("prompts/get", {"name": "x"}))["error"]["code"] == code


async def test_one_span_is_opened_for_the_message_and_one_within_it_for_the_upstream() -> None:
    link = MemoryLink()
    link.on("tools/call", {"content": [], "isError": True})
    spans = Recorded()
    async with house(link) as place:
        corridor = Corridor(replace(place.means, spans=spans), place.snapshots)
        await corridor.answer(place.call("tools/call", {"name": "x"}), Client())
        await corridor.answer(place.call("tools/call", {}), Client())

    assert spans.told == [
        ("server", "begins", "tools/call"),
        ("client", "begins", "tools/call"),
        ("client", "result", True),
        ("client", "ends", "tools/call"),
        ("server", "result", True),
        ("server", "ends", "tools/call"),
        ("server", "begins", "tools/call"),
        ("server", "error", -32602),
        ("server", "ends", "tools/call"),
    ]


async def test_a_policy_that_changes_holds_from_the_next_call_on() -> None:
    link = MemoryLink()
    link.on("tools/call", {"content": []})
    async with house(link) as place:
        allowed = place.workspace
        for policy, works in ((None, True), (hiding("alpha/x"), False), (hiding(), True), (None, True)):
            place.workspace = replace(allowed, policy=policy)
            assert ("result" in await place.answer("tools/call", {"name": "x"})) == works


async def test_cancelling_one_of_many_calls_stops_exactly_that_one() -> None:
    async def waits(asked: Asked) -> Json:
        await go_on.wait()
        return {"content": []}

    go_on, link, outcomes = anyio.Event(), MemoryLink(), []
    link.on("tools/call", waits)
    async with house(link) as place:

        async def call(number: int, scope: anyio.CancelScope) -> None:
            with scope:
                outcomes.append(await place.answer("tools/call", {"name": str(number)}, capabilities={"roots": {}}))

        scopes = [anyio.CancelScope() for _ in range(100)]
        async with anyio.create_task_group() as group:
            for number, scope in enumerate(scopes):
                group.start_soon(call, number, scope)
            await link.until(lambda: len(link.requests) == 100)
            scopes[42].cancel()
            await link.until(lambda: any(asked.cancelled for asked in link.requests))
            go_on.set()

    assert [(asked.params or {})["name"] for asked in link.requests if asked.cancelled] == ["42"]
    assert len(outcomes) == 99


async def test_a_notification_that_cannot_be_delivered_is_lost() -> None:
    link = MemoryLink()
    async with house(link, timeout=0.02) as place:
        call = place.call("notifications/roots/list_changed", None, era="legacy")
        place.upstreams.down.add("alpha")
        await place.corridor.notify(call)
        place.upstreams.down.clear()
        place.upstreams.hanging.add("alpha")
        await place.corridor.notify(call)

    assert link.notifications == []


async def test_a_broken_upstream_answers_a_tool_call_in_words() -> None:
    async def breaks(asked: Asked) -> Json:
        raise UpstreamDown("alpha", "the connection broke", sent=True)

    link = MemoryLink()
    link.on("tools/call", breaks)
    async with house(link) as place:
        outcome = await place.answer("tools/call", {"name": "x"})

    assert "the connection broke" in outcome["result"]["content"][0]["text"]
