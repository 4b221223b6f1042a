from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import UpstreamTimeout
from portkey_mcp.gateway.bridge import way as bridge_way
from portkey_mcp.gateway.bridge.way import Patience, declared, log_level, refuse_question, send, with_meta
from portkey_mcp.wire import Json
from tests.gateway.house import LEVEL_KEY, way_of
from tests.gateway.memory_link import Asked, Client, MemoryLink

pytestmark = pytest.mark.anyio

FORM: Json = {"method": "elicitation/create", "params": {"message": "?"}}
URL: Json = {"method": "elicitation/create", "params": {"mode": "url", "url": "https://x"}}
SAMPLING: Json = {"method": "sampling/createMessage"}


@pytest.mark.parametrize(
    ("capabilities", "may"),
    [
        ({}, [False, False, False]),
        ({"elicitation": {}}, [True, False, False]),
        ({"elicitation": {"form": {}}}, [True, False, False]),
        ({"elicitation": {"url": {}}}, [False, True, False]),
        ({"elicitation": {"form": {}, "url": {}}, "sampling": {}}, [True, True, True]),
        ({"elicitation": None, "sampling": True}, [False, False, False]),
    ],
)
def test_only_what_a_client_declared_may_be_asked(capabilities: Json, may: list[bool]) -> None:
    assert [declared(capabilities, question) for question in (FORM, URL, SAMPLING)] == may


def test_a_question_of_a_kind_nobody_knows_needs_no_declaration() -> None:
    assert declared({}, {"method": "vendor/ask"})


def test_a_refusal_names_the_method_and_nothing_else() -> None:
    assert refuse_question(SAMPLING)["error"]["code"] == -32601


@given(st.none() | st.fixed_dictionaries({}, optional={"_meta": st.none() | st.fixed_dictionaries({"a": st.just(1)})}))
def test_changing_a_meta_leaves_the_original_alone(params: Json | None) -> None:
    before = repr(params)
    changed = with_meta(params, lambda meta: {**meta, "new": 1})

    assert repr(params) == before
    assert changed["_meta"]["new"] == 1


def test_an_empty_meta_appears_only_where_one_was() -> None:
    assert with_meta({"a": 1}, lambda meta: meta) == {"a": 1}
    assert with_meta({"_meta": {}}, lambda meta: meta) == {"_meta": {}}


def test_a_log_level_is_a_string_or_none() -> None:
    assert log_level({"_meta": {LEVEL_KEY: "info"}}) == "info"
    assert log_level({"_meta": {LEVEL_KEY: 7}}) is None
    assert log_level({"_meta": 7}) is None
    assert log_level(None) is None


async def sent(link: MemoryLink, params: Json | None = None, method: str = "tools/call", **more: Any) -> Json:
    client = Client(elicitation_create={"result": {"action": "accept"}})
    way = way_of(link, method, params, client, **more)
    with anyio.fail_after(10):
        return await send(way, params, on_notification=client.notify, on_request=client.ask)


async def test_params_go_out_with_trace_context_and_absent_ones_stay_absent() -> None:
    link = MemoryLink()
    link.on("tools/call", {})
    await sent(link, {"name": "x"}, inject=lambda meta: {**meta, "traceparent": "t"})
    await sent(link, None, inject=lambda meta: {**meta, "traceparent": "t"})

    assert [asked.params for asked in link.requests] == [{"name": "x", "_meta": {"traceparent": "t"}}, None]


async def test_a_silent_upstream_is_given_its_time_and_then_cancelled() -> None:
    link = MemoryLink()
    link.on("tools/call", lambda asked: anyio.sleep_forever())

    with pytest.raises(UpstreamTimeout) as caught:
        await sent(link, {}, timeout=0.01)
    assert caught.value.sent
    assert link.requests[0].cancelled


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[Patience]:
    """The clocks of calls, as they are started."""
    started: list[Patience] = []

    class Seen(Patience):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            started.append(self)

    monkeypatch.setattr(bridge_way, "Patience", Seen)
    return started


async def test_each_notification_starts_the_clock_anew(clock: list[Patience]) -> None:
    deadlines: list[float] = []

    async def talkative(asked: Asked) -> Json:
        for _ in range(3):
            deadlines.append(clock[-1].at)
            await anyio.lowlevel.checkpoint()
            await asked.notify({"method": "notifications/progress"})
        return {"ok": True}

    link = MemoryLink()
    link.on("tools/call", talkative)

    assert await sent(link, {}) == {"ok": True}
    assert deadlines == sorted(set(deadlines))


async def test_a_call_that_only_ever_makes_progress_ends_at_its_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(asked: Asked) -> Json:
        while True:
            await asked.notify({"method": "notifications/progress"})
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(bridge_way, "HARD_LIMIT", 0)
    link = MemoryLink()
    link.on("tools/call", endless)

    with pytest.raises(UpstreamTimeout):
        await sent(link, {})


async def test_the_clock_stands_still_while_the_client_is_asked(clock: list[Patience]) -> None:
    left: list[float] = []

    def look() -> None:
        left.append(clock[-1].at - anyio.current_time())

    async def asks(asked: Asked) -> Json:
        look()
        answer = await asked.ask(FORM)
        look()
        return answer

    async def answers(message: Json) -> Json:
        look()
        return {"result": {"action": "accept"}}

    link = MemoryLink()
    link.on("tools/call", asks)
    way = way_of(link, "tools/call", {}, Client(), timeout=100.0)
    await send(way, {}, on_notification=Client().notify, on_request=answers)

    before, meanwhile, after = left
    assert before <= 100
    assert after <= 100
    assert meanwhile > 200


async def test_a_standing_stream_has_no_clock() -> None:
    link = MemoryLink(era="modern")
    with anyio.move_on_after(0.1) as waiting:
        await sent(link, {"notifications": {}}, method="subscriptions/listen", timeout=0.001)

    assert waiting.cancelled_caught
