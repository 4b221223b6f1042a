"""Guarded HTTP for one server's authorization servers: whom the gateway may ask because of what a server says.

An administrator wrote the server's own URL, so its origin may be asked wherever that leads, and so may the networks
they allow (`gateway.egress.allow`), there without TLS too. Everything else is what a server or its authorization server
says of itself: only https, and only public addresses (oauth.md B3). None of it ever widens what may be asked.

Public https on other ports is let through, unlike for the documents of strangers: authorization servers on 8443 are
real, a server is registered by an administrator, and what listens publicly by TLS with a certificate for its name
everybody can ask without the gateway. What B3 guards is what only the gateway can reach.
"""

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import idna

from portkey_mcp.egress import Egress
from portkey_mcp.errors import Mistake
from portkey_mcp.settings import Network


class Reaching:
    """Who may be asked for a server. `networks` are an administrator's, read anew each time: they may change."""

    def __init__(self, egress: Egress, networks: Callable[[], Sequence[Network]]) -> None:
        self._egress = egress
        self._networks = networks

    def for_server(self, url: str) -> Egress:
        """Guarded HTTP for the server at `url`.

        Raises:
            Mistake: `url` is no URL of a server.
            NotFetched: `url` is none that can be asked.
        """
        return self._egress.also(networks=self._networks(), origin=bare(url), any_port=True)


def bare(url: str) -> str:
    """The URL of a server as its metadata names it: without user, query and fragment, which may be secret.

    Host and scheme in small letters, an internationalised name in ASCII; the path as it is.

    Raises:
        Mistake: it is no URL of a server.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or ""), parts.port
        name = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except ValueError:  # of urlsplit, of the port, and of idna, whose error is a UnicodeError
        raise Mistake("the server's URL has a host or a port that is none") from None
    if parts.scheme not in ("http", "https") or not name:
        raise Mistake("only servers with an http(s) URL have authorization servers")
    shown = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown}{'' if port is None else f':{port}'}{parts.path}"
