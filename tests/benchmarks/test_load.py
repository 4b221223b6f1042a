"""The load counts what is wrong and says what broke; it never takes a failure for a call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks.connection import LoadError, Place
from benchmarks.load import Point, run, whole_hub
from benchmarks.messages import CYCLE, ECHO, HUB_TOOLS, Era
from benchmarks.upstream import Upstream

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(make: Callable[[], asyncio.Protocol]) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def point(port: int, era: Era = "modern") -> Point:
    return Point(ECHO, era, 2, Place(port))


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


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_cycle_is_one_connection_from_greeting_to_close(era: Era) -> None:
    connections: list[Upstream] = []

    def connected() -> Upstream:
        connections.append(Upstream(era))
        return connections[-1]

    async with serving(connected) as port:
        tally = await run(Point(CYCLE, era, 1, Place(port)), warm_up=0, seconds=30, calls=3)
    assert len(tally.latencies) >= 3
    assert tally.wrong == 0
    assert len(connections) == tally.answered


async def test_a_cycle_with_a_wrong_reply_is_wrong() -> None:
    class Wrong(Upstream):
        def _send(self, status: bytes, body: bytes, extra: bytes = b"") -> None:
            super()._send(status, body.replace(b"tool_99", b"tool_x"), extra)

    async with serving(lambda: Wrong("modern")) as port:
        tally = await run(Point(CYCLE, "modern", 1, Place(port)), warm_up=0, seconds=30, calls=2)
    assert tally.latencies == []
    assert tally.wrong >= 2


async def test_all_replies_are_counted_also_those_before_the_clock_runs() -> None:
    async with serving(lambda: Upstream("modern")) as port:
        tally = await run(point(port), warm_up=0.05, seconds=30, calls=5)
    assert tally.answered > len(tally.latencies)


async def test_a_hubs_tools_are_counted_over_all_its_pages() -> None:
    async with serving(lambda: Upstream("legacy")) as port:
        assert await whole_hub(Place(port, "/hub/0/mcp"), "legacy") == (HUB_TOOLS, 1)
