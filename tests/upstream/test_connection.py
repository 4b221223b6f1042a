"""One connection: what servers send, and what must never be taken for an answer."""

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from portkey_mcp.upstream.connection import MAX_HEAD, Connection
from portkey_mcp.upstream.connections import Connections
from portkey_mcp.upstream.inflating import BadEncoding
from portkey_mcp.upstream.response import HIGH_WATER, Broken, NotHttp, Response
from tests.upstream.raw import OK, Peer, RawServer, Script, answering, raw

pytestmark = pytest.mark.anyio

GET = b"GET /mcp HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"], scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return "asyncio", {"use_uvloop": request.param}


@asynccontextmanager
async def talking(script: Script) -> AsyncIterator[tuple[Callable[[], Awaitable[Response]], RawServer, Connections]]:
    with anyio.fail_after(20):
        async with raw(script) as server, Connections() as connections:
            yield lambda: connections.ask(server.address, GET), server, connections


async def whole(response: Response) -> bytes:
    return await response.read(2**30)


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "body", "kept"),
    [
        (HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
        (HEAD + b"Content-Length: 0\r\n\r\n", b"", True),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX: trailer\r\n\r\n",
            b"hello",
            True,
        ),
        (HEAD + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello", b"hello", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", b"hello", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + OK, b"{}", True),
        (HEAD + b"\r\nhello", b"hello", False),
        (b"HTTP/1.1 200\nContent-Length: 5\n\nhello", b"hello", True),
        (
            HEAD + b"Content-Encoding: gzip\r\nContent-Length: 25\r\n\r\n" + gzip.compress(b"hello", mtime=0),
            b"hello",
            True,
        ),
        (HEAD + b"Content-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    ],
)
async def test_a_body_ends_where_http_says(answer: bytes, body: bytes, kept: bool) -> None:
    answers = (answer, OK) if kept else (answer,)
    async with talking(answering(*answers)) as (ask, server, connections):
        assert await whole(await ask()) == body
        assert connections.free(server.address.origin) == int(kept)
        if kept:
            assert await whole(await ask()) == b"{}"
            assert len(server.peers) == 1


async def test_a_body_is_the_same_however_it_is_cut() -> None:
    answer = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.request()
        for position in range(len(answer)):
            await peer.say(answer[position : position + 1])
            await anyio.lowlevel.checkpoint()

    async with talking(script) as (ask, _, _):
        assert await whole(await ask()) == b"hello"


async def test_repeated_and_strange_headers_survive() -> None:
    answer = HEAD + b"X: 1\r\nx: \xe9\r\nContent-Type: Application/JSON; charset=x\r\nContent-Length: 0\r\n\r\n"
    async with talking(answering(answer)) as (ask, _, _):
        response = await ask()

    assert response.headers["x"] == "1, é"
    assert response.content_type == "application/json"
    assert (response.status, response.reason, response.header(b"missing")) == (200, "OK", "")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x03\x00\x02\x02F",
        b"HTTP/2 200\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: x\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"A\0: b\r\n\r\n",
        HEAD + b"X: " + b"a" * 2 * MAX_HEAD,
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD // 20),
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_said_in_words_and_ends_the_connection(answer: bytes) -> None:
    closed = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(answer)
        await peer.closed()
        closed.set()

    async with talking(script) as (ask, _, _):
        with pytest.raises(NotHttp, match=r"."):
            await ask()
        await closed.wait()


@pytest.mark.parametrize(
    ("rest", "raised"),
    [(b"zz\r\n", NotHttp), (b"0\r\nX: " + b"a" * 16 * MAX_HEAD, NotHttp), (b"5\r\nhe", Broken), (b"", Broken)],
)
async def test_a_body_that_goes_wrong_is_told_from_one_that_ends(rest: bytes, raised: type[Exception]) -> None:
    async with talking(answering(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n" + rest)) as (ask, _, _):
        with pytest.raises(raised):
            await whole(await ask())


async def test_an_unknown_encoding_is_said_in_words() -> None:
    async with talking(answering(HEAD + b"Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx")) as (ask, _, _):
        with pytest.raises(BadEncoding, match="br"):
            await ask()


@pytest.mark.parametrize("surplus", [OK, b"HTTP/1.1 200", b"garbage"])
async def test_more_than_the_answer_is_never_taken_for_the_next_one(surplus: bytes) -> None:
    async with talking(answering(OK + surplus, OK)) as (ask, server, connections):
        assert await whole(await ask()) == b"{}"
        assert connections.free(server.address.origin) == 0
        assert await whole(await ask()) == b"{}"
        assert len(server.peers) == 2


async def test_what_comes_unasked_ends_the_connection() -> None:
    closed = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        if len(server.peers) == 1:
            await told.wait()
            await peer.say(OK)
            await peer.closed()
            closed.set()

    told = anyio.Event()
    async with talking(script) as (ask, server, _):
        await whole(await ask())
        told.set()
        await closed.wait()
        await whole(await ask())
        assert len(server.peers) == 2


async def test_an_early_answer_ends_the_connection_that_still_sends() -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await peer.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
        await release.wait()

    release = anyio.Event()
    large = b"POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 40000000\r\n\r\n" + bytes(40_000_000)
    async with talking(script) as (_, server, connections):
        response = await connections.ask(server.address, large)
        assert (response.status, await whole(response)) == (413, b"{}")
        assert connections.free(server.address.origin) == 0
        release.set()


async def test_a_body_nobody_reads_is_not_read_from_the_network_either() -> None:
    size = 64 * HIGH_WATER
    sent = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(HEAD + b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(64):
            await peer.say(bytes(HIGH_WATER))
        sent.set()

    async with talking(script) as (ask, server, connections):
        response = await ask()
        await anyio.wait_all_tasks_blocked()
        assert not sent.is_set()
        assert len(await whole(response)) == size
        assert connections.free(server.address.origin) == 1


@pytest.mark.parametrize("answered", [b"", HEAD, HEAD + b"Content-Length: 5\r\n\r\nhe"])
async def test_cancelling_closes_the_connection(answered: bytes) -> None:
    came, closed = anyio.Event(), anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(answered)
        came.set()
        await peer.closed()
        closed.set()

    async with talking(script) as (ask, server, connections), anyio.create_task_group() as group:

        async def call() -> None:
            response = await ask()
            try:
                await whole(response)
            finally:
                response.close()

        group.start_soon(call)
        await came.wait()
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await closed.wait()
        assert connections.free(server.address.origin) == 0


async def test_a_server_that_says_nothing_and_closes_has_not_answered() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()

    async with talking(script) as (ask, _, _):
        with pytest.raises(Broken, match="the server closed it") as raised:
            await ask()

    assert raised.value.unanswered


async def test_it_can_be_asked_only_once_at_a_time() -> None:
    connection = Connection(("http", "h", 80), lambda _: None, lambda _: None)
    connection.is_lost = True

    assert not connection.is_usable
