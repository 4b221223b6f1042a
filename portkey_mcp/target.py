"""A URL that came from outside: whom it names, and whether an address is one that strangers may have asked. Pure.

Stricter than `upstream.address`, which reads what an administrator wrote: what two readers might read differently is
refused, since one of them would be the guard and the other the one who goes there.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from portkey_mcp.errors import NotFetched

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Origin = tuple[str, str, int]
"""Scheme, host and port."""

LONGEST: Final = 2_048
"""Characters of a URL."""
PORTS: Final = {"http": 80, "https": 443}

_URL: Final = re.compile(r"(https?)://([^/?]*)([!-~]*)", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r'[^!-~]|["<>\\^`{|}]')
_AUTHORITY: Final = re.compile(r"(?:\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.88.99.0/24",  # relays of 6to4, RFC 7526
        "2001::/23",  # Teredo and other protocols' own
        "2001:db8::/32",
        "2002::/16",  # 6to4: leads to any IPv4 address
        "3fff::/20",  # documentation, RFC 9637
    )
)
"""What Python's registry calls global, in some version of it, and no server on the Internet has."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a URL names. `host` is in small letters and without brackets, `literal` the address it is, if it is one."""

    scheme: str
    host: str
    port: int
    path: str
    literal: IpAddress | None

    @property
    def origin(self) -> Origin:
        """Scheme, host and port."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The value of `Host`."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return shown if self.port == PORTS[self.scheme] else f"{shown}:{self.port}"


def read(url: str) -> Target:
    """Read a URL strictly: what two readers might read differently is refused.

    Raises:
        NotFetched: it is no plain http or https URL. `str()` says why and quotes nothing that may be secret.
    """
    if len(url) > LONGEST:
        raise NotFetched(f"the URL has {len(url)} characters; {LONGEST} are the most")
    if _FORBIDDEN.search(url):
        raise NotFetched("the URL holds a character that no URL may")
    if "#" in url:
        raise NotFetched("the URL has a fragment")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise NotFetched("the URL must begin with https:// and a host")
    scheme, authority, path = parts[1].lower(), parts[2], parts[3]
    if "@" in authority:
        raise NotFetched("the URL names a user")
    whom = _AUTHORITY.fullmatch(authority)
    port = int(whom[3] or PORTS[scheme]) if whom else 0
    if whom is None or not 0 < port < 65536:
        raise NotFetched("the URL's host or port is none")
    literal = _literal(whom[1] or whom[2].lower())
    host = str(literal) if literal else whom[2].lower()
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}", literal)


def _literal(host: str) -> IpAddress | None:
    """The address a host is; None for a name.

    Raises:
        NotFetched: it is neither, or an address in a spelling that not everybody reads alike (`0177.1`, `2130706433`).
    """
    labels = host.split(".")
    if ":" in host or _NUMBER.fullmatch(labels[-1]):  # as browsers tell them apart: URL Standard, "ends in a number"
        try:
            return unmapped(ipaddress.ip_address(host))
        except ValueError:
            raise NotFetched(f"the host {host[:100]} is no address in its usual spelling") from None
    if len(host) > 253 or not all(0 < len(label) < 64 for label in labels):
        raise NotFetched(f"the host {host[:100]} is no name; it must not end with a dot")
    return None


def is_public(address: IpAddress) -> bool:
    """Whether an address belongs to a server on the Internet: nobody's own network, no group, nothing translated.

    `64:ff9b::/96` is how a network without IPv4 writes IPv4 addresses (RFC 6052): then that one counts.
    """
    address = unmapped(address)
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        if address in _TRANSLATED:
            return is_public(ipaddress.IPv4Address(address.packed[12:]))
        if address not in _GLOBAL_UNICAST:
            return False
    odd = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    return address.is_global and not odd and not any(address in network for network in _NEVER)


def unmapped(address: IpAddress) -> IpAddress:
    """`::ffff:10.0.0.1` leads to 10.0.0.1, on every system."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def kind_of(address: IpAddress) -> str:
    """What an address is that is not public, in a word for a person."""
    kinds = {
        "unspecified": address.is_unspecified,
        "loopback": address.is_loopback,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "private": address.is_private,
    }
    return next((kind for kind, holds in kinds.items() if holds), "not public")
