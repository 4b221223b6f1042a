"""Links to modern servers over HTTP."""

import anyio
import pytest
from aiohttp import web

from portkey_mcp import wire
from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream.modern import LONG
from tests.upstream.heard import ADA, BOB, Heard, http, pool
from tests.upstream.scripted import Seen, Sse, modern, reply, result, serving

pytestmark = pytest.mark.anyio


async def echo(request: web.Request, seen: Seen) -> web.StreamResponse:
    return reply(seen, {"got": (seen.message or {}).get("params")})


async def test_a_call_carries_the_headers_and_the_envelope_of_its_own_hop() -> None:
    async with serving(modern(echo)) as upstream, pool() as links:
        server = http(upstream.url, headers={"Authorization": "Bearer static", "Accept": "text/plain"})
        link = await links.link(server, ADA)
        params = {"name": "tööl", "arguments": {"n": 2**70, "x": None}, "vendor": None, "_meta": {"k": None}}

        answer = await link.request(
            "tools/call",
            params,
            on_notification=Heard().on_notification,
            on_request=Heard().on_request,
            headers={"Mcp-Param-Region": "eu"},
        )

    headers = upstream.seen[-1].headers
    assert (link.era, link.version) == ("modern", "2026-07-28")
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert headers["mcp-method"] == "tools/call"
    assert headers["mcp-name"] == "=?base64?dMO2w7Zs?="
    assert headers["mcp-param-region"] == "eu"
    assert headers["authorization"] == "Bearer static"
    assert headers["accept"] == "application/json, text/event-stream"
    envelope = {
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    }
    assert answer == {"got": {**params, "_meta": {"k": None, **envelope}}}


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [("resources/read", {"uri": "a://b"}, "a://b"), ("tasks/get", {"taskId": "t1"}, "t1"), ("tools/list", None, None)],
)
async def test_the_name_header_repeats_what_the_method_names(
    method: str, params: dict[str, object] | None, name: str | None
) -> None:
    async with serving(modern(echo)) as upstream, pool() as links:
        await Heard().ask(await links.link(http(upstream.url), ADA), method, params)

    assert upstream.seen[-1].headers.get("mcp-name") == name


async def test_names_short_or_long_have_their_own_headers_however_often_they_come() -> None:
    names = ["a", "a" * (LONG + 1), "b", "a", "a" * (LONG + 1), "", None]
    async with serving(modern(echo)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        before = len(upstream.seen)
        for name in names:
            await Heard().ask(link, "tools/call", {"name": name})

    sent = [seen.headers for seen in upstream.seen[before:]]
    assert [one.get("mcp-name") for one in sent] == names
    assert {one["mcp-method"] for one in sent} == {"tools/call"}


async def test_everybody_shares_one_link_and_the_era_is_asked_once() -> None:
    async with serving(modern(echo)) as upstream, pool() as links:
        server = http(upstream.url)
        assert await links.link(server, ADA) is await links.link(server, BOB)
        assert links.era(server) == "modern"

    assert upstream.methods() == ["server/discover"]


async def test_notifications_come_in_order_with_the_callers_token_before_the_result() -> None:
    async def burst(request: web.Request, seen: Seen) -> web.StreamResponse:
        stream = await Sse.open(request)
        token = (seen.message or {})["params"]["_meta"]["progressToken"]
        for step in range(1500):
            params = {"progressToken": token, "progress": step, "extra": None}
            await stream.send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        await stream.send(result(seen, {"done": None, "big": 2**70}))
        await stream.send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"after": True}})
        return stream.response

    heard = Heard(slow=True)
    async with serving(modern(burst)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        answer = await heard.ask(link, "tools/call", {"_meta": {"progressToken": "mine"}})

    assert answer == {"done": None, "big": 2**70}
    assert [one["params"]["progress"] for one in heard.notifications] == list(range(1500))
    assert heard.notifications[0] == {
        "method": "notifications/progress",
        "params": {"progressToken": "mine", "progress": 0, "extra": None},
    }


async def test_cancelling_closes_exactly_one_stream_of_many() -> None:
    ended: list[int] = []
    started = 0

    async def wait(request: web.Request, seen: Seen) -> web.StreamResponse:
        nonlocal started
        stream = await Sse.open(request)
        await stream.send({"jsonrpc": "2.0", "method": "notifications/message"})
        started += 1
        try:
            await release.wait()
        finally:
            if not release.is_set():
                ended.append((seen.message or {})["params"]["number"])
        await stream.send(result(seen, {}))
        return stream.response

    release = anyio.Event()
    done: list[int] = []
    async with serving(modern(wait)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        scopes = [anyio.CancelScope() for _ in range(50)]

        async def call(number: int) -> None:
            with scopes[number]:
                await Heard().ask(link, "tools/call", {"number": number})
                done.append(number)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for number in range(50):
                    group.start_soon(call, number)
                while started < 50:
                    await anyio.lowlevel.checkpoint()
                scopes[31].cancel()
                while not ended:
                    await anyio.lowlevel.checkpoint()
                release.set()

    assert ended == [31]
    assert sorted(done) == [number for number in range(50) if number != 31]


async def test_an_error_comes_raw_with_its_status_and_headers() -> None:
    error = {"code": -32020, "message": "header mismatch", "data": {"x": None}, "vendor": 1}

    async def refuse(request: web.Request, seen: Seen) -> web.StreamResponse:
        body = wire.dumps({"jsonrpc": "2.0", "id": None, "error": error})
        return web.Response(status=400, body=body, headers={"X-Trace": "abc"})

    async with serving(modern(refuse)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        with pytest.raises(UpstreamError) as raised:
            await Heard().ask(link, "tools/call", {})

    assert raised.value.error == error
    assert raised.value.status == 400
    assert (raised.value.headers or {})["x-trace"] == "abc"


async def test_an_upstream_that_leaves_its_version_behind_is_asked_for_it_again() -> None:
    error = {"code": -32022, "message": "no", "data": {"supported": ["2026-07-28"]}}

    async def refuse(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(status=400, body=wire.dumps({"jsonrpc": "2.0", "id": None, "error": error}))

    async with serving(modern(refuse)) as upstream, pool() as links:
        server = http(upstream.url)
        link = await links.link(server, ADA)
        with pytest.raises(UpstreamError):
            await Heard().ask(link, "tools/call", {})

        assert not link.alive
        assert await links.link(server, ADA) is not link

    assert upstream.methods().count("server/discover") == 2


async def test_a_stream_that_ends_without_a_result_says_that_the_call_may_have_run() -> None:
    async def stop(request: web.Request, seen: Seen) -> web.StreamResponse:
        return (await Sse.open(request)).response

    async with serving(modern(stop)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        with pytest.raises(UpstreamDown, match="without a result") as raised:
            await Heard().ask(link, "tools/call", {})

    assert raised.value.sent


async def test_closing_fails_what_is_in_flight_and_lets_nothing_more_start() -> None:
    async def hang(request: web.Request, seen: Seen) -> web.StreamResponse:
        await anyio.sleep_forever()
        raise AssertionError

    async with serving(modern(hang)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:

                async def call() -> None:
                    with pytest.raises(UpstreamDown, match="closed") as raised:
                        await Heard().ask(link, "tools/call", {})
                    assert raised.value.sent

                group.start_soon(call)
                await upstream.until("tools/call")
                await link.close()
        with pytest.raises(UpstreamDown, match="closed") as raised:
            await link.notify("notifications/x", None)

    assert not raised.value.sent
    assert not link.alive


async def test_a_modern_link_may_be_attended_and_nothing_comes() -> None:
    async with serving(modern(echo)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        async with link.attend(Heard().on_notification, Heard().on_request):
            pass

    assert upstream.methods() == ["server/discover"]


async def test_a_list_that_has_not_changed_is_the_same_object_for_whoever_asks() -> None:
    lists = [{"tools": [{"name": name}]} for name in "aab"]

    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return reply(seen, lists.pop(0))

    async with serving(modern(answer)) as upstream, pool() as links:
        for who in (ADA, BOB):
            await links.link(http(upstream.url), who)
        found = [await Heard().ask(await links.link(http(upstream.url), who), "tools/list") for who in (ADA, BOB, ADA)]

    assert found[1] is found[0]
    assert found[2] == {"tools": [{"name": "b"}]}
