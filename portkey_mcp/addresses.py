"""Where things are on the network: places, their URLs, and back. Pure.

Every absolute URL is made from the public URL, or from a host alias that is configured: never from what a request says
of itself. The public URL may have a path, where a reverse proxy takes that off before it asks the gateway.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

Place = tuple[str, ...]
"""Where an endpoint is: `()` for the root hub, `(workspace,)` or `(workspace, name)`."""

PROTECTED: Final = "/.well-known/oauth-protected-resource"

JOIN: Final = "/ui/join/"
"""Where invitations are opened, below the public URL; the invitation's token comes behind it."""

CONNECT: Final = "/connect/"
"""Where accounts at servers are connected, below the public URL; `workspace/server` comes behind it."""

SIGN_IN: Final = "/ui/sign-in"
"""Where one signs in; with `?next=` and a path, one goes on there afterwards. By a provider, its id comes behind it."""

KEYS: Final = "_key"
"""First segment of the same endpoints for clients that have an API key, where nothing speaks of OAuth."""

NO_WORKSPACE: Final = (".", "_")
"""How first segments begin that are no workspace's: `/.well-known/…/mcp` is about an endpoint, and none itself."""

_PATH: Final = re.compile(r"/(?:[A-Za-z0-9_~-]+/?)*")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def place_of(path: str) -> Place | None:
    """The place that a path leads to, in any case, with or without a slash at its end; None for what is no endpoint."""
    parts = tuple(part for part in path.lower().split("/") if part)
    if not parts or parts[-1] != "mcp" or len(parts) > 3 or parts[0].startswith(NO_WORKSPACE):
        return None
    return parts[:-1]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a request leads: a place, by which path and host alias, and whether nothing there speaks of OAuth."""

    place: Place
    path: str
    alias: str = ""
    keys: bool = False


def spot_of(path: str, host: str, aliases: Mapping[str, str], key_hosts: Collection[str] = ()) -> Spot | None:
    """Where a path leads under a host, in lower case and without port; None for what is no endpoint."""
    alias = host if host in aliases else ""
    keys = path.lower().startswith(f"/{KEYS}/")
    place = place_of(path[len(KEYS) + 1 :] if keys else path)
    if place == () and alias:
        place = tuple(aliases[alias].lower().split("/"))
    return None if place is None else Spot(place, path, alias, keys or alias in key_hosts)


def alias_of(netloc: str, aliases: Collection[str]) -> str:
    """The host alias that a Host header names; empty for the public URL, and for what nobody configured."""
    name = netloc.lower().partition(":")[0]
    return name if name in aliases else ""


def path_of(place: Place) -> str:
    """The path of a place, below the public URL."""
    return "/".join(["", *place, "mcp"])


@dataclass(frozen=True, slots=True)
class Addresses:
    """The URLs of one gateway. `base` is the public URL without a slash at its end."""

    base: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, in lower case."""
        return canonical(self.base).removesuffix(self.prefix.lower()) if self.prefix else canonical(self.base)

    @property
    def prefix(self) -> str:
        """The path of the public URL; mostly empty."""
        return urlsplit(self.base).path.rstrip("/")

    @property
    def host(self) -> str:
        """The host of the public URL."""
        return (urlsplit(self.base).hostname or "").lower()

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it by https."""
        return urlsplit(self.base).scheme.lower() == "https"

    def issuer(self, alias: str = "") -> str:
        """The issuer that clients meet at the public URL or, where it is given, at a host alias."""
        return self.of_alias(alias) if alias else self.base

    def invitation(self, token: str) -> str:
        """The link of an invitation."""
        return f"{self.base}{JOIN}{token}"

    def connecting(self, key: str) -> str:
        """The page where an account at a server is connected; `key` is `workspace/server`."""
        return f"{self.base}{CONNECT}{key}"

    def of_alias(self, alias: str) -> str:
        """The origin of a host alias: it has scheme and port of the public URL."""
        parts = urlsplit(self.base)
        return f"{parts.scheme.lower()}://{alias}" + (f":{parts.port}" if parts.port is not None else "")

    def resource(self, path: str, alias: str = "") -> str:
        """The URL of an endpoint, as the client has it: with the path that the client uses."""
        return f"{self.issuer(alias)}{path}" if _PATH.fullmatch(path) else self.issuer(alias)

    def metadata(self, path: str, alias: str = "") -> str:
        """Where the metadata of the endpoint at `path` is (RFC 9728, section 3.1).

        Below a public URL with a path, behind it: a proxy that takes the path off need not know of `/.well-known/`.
        """
        return f"{self.issuer(alias)}{PROTECTED}{path}" if _PATH.fullmatch(path) else f"{self.issuer(alias)}{PROTECTED}"

    def place(self, resource: str, aliases: Mapping[str, str]) -> Place | None:
        """The place that a resource indicator means (RFC 8707); None where that is none of ours.

        The origin itself means the root hub. `aliases` are host aliases and what they stand for.
        """
        try:
            parts = urlsplit(resource)
            alias = (parts.hostname or "").lower()
            if parts.fragment or parts.query or parts.username is not None:
                return None
            for base, place in (
                (self.base, ()),
                *((self.of_alias(a), tuple(aliases[a].split("/"))) for a in aliases if a == alias),
            ):
                found = _below(canonical(resource), canonical(base))
                if found is not None:
                    return place if not found or (place and found == "/mcp") else place_of(found)
        except ValueError:
            return None
        return None


def canonical(url: str) -> str:
    """A URL as it is compared: scheme, host and path in lower case, no default port, no slash at the end.

    Raises:
        ValueError: its port is none.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    scheme = parts.scheme.lower()
    port = "" if parts.port is None or parts.port == _DEFAULT_PORTS.get(scheme) else f":{parts.port}"
    return f"{scheme}://{host}{port}{parts.path.lower().rstrip('/')}"


def _below(url: str, base: str) -> str | None:
    """What of a URL comes after its base; None where it is not below it."""
    rest = url.removeprefix(base)
    return rest if url.startswith(base) and (not rest or rest.startswith("/")) else None
