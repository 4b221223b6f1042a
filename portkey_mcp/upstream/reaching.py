"""A TCP connection to a host by name: its addresses in turn, the next one before the last has failed (RFC 8305)."""

import asyncio
import functools
import ipaddress
import itertools
import socket
from asyncio.staggered import staggered_race
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

HEAD_START: Final = 0.25
"""Seconds an address has before the next one is tried beside it, as RFC 8305 section 8 recommends."""

Place = tuple[socket.AddressFamily, Any]
"""A family, and the address in it as `socket.connect` takes it."""


async def reach(host: str, port: int) -> socket.socket:
    """Connect to whichever address of the host answers first.

    Raises:
        OSError: the host has no address, or none answers; `str()` says why for each.
    """
    places = interleaved(await _resolve(host, port))
    connected: list[socket.socket] = []
    winner: socket.socket | None = None
    try:
        if len(places) == 1:
            winner = await _open(places[0], connected)
        else:
            attempts = [functools.partial(_open, place, connected) for place in places]
            winner, _, errors = await staggered_race(attempts, HEAD_START)
            if winner is None:
                raise OSError("; ".join(dict.fromkeys(str(error) for error in errors if error is not None)))
        return winner
    finally:
        for one in connected:
            if one is not winner:
                one.close()


async def _resolve(host: str, port: int) -> Sequence[Place]:
    with suppress(ValueError):
        literal = ipaddress.ip_address(host)
        if isinstance(literal, ipaddress.IPv4Address):
            return [(socket.AF_INET, (host, port))]
        if literal.scope_id is None:
            return [(socket.AF_INET6, (host, port, 0, 0))]
    # A name, or an address of one interface, whose number only the system knows.
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def interleaved(places: Sequence[Place]) -> list[Place]:
    """Families in turn, beginning with the one that came first, each in its own order (RFC 8305 section 4)."""
    families = dict.fromkeys(family for family, _ in places)
    rows = itertools.zip_longest(*([one for one in places if one[0] == family] for family in families))
    return [place for row in rows for place in row if place is not None]


async def _open(place: Place, connected: list[socket.socket]) -> socket.socket:
    """One attempt. It closes its own socket, and nobody else does while the loop still watches it."""
    family, address = place
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    connected.append(made)
    return made
