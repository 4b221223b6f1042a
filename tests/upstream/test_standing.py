"""The standing stream of a legacy HTTP session."""

import anyio
import pytest
from aiohttp import web

from portkey_mcp.upstream.link import Link
from tests.upstream.accounts import ADA as HER
from tests.upstream.accounts import Tokens, accounts, guarded, token_of, who
from tests.upstream.heard import ADA, Heard, http, pool
from tests.upstream.scripted import Seen, Sse, legacy, reply, serving

pytestmark = pytest.mark.anyio

CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
UPDATED = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "a:b", "x": None}}


class Standing:
    """Answers GET with streams that the test holds in its hands, everything else as a legacy server does."""

    def __init__(self) -> None:
        self.streams: list[Sse] = []
        self.ends: list[anyio.Event] = []
        self.closed = 0

    async def __call__(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.verb != "GET":
            return web.Response(status=202) if not seen.method else reply(seen, {})
        stream, end = await Sse.open(request), anyio.Event()
        self.streams.append(stream)
        self.ends.append(end)
        try:
            await end.wait()
        finally:
            self.closed += 1
        return stream.response


async def test_what_comes_is_handed_to_everybody_and_one_stream_is_shared() -> None:
    standing = Standing()
    one, two = Heard(), Heard()
    async with serving(legacy(standing)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        async with link.attend(one.on_notification, one.on_request):
            assert len(standing.streams) == 1
            async with link.attend(two.on_notification, two.on_request):
                await standing.streams[0].send(UPDATED)
                expected = [{"method": UPDATED["method"], "params": UPDATED["params"]}]
                assert await one.until(1) == await two.until(1) == expected
            assert standing.closed == 0
        with anyio.fail_after(10):
            while not standing.closed:
                await anyio.lowlevel.checkpoint()

    assert upstream.methods().count("GET") == 1
    assert upstream.seen[-2].headers["mcp-session-id"] == "s1"


async def test_a_question_on_it_is_answered() -> None:
    standing = Standing()
    heard = Heard(answer={"result": {"roots": []}})
    async with serving(legacy(standing)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        async with link.attend(heard.on_notification, heard.on_request):
            await standing.streams[0].send({"jsonrpc": "2.0", "id": 4, "method": "roots/list"})
            with anyio.fail_after(10):
                while not any(seen.message and "result" in seen.message for seen in upstream.seen):
                    await anyio.lowlevel.checkpoint()

    [answer] = [seen.message for seen in upstream.seen if seen.message and "result" in seen.message]
    assert answer == {"jsonrpc": "2.0", "id": 4, "result": {"roots": []}}
    assert heard.requests == [{"method": "roots/list"}]


async def test_after_a_break_the_lists_may_have_changed() -> None:
    standing = Standing()
    heard = Heard()
    async with serving(legacy(standing)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        async with link.attend(heard.on_notification, heard.on_request):
            await standing.streams[0].raw(b"retry: 1\n\n")
            standing.ends[0].set()
            assert await heard.until(1) == [{"method": "notifications/tools/list_changed"}]
            assert len(standing.streams) == 2


async def test_a_stream_with_ids_is_resumed_and_nothing_was_missed() -> None:
    standing = Standing()
    heard = Heard()
    async with serving(legacy(standing)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        async with link.attend(heard.on_notification, heard.on_request):
            await standing.streams[0].raw(b"retry: 1\nid: 9\ndata:\n\n")
            standing.ends[0].set()
            await upstream.until("GET", 2)
            with anyio.fail_after(10):
                while len(standing.streams) < 2:
                    await anyio.lowlevel.checkpoint()
            await standing.streams[1].send(UPDATED)
            assert len(await heard.until(1)) == 1

    assert [seen.headers.get("last-event-id") for seen in upstream.seen if seen.verb == "GET"] == [None, "9"]


@pytest.mark.parametrize("status", [405, 404, 400, 200])
async def test_a_server_without_one_may_be_attended_all_the_same(status: int) -> None:
    async def none(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(status=status) if seen.verb == "GET" else reply(seen, {})

    async def attend(link: Link) -> None:
        async with link.attend(Heard().on_notification, Heard().on_request):
            pass

    async with serving(legacy(none)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        await attend(link)
        await attend(link)

    assert upstream.methods().count("GET") == 1
    assert upstream.methods().count("initialize") == 1


async def test_a_session_lost_on_the_stream_is_opened_again() -> None:
    standing = Standing()

    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.headers["mcp-session-id"] == "s1":
            return web.Response(status=404)
        return await standing(request, seen)

    heard = Heard()
    async with serving(legacy(answer)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        async with link.attend(heard.on_notification, heard.on_request):
            assert await heard.until(1) == [{"method": "notifications/tools/list_changed"}]

    assert upstream.methods().count("initialize") == 2


async def test_progress_on_it_bears_the_callers_token() -> None:
    standing = Standing()
    release = anyio.Event()

    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.method == "tools/call":
            token = (seen.message or {})["params"]["_meta"]["progressToken"]
            params = {"progressToken": token, "progress": 1}
            await standing.streams[0].send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
            await release.wait()
        return await standing(request, seen)

    attending, calling = Heard(), Heard()
    async with serving(legacy(answer)) as upstream, pool() as links:
        link = await links.link(http(upstream.url), ADA)
        async with link.attend(attending.on_notification, attending.on_request), anyio.create_task_group() as group:
            group.start_soon(calling.ask, link, "tools/call", {"_meta": {"progressToken": "mine"}})
            [progress] = await attending.until(1)
            release.set()

    assert progress["params"] == {"progressToken": "mine", "progress": 1}


async def test_those_who_attend_are_served_again_once_the_account_is_back() -> None:
    tokens, heard = Tokens({"ada": "a"}), Heard()

    async def standing(request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.verb != "GET":
            return await who(request, seen)
        stream = await Sse.open(request)
        await stream.send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": token_of(seen)}})
        await anyio.sleep_forever()
        raise AssertionError

    async with accounts(guarded(legacy(standing), {"a", "a2"}), tokens) as (_, links, server):
        link = await links.link(server, HER)
        async with link.attend(heard.on_notification, heard.on_request):
            await heard.until(1)
            tokens.held["ada"] = "a2"
            await links.forget_account(server.key, "ada")
            await heard.until(3)

    methods = [notification["method"] for notification in heard.notifications]
    assert methods == ["notifications/message", "notifications/tools/list_changed", "notifications/message"]
    assert heard.notifications[-1]["params"] == {"data": "a2"}


async def test_a_standing_stream_waits_for_an_account_that_ended() -> None:
    tokens, good, heard = Tokens({"ada": "a"}), {"a"}, Heard()
    ended = anyio.Event()

    async def standing(request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.verb != "GET":
            return await who(request, seen)
        stream = await Sse.open(request)
        await stream.raw(b"retry: 1\n\n")
        await stream.send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": token_of(seen)}})
        if token_of(seen) == "a":
            await ended.wait()
            return stream.response
        await anyio.sleep_forever()
        raise AssertionError

    async with accounts(guarded(legacy(standing), good), tokens) as (upstream, links, server):
        link = await links.link(server, HER)
        async with link.attend(heard.on_notification, heard.on_request):
            await heard.until(1)
            good.clear()
            ended.set()
            with anyio.fail_after(10):
                while not tokens.refusals:
                    await anyio.lowlevel.checkpoint()
            good.add("a2")
            tokens.held["ada"] = "a2"
            await heard.until(3)

    assert link.hello["serverInfo"]["name"] == "scripted"
    assert heard.notifications[-1]["params"] == {"data": "a2"}
    assert upstream.methods().count("initialize") == 1
