"""Where a client may send people back to, and whether it asks for one of those places. Pure.

Exactly what was registered, but for the port on this machine's own addresses, which a program cannot choose in advance
(RFC 8252 section 7.3, OAuth 2.1 section 8.4.2; oauth.md A14).
"""

import re
from collections.abc import Collection, Iterable
from typing import Final
from urllib.parse import urlencode, urlsplit

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

LONGEST: Final = 2000
"""Characters of a redirect URI."""

VISIBLE: Final = re.compile(r"[!#-;=?-\[\]_a-z~]*")
"""The characters that URIs may have (RFC 3986), and no other."""

ON_LOOPBACK: Final = re.compile(
    r"(http://(?:localhost|127\.0\.0\.1|\[::1\]))(?::[1-9][0-9]{0,4})?((?:[/?].*)?)", re.IGNORECASE
)
"""A redirect URI that stays on the machine of the browser: what comes before its port, and what after it."""

MOST: Final = 20
"""Redirect URIs of one client."""


def redirect_problem(uri: str, native_schemes: Collection[str] = ()) -> str:
    """What is wrong with a redirect URI; empty when it may be registered."""
    if not _is_visible(uri):
        return f"a redirect URI has at most {LONGEST} visible ASCII characters"
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "a redirect URI is not a URI"
    if parts.fragment or "#" in uri:
        return "a redirect URI has no fragment (RFC 6749, section 3.1.2)"
    if parts.username is not None or "@" in parts.netloc:
        return "a redirect URI has no user name"
    scheme = parts.scheme.lower()
    if scheme == "https" and host:
        return ""
    if scheme == "http" and host in LOOPBACK:
        return ""
    if scheme == "http":
        return "a redirect URI with http leads to localhost, 127.0.0.1 or [::1] only; use https"
    if scheme and scheme in native_schemes:
        return ""
    return (
        "a redirect URI begins with https, or with http on localhost; this gateway takes no other scheme of a program"
    )


def fits(asked: str, registered: Iterable[str]) -> bool:
    """Whether a redirect URI is one of those that were registered; on loopback hosts any port will do."""
    known = tuple(registered)
    return asked in known or any(_same_but_for_the_port(asked, one) for one in known)


def _same_but_for_the_port(asked: str, registered: str) -> bool:
    """By characters: a URL that is read may lose some, and what is sent back is what was asked for."""
    if redirect_problem(asked):
        return False
    one, other = ON_LOOPBACK.fullmatch(asked), ON_LOOPBACK.fullmatch(registered)
    return one is not None and other is not None and one.groups() == other.groups()


def _is_visible(uri: str) -> bool:
    return len(uri) <= LONGEST and VISIBLE.fullmatch(uri) is not None


def is_loopback(uri: str) -> bool:
    """Whether a redirect stays on the machine of the browser: there any program may be waiting for it."""
    return urlsplit(uri).scheme == "http"


def host_of(uri: str) -> str:
    """What a person is shown of a redirect: its host, or its scheme where a program has one of its own."""
    parts = urlsplit(uri)
    return parts.hostname or "" if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def with_answer(uri: str, answer: dict[str, str]) -> str:
    """The redirect URI with the answer in its query, which keeps what it had (RFC 6749, section 4.1.2)."""
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(answer)}"
