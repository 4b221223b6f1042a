"""Where an upstream is, read from its URL: whom to connect to, and what the request line and `Host` say. Pure."""

import base64
import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

import idna

PORTS: Final = {"http": 80, "https": 443}

_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_REG_NAME: Final = re.compile(r"[A-Za-z0-9!$%&'()*+,;=._~-]+")
_PATH: Final = "/%:@!$&'()*+,;=~"
_QUERY: Final = _PATH + "?[]"


@dataclass(frozen=True, slots=True)
class Address:
    """One `http` or `https` URL. `origin` is (scheme, host, port), `host` in ASCII and without brackets.

    `authority` is the value of `Host`, `target` path and query as they go out, `authorization` the value that the
    user and password of a URL stand for, empty where it has none.
    """

    origin: tuple[str, str, int]
    authority: str
    target: str
    authorization: str
    url: str

    @property
    def bare(self) -> str:
        """The URL as it is asked for, without credentials and fragment."""
        return f"{self.origin[0]}://{self.authority}{self.target}"

    def beside(self, reference: str) -> "Address | None":
        """What a URL reference found there leads to, with the credentials of this one; None for another origin.

        Raises ValueError as `read` does.
        """
        there = read(urljoin(self.url, reference))
        if there.origin != self.origin:
            return None
        return replace(there, authorization=self.authorization)


def read(url: str) -> Address:
    """Read a URL; a fragment is left out, what no URL may hold is percent-encoded.

    Raises:
        ValueError: it is not an address that HTTP can reach. `str()` says why and quotes nothing secret.
    """
    try:
        parts = urlsplit(url.strip())
        scheme, name, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        raise ValueError("its host or its port is not one") from None
    if scheme not in PORTS or not name:
        raise ValueError("it must begin with http:// or https:// and a host")
    host = _host(name)
    port = port or PORTS[scheme]
    shown = f"[{host}]" if ":" in host else host
    return Address(
        origin=(scheme, host, port),
        authority=shown if port == PORTS[scheme] else f"{shown}:{port}",
        target=_target(parts),
        authorization=_authorization(parts),
        url=url.strip(),
    )


def _host(name: str) -> str:
    if ":" in name:
        return unquote(name)
    if not name.isascii():
        try:
            return idna.encode(name, uts46=True).decode("ascii")
        except UnicodeError:
            raise ValueError("its host is not an internationalised name") from None
    if not _REG_NAME.fullmatch(name):
        raise ValueError("its host holds characters that no host may")
    return name.lower()


def _target(parts: SplitResult) -> str:
    path = quote(_STRAY_PERCENT.sub("%25", parts.path or "/"), safe=_PATH)
    query = quote(_STRAY_PERCENT.sub("%25", parts.query), safe=_QUERY)
    return f"{path}?{query}" if query else path


def _authorization(parts: SplitResult) -> str:
    """RFC 7617."""
    if parts.username is None and parts.password is None:
        return ""
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")
