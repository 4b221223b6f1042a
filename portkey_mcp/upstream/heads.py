"""The heads of requests to one address: what each says first is rendered once, the rest are lines of its own. Pure."""

import re
from collections.abc import Mapping
from typing import Final, Literal

from portkey_mcp import __version__
from portkey_mcp.upstream.address import Address

Verb = Literal["POST", "GET", "DELETE"]

ACCEPT: Final[dict[Verb, str]] = {
    "POST": "application/json, text/event-stream",
    "GET": "text/event-stream",
    "DELETE": "*/*",
}

OF_THE_CONNECTION: Final = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "keep-alive", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
"""Headers about this hop's bytes and their end (RFC 9110 section 7.6.1): never configured, or a request could be
smuggled in another one's body."""

OF_A_MESSAGE: Final = ("mcp-", "last-event-id")
"""How names of headers begin that single requests may carry."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def line(name: str, value: str, encoding: str = "utf-8") -> bytes:
    """One header, with its line end.

    Raises:
        ValueError: name or value would not stay one header. The value is not quoted: it may be a secret.
    """
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a header's name")
    if not is_sendable(value):
        raise ValueError(f"the value of {name} holds a line break or another control character")
    return f"{name}: {value}\r\n".encode(encoding)


def is_sendable(value: str) -> bool:
    """Whether a header can have this value."""
    return not _CONTROL.search(value)


def lines(headers: Mapping[str, str]) -> bytes:
    """Headers of one request. Raises as `line` does."""
    return b"".join([line(name, value) for name, value in headers.items()])


def names(lines: bytes) -> frozenset[str]:
    """The names that header lines have, in lower case."""
    return frozenset([one.partition(b":")[0].decode("ascii").lower() for one in lines.split(b"\r\n") if one])


def without(lines: bytes, unwanted: frozenset[str]) -> bytes:
    """Header lines but for those of some names."""
    if unwanted.isdisjoint(names(lines)):
        return lines
    kept = (one for one in lines.split(b"\r\n") if one and names(one).isdisjoint(unwanted))
    return b"".join([one + b"\r\n" for one in kept])


class Heads:
    """See the module. Headers that a request brings win over configured ones of the same name.

    `brings_any`: requests bring others, too, than those of MCP itself.
    """

    def __init__(self, address: Address, configured: Mapping[str, str], *, brings_any: bool = False) -> None:
        """Raises ValueError as `line` does, or where URL and headers both hold credentials."""
        self._address = address
        own = {"host": line("Host", address.authority), "user-agent": line("User-Agent", f"portkey-mcp/{__version__}")}
        if address.authorization:
            own["authorization"] = line("Authorization", address.authorization)
        for name, value in configured.items():
            lower = name.lower()
            if lower == "authorization" and address.authorization:
                raise ValueError("its URL and its headers both hold credentials")
            if lower not in OF_THE_CONNECTION:
                own[lower] = line(name, value)
        own["accept-encoding"] = b"Accept-Encoding: identity\r\n"
        self._own = own
        self._may_clash = brings_any or any(name.startswith(OF_A_MESSAGE) for name in own)
        self._starts: dict[Verb, bytes] = {verb: self._start(verb, frozenset()) for verb in ACCEPT}
        self._shorter: dict[tuple[Verb, frozenset[str]], bytes] = {}

    def render(self, verb: Verb, own_lines: bytes, body: bytes | None) -> bytes:
        """A whole request; `own_lines` are its own headers, see `lines`. A body is JSON."""
        start = self._starts[verb]
        if self._may_clash and (clashing := names(own_lines).intersection(self._own)):
            shorter = self._shorter.get((verb, clashing))
            if shorter is None:
                shorter = self._shorter[verb, clashing] = self._start(verb, clashing)
            start = shorter
        if body is None:
            return b"%b%b\r\n" % (start, own_lines)
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (start, own_lines, len(body), body)

    def _start(self, verb: Verb, without: frozenset[str]) -> bytes:
        own = {**self._own, "accept": line("Accept", ACCEPT[verb])}
        if verb == "POST":
            own["content-type"] = b"Content-Type: application/json\r\n"
        kept = [one for name, one in own.items() if name not in without]
        return f"{verb} {self._address.target} HTTP/1.1\r\n".encode("ascii") + b"".join(kept)
