"""Idle streams are known to be open, or the reason is said why they are not."""

import asyncio

import pytest

from benchmarks.connection import LoadError, Place
from benchmarks.messages import ERAS, Era
from benchmarks.streams import hold_open
from benchmarks.upstream import Upstream

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("era", ERAS)
async def test_streams_stay_open_until_somebody_leaves(era: Era) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(era), "127.0.0.1", 0)
    async with server:
        streams = await hold_open(Place(server.sockets[0].getsockname()[1]), era, 3)
        assert len(streams) == 3
        for stream in streams:
            stream.check()
            stream.close()


async def test_a_stream_that_is_refused_says_so() -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Upstream("legacy"), "127.0.0.1", 0)
    async with server:
        with pytest.raises(LoadError, match="a stream did not open"):
            await hold_open(Place(server.sockets[0].getsockname()[1], "/no-mcp-here"), "legacy", 1)


async def test_a_stream_that_the_other_side_ended_is_found_out() -> None:
    transports: list[asyncio.BaseTransport] = []

    class Kept(Upstream):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            transports.append(transport)

    server = await asyncio.get_running_loop().create_server(lambda: Kept("modern"), "127.0.0.1", 0)
    async with server:
        [stream] = await hold_open(Place(server.sockets[0].getsockname()[1]), "modern", 1)
        transports[-1].close()
        await stream.gone.wait()
        with pytest.raises(LoadError, match="did not stay open"):
            stream.check()
