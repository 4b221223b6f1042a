"""Which connection a request goes out on."""

from typing import Any

import anyio
import pytest

from portkey_mcp.upstream import connections as module
from portkey_mcp.upstream.address import read
from portkey_mcp.upstream.connections import Connections, Unreachable
from portkey_mcp.upstream.response import Broken
from tests.upstream.raw import OK, Peer, answering, raw

pytestmark = pytest.mark.anyio

GET = b"GET /mcp HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"], scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return "asyncio", {"use_uvloop": request.param}


async def test_the_one_used_last_is_used_next_and_there_are_as_many_as_are_needed() -> None:
    release = anyio.Event()

    async def slow(peer: Peer) -> None:
        while await peer.request():
            await release.wait()
            await peer.say(OK)

    with anyio.fail_after(10):
        async with raw(slow) as server, Connections() as connections:
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(connections.ask, server.address, GET)
                while len(server.peers) < 50:
                    await anyio.lowlevel.checkpoint()
                release.set()
            assert connections.free(server.address.origin) == 50
            for _ in range(20):
                await connections.ask(server.address, GET)
            assert len(server.peers) == 50


async def test_one_that_the_server_closed_meanwhile_is_not_used() -> None:
    with anyio.fail_after(10):
        async with raw(answering(OK)) as server, Connections() as connections:
            for _ in range(3):
                await connections.ask(server.address, GET)
                with anyio.fail_after(5):
                    await server.peers[-1].closed()
                    while not connections._free[server.address.origin][-1].is_lost:
                        await anyio.lowlevel.checkpoint()
            assert len(server.peers) == 3


@pytest.mark.parametrize("repeatable", [True, False])
async def test_only_what_may_run_twice_is_sent_again_where_a_free_one_turns_out_dead(repeatable: bool) -> None:
    """The server closes when it sees the second request, not before, as if the two had crossed."""

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await peer.request()

    with anyio.fail_after(10):
        async with raw(once) as server, Connections() as connections:
            await connections.ask(server.address, GET)
            if repeatable:
                assert (await connections.ask(server.address, GET, repeatable=True)).status == 200
            else:
                with pytest.raises(Broken):
                    await connections.ask(server.address, GET)
            assert len(server.peers) == 1 + repeatable


async def test_idle_ones_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_ALIVE", 0.05)
    closed = anyio.Event()

    async def watch(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await peer.closed()
        closed.set()

    with anyio.fail_after(10):
        async with raw(watch) as server, Connections() as connections:
            await connections.ask(server.address, GET)
            await closed.wait()
            assert connections.free(server.address.origin) == 0


async def test_nobody_there_means_that_nothing_was_sent() -> None:
    async with raw(answering()) as server:
        pass
    async with Connections() as connections:
        with pytest.raises(Unreachable, match=f"127.0.0.1:{server.address.origin[2]}"):
            await connections.ask(server.address, GET)


async def test_a_name_without_an_address_is_said_in_words() -> None:
    async with Connections() as connections:
        with pytest.raises(Unreachable, match=r"name\.invalid"):
            await connections.ask(read("http://name.invalid/"), GET)


async def test_a_server_that_takes_no_connection_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.05)

    async def silent(peer: Peer) -> None:
        await peer.closed()

    with anyio.fail_after(10):
        async with raw(silent) as server, Connections() as connections:
            secure = read(f"https://127.0.0.1:{server.address.origin[2]}/")
            with pytest.raises(Unreachable, match="no connection within"):
                await connections.ask(secure, GET)


async def test_the_end_fails_those_who_wait_and_lets_nobody_in() -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.closed()

    asked, failed = anyio.Event(), anyio.Event()
    connections = Connections()
    with anyio.fail_after(10):
        async with raw(silent) as server, anyio.create_task_group() as group:

            async def call() -> None:
                with pytest.raises(Broken, match="shutting down"):
                    await connections.ask(server.address, GET)
                failed.set()

            group.start_soon(call)
            await asked.wait()
            await connections.close()
            await failed.wait()
            with pytest.raises(Unreachable):
                await connections.ask(server.address, GET)


async def test_an_ipv6_address_is_reached() -> None:
    with anyio.fail_after(10):
        async with raw(answering(OK), host="::1") as server, Connections() as connections:
            assert (await connections.ask(server.address, GET)).status == 200
