"""The connector's URL as a person would type it: whether it can be one, and what Claude makes of it."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from portkey_mcp.doctor.finding import Finding, bad, doubtful, good, quoted
from portkey_mcp.errors import Mistake

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
HOME: Final = (".local", ".localhost", ".internal", ".lan", ".home", ".home.arpa", ".test")
"""Endings of names that mean something in one network only."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that can be asked: http or https, with a host. `url` is as it was given, `path` never ends with a slash."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port only where it is not the usual one."""
        return origin(self.url)

    @property
    def near(self) -> bool:
        """Whether the name itself says that only this machine or network knows the host."""
        try:
            return not ipaddress.ip_address(self.host).is_global
        except ValueError:
            return "." not in self.host or self.host.endswith(HOME)

    def well_known(self, name: str, *, path: bool = True) -> str:
        """The metadata document of that name: with the path inserted (RFC 9728 section 3.1), or at the root."""
        return f"{self.origin}/.well-known/{name}{self.path if path else ''}"

    def with_path(self, path: str) -> str:
        """The same URL with another path."""
        return urlsplit(self.url)._replace(path=path).geturl()


def target(url: str) -> Target:
    """Read what was given.

    Raises:
        Mistake: no MCP server can be asked at it.
    """
    split = parsed(url)
    if split is None or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise Mistake(f"{quoted(url)} is no URL; expected something like https://mcp.example.com/mcp")
    if split.scheme not in DEFAULT_PORTS or not split.hostname:
        raise Mistake(f"{quoted(url)} has to begin with https:// (or http:// on this machine) and a host")
    if split.username is not None or split.password is not None:
        raise Mistake("a connector URL holds no user and password; leave them out")
    if "#" in url:
        raise Mistake("a connector URL has no fragment; leave out # and what follows it")
    port = split.port or DEFAULT_PORTS[split.scheme]
    return Target(url, split.scheme, split.hostname, port, split.path.rstrip("/"))


def parsed(url: str) -> SplitResult | None:
    """The parts of a URL that came from anywhere; None where it is none."""
    try:
        split = urlsplit(url)
        split.port, split.hostname  # noqa: B018 - reading them is what finds a wrong one
    except ValueError:
        return None
    return split if split.scheme and split.netloc else None


def origin(url: str) -> str:
    """Scheme, host and port in lower case, without the usual port; empty for what is no URL."""
    split = parsed(url)
    if split is None or not split.hostname:
        return ""
    host = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
    usual = split.port in (None, DEFAULT_PORTS.get(split.scheme))
    return f"{split.scheme}://{host}" if usual else f"{split.scheme}://{host}:{split.port}"


def canonical(url: str) -> str:
    """A resource as RFC 8707 and MCP compare it: scheme and host in lower case, no usual port, no slash at the end."""
    split = parsed(url)
    if split is None:
        return url
    return origin(url) + split.path.rstrip("/") + (f"?{split.query}" if split.query else "")


def secure(url: str) -> bool:
    """Whether OAuth may be spoken there: https, or http on this machine (OAuth 2.1 section 1.5)."""
    split = parsed(url)
    if split is None or not split.hostname:
        return False
    return split.scheme == "https" or (split.scheme == "http" and loopback(split.hostname))


def loopback(host: str) -> bool:
    """Whether a host is this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def about_url(given: Target) -> Iterator[Finding]:
    """What can be said before anything is asked (clients.md sections 1 and 2)."""
    yield _scheme(given)
    if given.scheme == "https" and given.port != 443:
        yield doubtful(
            "url",
            f"the port is {given.port}; Claude's cloud was seen not to reach other ports than 443",
            "serve it on port 443, for example behind a reverse proxy",
        )
    split = urlsplit(given.url)
    if split.query:
        yield doubtful(
            "url",
            "it has a query; a key in it ends up in logs, and clients may drop it",
            "let people sign in, or take the key in the Authorization header",
        )
    if split.path.endswith("/"):
        yield doubtful(
            "url",
            "it ends with a slash, which Claude's settings page takes away when it is saved",
            "give people the URL without the slash, and answer both in place",
        )
    if split.path != split.path.lower():
        yield doubtful(
            "url",
            "its path has capital letters; Claude's settings page was seen to change the case of the first part",
            "use small letters only, and match paths in any case",
        )
    yield _path(given)


def _scheme(given: Target) -> Finding:
    if given.scheme == "https":
        return good("url", f"https, host {given.host}")
    if given.near:
        return doubtful(
            "url",
            "http and a host of this machine or network: Claude Code can use it from here; claude.ai, Claude Desktop "
            "and mobile connect from Anthropic's cloud and cannot",
            "for those, serve it under a public name with https",
        )
    return bad(
        "url",
        "it is http: Claude's cloud connects by https only, and sign-in over http can be read by others",
        "serve it by https, with a certificate of a public authority",
    )


def _path(given: Target) -> Finding:
    if given.path == "/mcp":
        return good("url", "the path is /mcp, which every client is known to reach")
    shown = quoted(given.path or "/")
    return doubtful(
        "url",
        f"the path is {shown}; most clients do not mind, but hosted Claude was reported to sign in and then never call "
        "unless the path is exactly /mcp",
        "if that happens, give the server a host name of its own whose path is /mcp (a host alias, `gateway.hosts`)",
    )
