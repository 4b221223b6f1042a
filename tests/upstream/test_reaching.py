"""Which address of a host a connection is made to."""

import socket
from typing import Any

import anyio
import pytest

from portkey_mcp.upstream import reaching
from portkey_mcp.upstream.reaching import interleaved, reach
from tests.upstream.raw import Peer, raw

pytestmark = pytest.mark.anyio

FOUR, SIX = socket.AF_INET, socket.AF_INET6


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"], scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return "asyncio", {"use_uvloop": request.param}


async def wait(peer: Peer) -> None:
    await peer.closed()


def test_families_take_turns() -> None:
    places = [(SIX, 1), (SIX, 2), (SIX, 3), (FOUR, 4), (FOUR, 5)]

    assert interleaved(places) == [(SIX, 1), (FOUR, 4), (SIX, 2), (FOUR, 5), (SIX, 3)]
    assert interleaved([(FOUR, 1)]) == [(FOUR, 1)]
    assert interleaved([]) == []


async def test_a_dead_address_does_not_stand_in_the_way_of_a_living_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is a listener whose queue is full: it answers no SYN, as a black hole would."""
    hole = socket.create_server(("127.0.0.1", 0), backlog=0)
    filling = [socket.socket() for _ in range(4)]
    for one in filling:
        one.setblocking(False)
        one.connect_ex(hole.getsockname())
    async with raw(wait) as server:

        async def both(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
            return [(FOUR, hole.getsockname()), (FOUR, ("127.0.0.1", server.address.origin[2]))]

        monkeypatch.setattr(reaching, "_resolve", both)
        with anyio.fail_after(5):
            reached = await reach("two.example", 80)
        assert reached.getpeername()[1] == server.address.origin[2]
        assert reached.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        reached.close()
    for one in (hole, *filling):
        one.close()


async def test_where_none_answers_each_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw(wait) as server:
        port = server.address.origin[2]

    async def both(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
        return [(FOUR, ("127.0.0.1", port)), (SIX, ("::1", port, 0, 0))]

    with pytest.raises(ConnectionRefusedError):
        await reach("127.0.0.1", port)
    monkeypatch.setattr(reaching, "_resolve", both)
    with anyio.fail_after(5), pytest.raises(OSError, match=r"."):
        await reach("two.example", port)


async def test_a_name_is_looked_up() -> None:
    async with raw(wait) as server:
        with anyio.fail_after(5):
            reached = await reach("localhost", server.address.origin[2])
        assert reached.getpeername()[0] == "127.0.0.1"
        reached.close()
