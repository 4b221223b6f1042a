"""Links to legacy servers over streamable HTTP: handshake, session, resumption, cancellation."""

import anyio
import pytest
from aiohttp import web

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream import legacy as legacy_module
from tests.upstream.accounts import ADA as HER
from tests.upstream.accounts import Tokens, accounts, guarded
from tests.upstream.heard import ADA, BOB, Heard, http, pool
from tests.upstream.scripted import HELLO, Seen, Sse, legacy, reply, result, serving

pytestmark = pytest.mark.anyio


async def echo(request: web.Request, seen: Seen) -> web.StreamResponse:
    return reply(seen, {"got": (seen.message or {}).get("params")})


async def test_the_handshake_introduces_the_visitor_as_it_introduced_itself() -> None:
    async with serving(legacy(echo)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        answer = await Heard().ask(link, "vendor/thing", {"n": 2**70, "x": None})

        assert (link.era, link.version, link.hello) == ("legacy", "2025-11-25", HELLO)

    assert answer == {"got": {"n": 2**70, "x": None}}
    _, greeting, initialized, call, goodbye = upstream.seen
    assert (greeting.message or {})["params"] == {
        "protocolVersion": "2025-06-18",
        "capabilities": ADA.capabilities,
        "clientInfo": ADA.client_info,
    }
    assert initialized.method == "notifications/initialized"
    for seen in (initialized, call, goodbye):
        assert seen.headers["mcp-session-id"] == "s1"
        assert seen.headers["mcp-protocol-version"] == "2025-11-25"
    assert goodbye.verb == "DELETE"


async def test_each_party_has_its_own_session_and_the_era_is_asked_once() -> None:
    async with serving(legacy(echo)) as upstream, pool() as links:
        server = http(upstream.url)
        ada, bob = await links.link(server, ADA), await links.link(server, BOB)

        assert ada is not bob
        assert ada is await links.link(server, ADA)

    assert upstream.methods().count("initialize") == 2
    assert upstream.methods().count("server/discover") == 1


async def test_a_lost_session_is_opened_again_once_for_all_who_need_it() -> None:
    lost = True

    async def forgetful(request: web.Request, seen: Seen) -> web.StreamResponse:
        if lost and seen.headers["mcp-session-id"] == "s1":
            return web.Response(status=404)
        return reply(seen, {"session": seen.headers["mcp-session-id"]})

    async with serving(legacy(forgetful)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        answers = []

        async def call() -> None:
            answers.append(await Heard().ask(link, "tools/call", {}))

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(call)

        assert link.alive

    assert answers == [{"session": "s2"}] * 20
    assert upstream.methods().count("initialize") == 2


async def test_a_session_that_is_lost_again_at_once_is_an_error_and_not_a_loop() -> None:
    async def never(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(status=404)

    async with serving(legacy(never)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        with pytest.raises(UpstreamDown) as raised:
            await Heard().ask(link, "tools/call", {})

    assert raised.value.status == 404
    assert upstream.methods().count("initialize") == 2


async def test_a_stream_with_ids_that_breaks_off_is_resumed_where_it_stopped() -> None:
    waiting: list[Seen] = []

    async def polling(request: web.Request, seen: Seen) -> web.StreamResponse:
        stream = await Sse.open(request)
        if seen.verb == "GET":
            await stream.send({"jsonrpc": "2.0", "method": "notifications/message", "params": 2}, event_id="e2")
            await stream.send(result(waiting[0], {"resumed": True}), event_id="e3")
        else:
            waiting.append(seen)
            await stream.raw(b"id: e0\nretry: 1\ndata: \n\n")
            await stream.send({"jsonrpc": "2.0", "method": "notifications/message", "params": 1}, event_id="e1")
            assert request.transport is not None
            request.transport.abort()
        return stream.response

    heard = Heard()
    async with serving(legacy(polling)) as upstream, pool() as links:
        answer = await heard.ask(await links.link(http(upstream.url), ADA), "tools/call", {})

    assert answer == {"resumed": True}
    assert [one["params"] for one in heard.notifications] == [1, 2]
    [resumed] = [seen for seen in upstream.seen if seen.verb == "GET"]
    assert resumed.headers["last-event-id"] == "e1"
    assert resumed.headers["mcp-session-id"] == "s1"


async def test_a_reset_of_one_call_leaves_the_others_alone() -> None:
    release = anyio.Event()

    async def fragile(request: web.Request, seen: Seen) -> web.StreamResponse:
        if (seen.message or {})["params"]["reset"]:
            assert request.transport is not None
            request.transport.abort()
        await release.wait()
        return reply(seen, {"fine": True})

    answers = []
    async with serving(legacy(fragile)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)

        async def call() -> None:
            answers.append(await Heard().ask(link, "tools/call", {"reset": False}))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(call)
                await upstream.until("tools/call", 5)
                with pytest.raises(UpstreamDown) as raised:
                    await Heard().ask(link, "tools/call", {"reset": True})
                release.set()

    assert raised.value.sent
    assert answers == [{"fine": True}] * 5


async def test_a_servers_question_is_answered_beside_the_stream() -> None:
    answered = anyio.Event()
    answers: list[object] = []

    async def curious(request: web.Request, seen: Seen) -> web.StreamResponse:
        if not seen.method:
            answers.append(seen.message)
            answered.set()
            return web.Response(status=202)
        stream = await Sse.open(request)
        await stream.send({"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": {"x": None}})
        await stream.send({"jsonrpc": "2.0", "id": 2, "method": "ping"})
        await stream.send({"jsonrpc": "2.0", "method": "notifications/message", "params": {}})
        await answered.wait()
        await stream.send(result(seen, {}))
        return stream.response

    heard = Heard(answer={"result": {"text": None}})
    async with serving(legacy(curious)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        with anyio.fail_after(10):
            await heard.ask(link, "tools/call", {})
            while len(answers) < 2:
                await anyio.lowlevel.checkpoint()

    assert heard.requests == [{"method": "sampling/createMessage", "params": {"x": None}}]
    assert {"jsonrpc": "2.0", "id": "q", "result": {"text": None}} in answers
    assert {"jsonrpc": "2.0", "id": 2, "result": {}} in answers


async def test_cancelling_names_exactly_the_request_it_means() -> None:
    async def hang(request: web.Request, seen: Seen) -> web.StreamResponse:
        await anyio.sleep_forever()
        raise AssertionError

    async with serving(legacy(hang)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        scopes = {number: anyio.CancelScope() for number in range(20)}

        async def call(number: int) -> None:
            with scopes[number]:
                await Heard().ask(link, "tools/call", {"number": number})

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(call, number)
            calls = await upstream.until("tools/call", 20)
            scopes[7].cancel()
            [note] = await upstream.until("notifications/cancelled")
            group.cancel_scope.cancel()

    [meant] = [seen for seen in calls if (seen.message or {})["params"]["number"] == 7]
    assert (note.message or {})["params"]["requestId"] == (meant.message or {})["id"]
    assert note.headers["mcp-session-id"] == "s1"


async def test_a_server_without_sessions_is_served_without() -> None:
    async with serving(legacy(echo, sessions=False)) as upstream, pool() as links:
        await Heard().ask(await links.link(http(upstream.url), ADA), "tools/call", {})

    assert all("mcp-session-id" not in seen.headers for seen in upstream.seen)
    assert "DELETE" not in upstream.methods()


async def test_an_unknown_method_with_404_is_not_a_lost_session() -> None:
    async def unknown(request: web.Request, seen: Seen) -> web.StreamResponse:
        error = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "unknown"}}
        return web.json_response(error, status=404)

    async with serving(legacy(unknown)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        with pytest.raises(UpstreamError):
            await Heard().ask(link, "vendor/thing", {})

    assert upstream.methods().count("initialize") == 1


async def test_a_notification_finds_the_session_again_too() -> None:
    lost = iter([True, False])

    async def handler(request: web.Request, seen: Seen) -> web.StreamResponse:
        return reply(seen, {})

    shaking = legacy(handler)

    async def forgetful(request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.method == "notifications/roots/list_changed" and next(lost):
            return web.Response(status=404)
        return await shaking(request, seen)

    async with serving(forgetful) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        await link.notify("notifications/roots/list_changed", {"x": None})

    first, second = [seen for seen in upstream.seen if seen.method == "notifications/roots/list_changed"]
    assert (first.headers["mcp-session-id"], second.headers["mcp-session-id"]) == ("s1", "s2")
    assert second.message == {
        "jsonrpc": "2.0",
        "method": "notifications/roots/list_changed",
        "params": {"x": None},
    }


async def test_a_new_session_is_told_what_the_lost_one_knew() -> None:
    lost = False

    async def forgetful(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(status=404) if lost and seen.headers["mcp-session-id"] == "s1" else reply(seen, {})

    async with serving(legacy(forgetful)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        await Heard().ask(link, "logging/setLevel", {"level": "debug"})
        await Heard().ask(link, "logging/setLevel", {"level": "info"})
        for uri in ("a:kept", "a:left"):
            await Heard().ask(link, "resources/subscribe", {"uri": uri})
        await Heard().ask(link, "resources/unsubscribe", {"uri": "a:left"})
        lost = True
        await Heard().ask(link, "tools/call", {"name": "t"})

    told = [seen.message or {} for seen in upstream.seen if seen.headers.get("mcp-session-id") == "s2"]
    assert [(message["method"], message.get("params")) for message in told if "method" in message] == [
        ("notifications/initialized", None),
        ("logging/setLevel", {"level": "info"}),
        ("resources/subscribe", {"uri": "a:kept"}),
        ("tools/call", {"name": "t"}),
    ]


async def test_a_list_that_has_not_changed_is_the_same_object_for_whoever_asks() -> None:
    lists = [{"tools": [{"name": name}]} for name in "aab"]

    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return reply(seen, lists.pop(0))

    async with serving(legacy(answer)) as upstream, pool() as links:
        for who in (ADA, BOB):
            await links.link(http(upstream.url), who)
        found = [await Heard().ask(await links.link(http(upstream.url), who), "tools/list") for who in (ADA, BOB, ADA)]

    assert found[1] is found[0]
    assert found[2] == {"tools": [{"name": "b"}]}


async def test_telling_of_a_cancellation_has_an_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(legacy_module, "GOODBYE", 0.01)
    caplog.set_level("INFO")

    async def hang(request: web.Request, seen: Seen) -> web.StreamResponse:
        await anyio.sleep_forever()
        raise AssertionError

    answered = legacy(hang)

    async def deaf(request: web.Request, seen: Seen) -> web.StreamResponse:
        return await (hang if seen.method == "notifications/cancelled" else answered)(request, seen)

    async with serving(deaf) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        async with anyio.create_task_group() as group:
            group.start_soon(Heard().ask, link, "tools/call", {})
            await upstream.until("tools/call")
            group.cancel_scope.cancel()
        with anyio.fail_after(10):
            while "does not take note of a cancellation" not in caplog.text:
                await anyio.lowlevel.checkpoint()


async def test_a_call_whose_account_ends_while_its_stream_is_resumed_may_have_run() -> None:
    tokens, good = Tokens({"ada": "a"}), {"a"}

    async def breaks(request: web.Request, seen: Seen) -> web.StreamResponse:
        stream = await Sse.open(request)
        await stream.raw(b"id: 1\nretry: 1\ndata:\n\n")
        good.clear()
        return stream.response

    async with accounts(guarded(legacy(breaks), good), tokens) as (_, links, server):
        link = await links.link(server, HER)
        with pytest.raises(UpstreamDown) as down:
            await Heard().ask(link, "tools/call", {"name": "x"})

    assert down.value.sent
    assert tokens.refusals
