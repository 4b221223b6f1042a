"""The load counts what is wrong and says what broke; it never takes a failure for a call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.load import LoadError, Point, Reply, run
from benchmarks.messages import ECHO, Era
from benchmarks.upstream import Upstream

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(make: Callable[[], asyncio.Protocol]) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def point(port: int, era: Era = "modern") -> Point:
    return Point(ECHO, era, 2, port, "/mcp")


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_right_replies_are_counted_and_the_clock_is_marked_twice(era: Era) -> None:
    marks: list[int] = []
    async with serving(lambda: Upstream(era)) as port:
        tally = await run(point(port, era), warm_up=0, seconds=30, calls=5, mark=lambda: marks.append(1))
    assert len(tally.latencies) >= 5
    assert tally.wrong == 0
    assert len(marks) == 2


async def test_wrong_replies_are_counted_as_wrong() -> None:
    class Wrong(Upstream):
        def _send(self, status: bytes, body: bytes, extra: bytes = b"") -> None:
            super()._send(status, body.replace(b"hello", b"adieu"), extra)

    async with serving(lambda: Wrong("modern")) as port:
        tally = await run(point(port), warm_up=0, seconds=30, calls=2)
    assert (tally.latencies, tally.wrong >= 2) == ([], True)
    assert tally.example.startswith("200 b'")
    assert "adieu" in tally.example


class Refusing(asyncio.Protocol):
    answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(self.answer)
        self.transport.close()


@pytest.mark.parametrize(
    ("era", "answer", "says"),
    [
        ("modern", b"", "connection lost"),
        ("modern", b"no HTTP\r\n\r\n", "not HTTP"),
        ("legacy", b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", "initialize got 401"),
    ],
)
async def test_a_target_that_breaks_off_ends_the_point_with_the_reason(era: Era, answer: bytes, says: str) -> None:
    class Here(Refusing):
        pass

    Here.answer = answer
    async with serving(Here) as port:
        with pytest.raises(LoadError, match=says):
            await run(point(port, era), warm_up=0, seconds=30, calls=1)


def test_the_message_of_a_stream_is_its_last_event() -> None:
    stream = b'event: message\ndata: {"method":"x"}\n\ndata: {"id":1}\n\n: bye\n\n'
    assert Reply(200, {"content-type": "text/event-stream"}, stream).message == b'{"id":1}'
    assert Reply(200, {"content-type": "application/json"}, b"{}").message == b"{}"
