"""Where a request came from: the address that policy and records know. Pure."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from starlette.types import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORWARDED_FOR: Final = b"x-forwarded-for"


LONGEST: Final = 64
"""Characters of an address, port and brackets included; what is longer is none."""


def address_of(scope: Scope, trusted: Sequence[Network]) -> str:
    """The client's IP address; empty when nobody can say.

    It is the peer's, unless the peer is a proxy of `trusted`: then the last address of `X-Forwarded-For` that is no
    trusted proxy itself. Whatever stands before that one was written by strangers and is not read.
    """
    peer = scope.get("client")
    address = _plain(peer[0]) if peer else ""
    if not trusted or not _is_in(address, trusted):
        return address
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == FORWARDED_FOR]
    for hop in reversed([hop for line in lines for hop in line.split(",")]):
        address = _plain(hop.strip()[:LONGEST])
        if not _is_in(address, trusted):
            return address
    return address


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    """An address in its one usual form: no port, no brackets, IPv4 where it is IPv4; empty for what is none."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    return address != "" and any(ipaddress.ip_address(address) in network for network in networks)
