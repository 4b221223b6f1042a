"""The messages inside one HTTP answer."""

import gzip

import anyio
import pytest
from aiohttp import web

from portkey_mcp import wire
from portkey_mcp.errors import UpstreamDown
from portkey_mcp.upstream import stream as stream_module
from portkey_mcp.upstream.breaker import Gate
from portkey_mcp.upstream.connections import Connections
from portkey_mcp.upstream.http import Exchange
from portkey_mcp.upstream.stream import BrokenOff
from portkey_mcp.upstream.tasks import Tasks
from portkey_mcp.wire import Json, Raw
from tests.upstream.scripted import Answer, Seen, Sse, serving

pytestmark = pytest.mark.anyio

ONE: Json = {"jsonrpc": "2.0", "method": "a", "params": {"n": 2**70, "x": None}}
TWO: Json = {"jsonrpc": "2.0", "id": 1, "result": {}}


def body(data: bytes, kind: str) -> Answer:
    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(body=data, headers={"Content-Type": kind})

    return answer


async def read(answer: Answer) -> list[Json]:
    async with serving(answer) as upstream, Connections() as connections:
        stream = await Exchange(connections, upstream.url, {}, Gate("up")).open("POST", b"", ONE)
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

    async with serving(answer) as upstream, Connections() as connections, Tasks() as tasks:
        exchange = Exchange(connections, upstream.url, {}, Gate("up"))
        stream = await exchange.open("POST", b"", ONE)
        assert await stream.read() == TWO
        stream.answered = True
        stream.leave(tasks.spawn)
        release.set()
        with anyio.fail_after(5):
            while not connections.free(exchange.address.origin):
                await anyio.lowlevel.checkpoint()
        (await exchange.open("POST", b"", ONE)).close()

    assert len(set(peers)) == 1


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_a_result_in_the_same_bytes_is_the_same_object(kind: str) -> None:
    listed = b'{"jsonrpc":"2.0","id":7,"result":{"tools":[]}}'
    last = Raw({"tools": []}, b'{"tools":[]}')
    data = listed if kind == "application/json" else b"data: " + listed + b"\n\n"

    async with serving(body(data, kind)) as upstream, Connections() as connections:
        stream = await Exchange(connections, upstream.url, {}, Gate("up")).open("POST", b"", ONE, last)
        message = await stream.read()

    assert message is not None
    assert message["id"] == 7
    assert message["result"] is last


async def test_json_that_is_compressed_although_nobody_asked_is_read() -> None:
    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        assert seen.headers["accept-encoding"] == "identity"
        packed = gzip.compress(wire.dumps(TWO))
        return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    assert await read(answer) == [TWO]


async def test_a_bomb_of_white_space_of_no_known_kind_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MAX_EVENT", 2**21)
    packed = gzip.compress(b" " * 2**26)

    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "text/odd"})

    with pytest.raises(UpstreamDown, match="white space"):
        await read(answer)


async def test_a_bomb_is_a_message_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MAX_EVENT", 2**21)
    packed = gzip.compress(bytes(2**26))

    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    with pytest.raises(UpstreamDown, match="larger than"):
        await read(answer)


@pytest.mark.parametrize(("sent", "last_id"), [(b"7", "7"), (b"\xc3\xa9", "é"), (b"a\x01b", "")])
async def test_an_event_id_that_no_header_can_hold_is_none(sent: bytes, last_id: str) -> None:
    data = b"id: " + sent + b"\ndata: " + wire.dumps(TWO) + b"\n\n"
    async with serving(body(data, "text/event-stream")) as upstream, Connections() as connections:
        stream = await Exchange(connections, upstream.url, {}, Gate("up")).open("POST", b"", ONE)
        assert stream.last_id == ""
        await stream.read()
        assert stream.last_id == last_id
        stream.close()
