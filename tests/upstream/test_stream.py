"""The messages inside one HTTP answer."""

import anyio
import pytest
from aiohttp import web

from portkey_mcp import wire
from portkey_mcp.errors import UpstreamDown
from portkey_mcp.upstream.breaker import Gate
from portkey_mcp.upstream.http import Exchange, open_session
from portkey_mcp.upstream.stream import BrokenOff
from portkey_mcp.upstream.tasks import Tasks
from portkey_mcp.wire import Json
from tests.upstream.scripted import Answer, Seen, Sse, serving

pytestmark = pytest.mark.anyio

ONE: Json = {"jsonrpc": "2.0", "method": "a", "params": {"n": 2**70, "x": None}}
TWO: Json = {"jsonrpc": "2.0", "id": 1, "result": {}}


def body(data: bytes, kind: str) -> Answer:
    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(body=data, headers={"Content-Type": kind})

    return answer


async def read(answer: Answer) -> list[Json]:
    async with serving(answer) as upstream, open_session() as session:
        stream = await Exchange(session, upstream.url, {}, Gate("up")).open("POST", {}, ONE)
        messages = []
        try:
            while (message := await stream.read()) is not None:
                messages.append(message)
        finally:
            stream.close()
        return messages


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "text/plain", "x/y"])
async def test_json_is_read_whatever_it_is_called(kind: str) -> None:
    assert await read(body(b"\n " + wire.dumps(TWO), kind)) == [TWO]


@pytest.mark.parametrize("kind", ["text/event-stream", "text/event-stream; charset=utf-8", "text/plain"])
async def test_events_are_read_whatever_they_are_called(kind: str) -> None:
    data = b": hi\n\ndata: " + wire.dumps(ONE) + b"\n\nid: 1\ndata:\n\ndata: " + wire.dumps(TWO) + b"\r\n\r\n"

    assert await read(body(data, kind)) == [ONE, TWO]


async def test_a_batch_is_read_as_its_messages() -> None:
    assert await read(body(wire.dumps([ONE, TWO]), "application/json")) == [ONE, TWO]


async def test_an_empty_answer_has_no_messages() -> None:
    assert await read(body(b"", "application/json")) == []


@pytest.mark.parametrize("data", [b"<html>", b'{"a":1,"a":2}', b"5"])
async def test_what_is_not_a_message_is_said_in_words(data: bytes) -> None:
    with pytest.raises(UpstreamDown, match="not a message") as raised:
        await read(body(data, "application/json"))

    assert raised.value.sent


async def test_an_event_of_two_mebibytes_comes_through() -> None:
    large = {"jsonrpc": "2.0", "id": 1, "result": {"text": "x" * (2 * 1024 * 1024)}}

    assert await read(body(b"data: " + wire.dumps(large) + b"\n\n", "text/event-stream")) == [large]


async def test_a_stream_that_breaks_off_is_told_from_one_that_ends() -> None:
    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        stream = await Sse.open(request)
        await stream.send(ONE)
        assert request.transport is not None
        request.transport.abort()
        return stream.response

    with pytest.raises(BrokenOff):
        await read(answer)


async def test_an_answered_stream_is_read_to_its_end_so_that_its_connection_lives_on() -> None:
    peers = []
    release = anyio.Event()

    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        stream = await Sse.open(request)
        await stream.send(TWO)
        await release.wait()
        return stream.response

    async with serving(answer) as upstream, open_session() as session, Tasks() as tasks:
        exchange = Exchange(session, upstream.url, {}, Gate("up"))
        stream = await exchange.open("POST", {}, ONE)
        assert await stream.read() == TWO
        stream.answered = True
        stream.leave(tasks.spawn)
        release.set()
        with anyio.fail_after(5):
            while not session.connector or not session.connector._conns:  # type: ignore[attr-defined]
                await anyio.lowlevel.checkpoint()
        (await exchange.open("POST", {}, ONE)).close()

    assert len(set(peers)) == 1
