from typing import Any

import anyio
import pytest

from portkey_mcp.gateway import watch as watch_module
from portkey_mcp.wire import Json, dumps
from tests.gateway.asgi import legacy, modern
from tests.gateway.house import FORM
from tests.gateway.memory_link import Asked, MemoryLink
from tests.gateway.served import INITIALIZE, QUESTION, Waiting, serving

pytestmark = pytest.mark.anyio


async def test_initialize_gives_a_session_that_carries_what_was_declared() -> None:
    async def asks(asked: Asked) -> Json:
        return {"content": [], "answer": await asked.ask(QUESTION)}

    link = MemoryLink()
    link.on("tools/call", asks)
    async with serving(link) as served:
        token = await served.initialize()
        body = b'{"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"x"}}'
        async with served.browser.open("/ada", body, mcp_session_id=token) as call:
            await call.until(lambda: call.events)
            question = call.events[0]
            assert question["method"] == "elicitation/create"
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}}
            stolen = await served.post(answer, mcp_session_id=await served.initialize())
            assert (stolen.status, call.ended) == (202, False)
            assert (await served.post(answer, mcp_session_id=token)).status == 202
            await call.until(lambda: call.ended)

    assert call.answer["result"]["answer"] == {"result": {"action": "accept"}}
    assert call.answer["id"] == "1"


async def test_the_session_and_the_links_party_are_one() -> None:
    async with serving(MemoryLink()) as served:
        token = await served.initialize()
        await served.post(legacy("tools/call", {"name": "x"}), mcp_session_id=token)
        await served.post(legacy("tools/call", {"name": "x"}))

        first, second, sessionless = served.place.upstreams.visitors
        assert first.party == second.party != sessionless.party
        assert (first.capabilities, first.version) == (FORM, "2025-11-25")


@pytest.mark.parametrize(
    "params", [None, {}, {**INITIALIZE, "capabilities": None}, {**INITIALIZE, "protocolVersion": 1}]
)
async def test_an_initialize_that_declares_too_little_is_refused(params: Any) -> None:
    async with serving(MemoryLink()) as served:
        answered = await served.post(legacy("initialize", params, ident=7))

    assert (answered.status, answered.json["id"]) == (400, 7)


async def test_a_failed_greeting_gives_no_session() -> None:
    async with serving(MemoryLink()) as served:
        served.place.upstreams.down.add("alpha")
        answered = await served.post(legacy("initialize", INITIALIZE))

    assert "mcp-session-id" not in answered.headers
    assert answered.json["error"]["code"] == -32603


async def test_an_unknown_ended_or_stolen_session_is_not_found_and_none_at_all_is_served() -> None:
    link = MemoryLink()
    link.on("tools/list", {"tools": []})
    async with serving(link) as served:
        token = await served.initialize()
        listing = legacy("tools/list")

        assert (await served.post(listing)).status == 200
        assert (await served.post(listing, mcp_session_id=token)).status == 200
        assert (await served.post(listing, mcp_session_id="made-up")).status == 404
        assert (await served.post(listing, "/bob", mcp_session_id=token)).status == 404
        assert (await served.browser.request("/bob", method="DELETE", mcp_session_id=token)).status == 404
        assert (await served.browser.request("/ada", method="DELETE", mcp_session_id=token)).status == 200
        assert (await served.post(listing, mcp_session_id=token)).status == 404
        assert (await served.post(legacy("initialize", INITIALIZE), mcp_session_id=token)).status == 200


async def test_a_modern_request_ignores_sessions_and_gets_none() -> None:
    link = MemoryLink()
    link.on("tools/list", {"tools": []})
    message, headers = modern("tools/list")
    async with serving(link) as served:
        answered = await served.post(message, mcp_session_id="made-up", **headers)

    assert answered.status == 200
    assert "mcp-session-id" not in answered.headers


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_only_post_is_served_without_a_session(method: str) -> None:
    async with serving(MemoryLink()) as served:
        token = await served.initialize()
        bare = await served.browser.request("/ada", method=method)
        version = {"mcp_protocol_version": "2026-07-28"}
        now = await served.browser.request("/ada", method=method, mcp_session_id=token, **version)

    assert (bare.status, bare.headers["allow"]) == (405, "POST")
    assert now.status == 405


async def test_cancelling_names_one_call_by_its_id_and_the_ids_type() -> None:
    link = Waiting()
    async with serving(link) as served:
        token = await served.initialize()

        def body(ident: str, name: str) -> bytes:
            return f'{{"jsonrpc":"2.0","id":{ident},"method":"tools/call","params":{{"name":"{name}"}}}}'.encode()

        async def cancel(ident: Any, session: str = token) -> None:
            note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": ident}}
            assert (await served.post(note, mcp_session_id=session)).status == 202

        async with (
            served.browser.open("/ada", body("1", "number"), mcp_session_id=token) as number,
            served.browser.open("/ada", body('"1"', "text"), mcp_session_id=token) as text,
        ):
            await link.until(lambda: len(link.requests) == 2)
            for ident in (2, True, 1.0, None, [1]):
                await cancel(ident)
            await cancel(1, await served.initialize())
            assert not any(asked.cancelled for asked in link.requests)
            await cancel("1")
            await text.until(lambda: text.ended)
            assert not number.ended
            link.let_go("number")
            await number.until(lambda: number.ended)

    assert [(asked.params or {})["name"] for asked in link.requests if asked.cancelled] == ["text"]
    assert [event for event in text.events if "id" in event] == []
    assert number.answer["id"] == 1


async def test_a_call_that_ends_leaves_another_one_with_the_same_id_to_be_cancelled() -> None:
    link = Waiting()
    async with serving(link) as served:
        token = await served.initialize()
        calls = [dumps(legacy("tools/call", {"name": name})) for name in ("first", "second")]
        async with (
            served.browser.open("/ada", calls[0], mcp_session_id=token) as first,
            served.browser.open("/ada", calls[1], mcp_session_id=token) as second,
        ):
            await link.until(lambda: len(link.requests) == 2)
            link.let_go("first")
            await first.until(lambda: first.ended)
            note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
            await served.post(note, mcp_session_id=token)
            await second.until(lambda: second.ended)

    assert [(asked.params or {})["name"] for asked in link.requests if asked.cancelled] == ["second"]


async def test_a_modern_client_that_leaves_cancels_its_call() -> None:
    link = Waiting()
    message, headers = modern("tools/call", {"name": "x"}, capabilities=FORM)
    async with serving(link) as served:
        async with served.browser.open("/ada", dumps(message), **headers):
            await link.until(lambda: link.requests)
        assert link.requests[0].cancelled


async def test_a_legacy_client_that_leaves_does_not() -> None:
    link = Waiting()
    async with serving(link) as served:
        async with served.browser.open("/ada", dumps(legacy("tools/call", {"name": "x"}))) as call:
            await link.until(lambda: link.requests)
            call.hang_up()
            link.let_go("x")
            await call.until(lambda: call.ended)
        assert not link.requests[0].cancelled


async def test_a_burst_of_notifications_comes_in_order_and_before_the_result() -> None:
    async def bursts(asked: Asked) -> Json:
        for number in range(1500):
            await asked.notify({"method": "notifications/message", "params": {"data": number}})
        return {"content": []}

    link = MemoryLink()
    link.on("tools/call", bursts)
    async with serving(link) as served:
        answered = await served.post(legacy("tools/call", {"name": "x"}))

    assert [event["params"]["data"] for event in answered.events[:-1]] == list(range(1500))
    assert answered.events[-1]["result"] == {"content": []}


async def test_a_long_silence_is_filled_with_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "KEEP_ALIVE", 0.01)
    link = MemoryLink()
    link.on("prompts/list", lambda asked: anyio.sleep_forever())
    message, headers = modern("prompts/list")
    async with serving(link) as served, served.browser.open("/ada", dumps(message), **headers) as call:
        await call.until(lambda: call.body.count(b": keep-alive") > 2)

    assert call.events == []


async def test_http_statuses_of_errors_differ_by_era() -> None:
    async with serving(MemoryLink()) as served:
        message, headers = modern("vendor/unknown", ident="7")
        new = await served.post(message, **headers)
        old = await served.post(legacy("vendor/unknown", ident="7"))

    assert (new.status, old.status) == (404, 200)
    assert new.json["id"] == old.json["id"] == "7"
    assert new.json["error"]["code"] == old.json["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("text/event-stream", 200),
        ("*/*", 200),
        ("application/*;q=0.5", 200),
        ("text/html", 406),
    ],
)
async def test_what_a_client_accepts_decides_how_it_is_answered(accept: str, status: int) -> None:
    link = Waiting()
    link.let_go("x")
    async with serving(link) as served:
        answered = await served.post(legacy("tools/call", {"name": "x"}), accept=accept)

    assert answered.status == status
    if status == 200:
        streams = "application" not in accept
        assert answered.headers["content-type"] == ("text/event-stream" if streams else "application/json")
        assert answered.answer["result"] == {"content": []}


async def test_listening_needs_a_client_that_takes_a_stream() -> None:
    message, headers = modern("subscriptions/listen", {"notifications": {}})
    async with serving(MemoryLink()) as served:
        assert (await served.post(message, accept="application/json", **headers)).status == 406


async def test_a_body_over_the_limit_is_refused_before_it_is_read_whole() -> None:
    async with serving(MemoryLink(), max_body=100) as served:
        announced = await served.browser.request("/ada", b"{}", content_length="101")
        chunks = [b"x" * 60 for _ in range(1000)]
        grown = await served.browser.request("/ada", chunks)

    assert announced.status == grown.status == 413
    assert len(chunks) > 900


async def test_white_space_around_header_values_does_not_count() -> None:
    link = MemoryLink()
    link.on("tools/list", {"tools": []})
    message, headers = modern("tools/list")
    async with serving(link) as served:
        assert (await served.post(message, **{name: f" {value}\t" for name, value in headers.items()})).status == 200


async def test_notifications_go_upstream_only_within_a_session_and_are_always_accepted() -> None:
    link = MemoryLink()
    note = {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}
    async with serving(link) as served:
        token = await served.initialize()
        statuses = [
            (await served.post(note)).status,
            (await served.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, mcp_session_id=token)).status,
            (await served.post({"jsonrpc": "2.0", "id": "nobody", "result": {}})).status,
            (await served.post(note, mcp_protocol_version="2026-07-28")).status,
            (await served.post(note, mcp_session_id=token)).status,
        ]
        await link.close()
        statuses.append((await served.post(note, mcp_session_id=token)).status)

    assert statuses == [202] * 6
    assert link.notifications == [("notifications/roots/list_changed", None)]


async def test_a_standing_stream_brings_what_belongs_to_no_call_until_a_newer_one_takes_its_place() -> None:
    link = MemoryLink()
    async with serving(link) as served:
        token = await served.initialize()
        async with served.browser.open("/ada", method="GET", mcp_session_id=token) as old:
            await link.until(lambda: link.listeners == 1)
            await link.tell("notifications/tools/list_changed")
            await old.until(lambda: old.events)
            async with served.browser.open("/ada", method="GET", mcp_session_id=token) as new:
                await old.until(lambda: old.ended)
                await link.until(lambda: link.listeners == 1)
                await link.tell("notifications/prompts/list_changed")
                await new.until(lambda: new.events)
                assert (await served.browser.request("/ada", method="DELETE", mcp_session_id=token)).status == 200
                await new.until(lambda: new.ended)

    assert [event["method"] for event in old.events] == ["notifications/tools/list_changed"]
    assert [event["method"] for event in new.events] == ["notifications/prompts/list_changed"]
    assert link.listeners == 0


async def test_a_client_that_leaves_its_standing_stream_is_attended_no_more() -> None:
    link = MemoryLink()
    async with serving(link) as served:
        token = await served.initialize()
        async with served.browser.open("/ada", method="GET", mcp_session_id=token):
            await link.until(lambda: link.listeners == 1)
        assert link.listeners == 0


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_standing_stream_tells_and_ends_when_its_visitor_may_not_enter_any_more(era: Any) -> None:
    async with serving(MemoryLink(era=era)) as served:
        if era == "legacy":
            request = served.browser.open("/ada", method="GET", mcp_session_id=await served.initialize())
        else:
            message, headers = modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, 7)
            request = served.browser.open("/ada", dumps(message), **headers)
        async with request as standing:
            await standing.until(lambda: standing.messages)
            if era == "modern":
                await standing.until(lambda: standing.events)
            served.changes.tell()
            await anyio.wait_all_tasks_blocked()
            assert not standing.ended, "nothing changed for this visitor"

            served.turned_away = True
            served.changes.tell()
            await standing.until(lambda: standing.ended)
            assert "notifications/tools/list_changed" in [event.get("method") for event in standing.events]
            if era == "modern":
                assert standing.events[-1]["result"]["resultType"] == "complete"


async def test_a_page_in_a_browser_must_send_what_the_browser_asks_about_first() -> None:
    async with serving(MemoryLink()) as served:
        origin = "http://localhost:3000"
        plain = await served.post(legacy("ping"), origin=origin, content_type="text/plain")
        proper = await served.post(legacy("ping"), origin=origin, content_type="application/json; charset=utf-8")
        program = await served.post(legacy("ping"), content_type="text/plain")

    assert (plain.status, proper.status, program.status) == (415, 200, 200)
