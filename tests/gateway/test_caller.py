"""An address is believed from the peer, or from a proxy that is trusted; never from a stranger's header."""

import ipaddress
from typing import Any

import pytest

from portkey_mcp.gateway.caller import address_of

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1"))


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    return {"type": "http", "client": None if peer is None else (peer, 1234), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], ""),
        ("10.0.0.1", ["198.51.100.1:8080"], "198.51.100.1"),
        ("::1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("::ffff:203.0.113.7", [], "203.0.113.7"),
        ("fe80::1%eth0", [], "fe80::1"),
        (None, ["1.2.3.4"], ""),
    ],
)
def test_where_a_request_came_from(peer: str | None, forwarded: list[str], address: str) -> None:
    assert address_of(scope(peer, *forwarded), PROXIES) == address


def test_without_trusted_proxies_the_header_is_nothing() -> None:
    assert address_of(scope("10.0.0.1", "198.51.100.1"), ()) == "10.0.0.1"
