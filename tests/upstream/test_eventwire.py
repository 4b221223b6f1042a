"""The old HTTP+SSE transport."""

from dataclasses import replace

import anyio
import pytest
from aiohttp import web

from portkey_mcp import wire
from portkey_mcp.errors import ConnectNeeded, UpstreamDown
from portkey_mcp.wire import Json
from tests.upstream.accounts import ADA as HER
from tests.upstream.accounts import BOB as HIM
from tests.upstream.accounts import Tokens, accounts, guarded, token_of, whose
from tests.upstream.heard import ADA, BOB, Heard, http, pool
from tests.upstream.scripted import HELLO, Answer, Seen, Sse, result, serving

pytestmark = pytest.mark.anyio


class OldServer:
    """One stream a session; every POST is answered there."""

    def __init__(self, endpoint: str = "/messages?session=") -> None:
        self.endpoint = endpoint
        self.streams: dict[str, Sse] = {}
        self.ends: list[anyio.Event] = []

    async def __call__(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.verb == "GET":
            stream, end, name = await Sse.open(request), anyio.Event(), str(len(self.streams))
            self.streams[name] = stream
            self.ends.append(end)
            await stream.raw(f"event: endpoint\ndata: {self.endpoint}{name}\n\n".encode())
            await end.wait()
            return stream.response
        stream = self.streams[request.query["session"]]
        if seen.method == "test/refuse":
            return web.Response(status=429, headers={"Retry-After": "3"})
        if seen.method == "test/die":
            self.ends[-1].set()
        elif seen.message and "id" in seen.message:
            value: Json = HELLO if seen.method == "initialize" else {"got": seen.message.get("params"), "big": 2**70}
            message = wire.dumps(result(seen, value))
            await stream.raw(b"event: message\r\ndata: " + message + b"\r\n\r\n")
        return web.Response(status=202)


async def test_it_speaks_legacy_and_nothing_is_lost() -> None:
    async with serving(OldServer()) as upstream, pool() as links:
        server = http(upstream.url, transport="sse", headers={"X-Key": "k"})
        link = await links.link(server, ADA)
        answer = await Heard().ask(link, "test/echo", {"x": None})
        assert await links.link(server, BOB) is not link
        assert (link.era, link.hello, links.era(server)) == ("legacy", HELLO, "legacy")

    assert answer == {"got": {"x": None}, "big": 2**70}
    assert {seen.headers["x-key"] for seen in upstream.seen} == {"k"}
    assert "server/discover" not in upstream.methods()


async def test_a_refused_post_fails_its_own_call_only() -> None:
    async with serving(OldServer()) as upstream, pool() as links:
        link = await links.link(http(upstream.url, transport="sse"), ADA)
        with pytest.raises(UpstreamDown) as raised:
            await Heard().ask(link, "test/refuse")
        assert (await Heard().ask(link, "test/echo"))["got"] is None

    assert (raised.value.status, raised.value.retry_after) == (429, 3.0)


async def test_the_end_of_the_stream_fails_its_calls_and_the_next_one_opens_another() -> None:
    async with serving(OldServer()) as upstream, pool() as links:
        server = http(upstream.url, transport="sse")
        link = await links.link(server, ADA)
        with anyio.fail_after(10), pytest.raises(UpstreamDown, match="event stream ended") as raised:
            await Heard().ask(link, "test/die")
        assert not link.alive
        assert (await Heard().ask(await links.link(server, ADA), "test/echo"))["got"] is None

    assert raised.value.sent
    assert upstream.methods().count("GET") == 2


async def nothing(request: web.Request, seen: Seen) -> web.StreamResponse:
    return (await Sse.open(request)).response


async def refused(request: web.Request, seen: Seen) -> web.StreamResponse:
    return web.Response(status=401)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OldServer("http://192.0.2.1/"), "another origin"),
        (nothing, "before it said where"),
        (refused, "HTTP 401"),
    ],
)
async def test_what_is_no_such_server_is_said_in_words(answer: Answer, reason: str) -> None:
    async with serving(answer) as upstream, pool() as links:
        with pytest.raises(UpstreamDown, match=reason):
            await links.link(http(upstream.url, transport="sse"), ADA)


async def test_the_old_transport_proves_itself_on_its_stream_and_with_every_message() -> None:
    streams: list[Sse] = []

    async def old(request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.verb == "GET":
            stream = await Sse.open(request)
            streams.append(stream)
            await stream.raw(b"event: endpoint\ndata: /messages\n\n")
            await anyio.sleep_forever()
        if seen.method == "initialize":
            hello = {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {"name": "old", "version": "1"}}
            await streams[-1].send({"jsonrpc": "2.0", "id": (seen.message or {})["id"], "result": hello})
        elif seen.method == "tools/call":
            whose = {"whose": token_of(seen)}
            await streams[-1].send({"jsonrpc": "2.0", "id": (seen.message or {})["id"], "result": whose})
        return web.Response(status=202)

    tokens, good = Tokens({"ada": "a"}), {"a"}
    async with accounts(guarded(old, good), tokens) as (_, links, server):
        server = replace(server, transport="sse")
        assert await whose(links, server, HER) == "a"
        link = await links.link(server, HER)
        good.clear()
        with pytest.raises(ConnectNeeded):
            await Heard().ask(link, "tools/call", {"name": "who"})
        assert link.alive
        good.add("a2")
        tokens.held["ada"] = "a2"
        assert await whose(links, server, HER) == "a2"
        with pytest.raises(ConnectNeeded):
            await links.link(server, HIM)
