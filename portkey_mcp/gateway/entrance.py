"""The door: which endpoint a request is for, and whether its Host and Origin may come near. Pure ASGI.

Paths are matched in place, case-insensitively and with or without a trailing slash: clients strip, add and
capitalise (clients.md sections 1 and 2), and a redirect would cost them their credential.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from portkey_mcp.errors import Refusal, Unauthenticated
from portkey_mcp.gateway.admission import Admission
from portkey_mcp.gateway.answer import http_status, rpc_error
from portkey_mcp.gateway.arrival import Arrival, TooLarge, duplicates_of, headers_of
from portkey_mcp.gateway.caller import Network, address_of
from portkey_mcp.gateway.exchange import Exchange
from portkey_mcp.gateway.inbound import BadMessage
from portkey_mcp.gateway.reply import send_json
from portkey_mcp.gateway.witness import Witness
from portkey_mcp.model import Directory, Endpoint, Principal, Visit

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
PROBES: Final = ("/healthz", "/readyz")
"""Asked by orchestrators under whatever address they have; they tell nothing that needs guarding."""

METHODS: Final = ("POST", "GET", "DELETE", "HEAD")
MISDIRECTED, FORBIDDEN, WRONG_METHOD, CONTENT_TOO_LARGE = 421, 403, 405, 413

REMEMBERED: Final = 4096
"""Paths, hosts and visits whose reading is kept until the directory changes; all of them are strangers' to choose."""

LONGEST_REMEMBERED: Final = 512
"""Characters of what is kept: strangers choose how long a host or a path is, before anybody knows who they are."""

Place = tuple[str, ...]
"""Where a path leads: `()`, `(workspace,)` or `(workspace, name)`."""


class Entrance:
    """The outermost application: MCP endpoints are served here, everything else by `rest`.

    `directory` gives the current snapshot; `hosts` are the names, besides loopback and host aliases, that this
    gateway answers to; `proxies` may say for whom they ask; `witness` hears who came and who was turned away.
    """

    def __init__(
        self,
        exchange: Exchange,
        admission: Admission,
        directory: Callable[[], Directory],
        hosts: Collection[str],
        rest: ASGIApp,
        proxies: Sequence[Network] = (),
        witness: Witness | None = None,
    ) -> None:
        self._exchange = exchange
        self._admission = admission
        self._directory = directory
        self._hosts = LOOPBACK | {host.lower() for host in hosts}
        self._rest = rest
        self._proxies = proxies
        self._witness = witness
        self._served = Directory()
        self._visits: dict[tuple[str, Place, str], Visit] = {}
        self._known_hosts = lru_cache(REMEMBERED)(self._is_known)
        self._places = lru_cache(REMEMBERED)(self._place_of)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; `rest` gets what is none."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        try:
            await self._serve(scope, receive, send)
        except (Refusal, BadMessage) as refusal:
            await _refuse(send, refusal)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._served is not self._directory():
            self._forget()
        headers = headers_of(scope)
        path, host = scope["path"], headers.get("host", "")
        suspicious = "origin" in headers or not self._known(host)
        if suspicious and _tidy(path) not in PROBES and not await self._near(headers, send):
            return
        place = self._place(path, host)
        if place is None:
            await self._rest(scope, receive, send)
            return
        if scope["method"] not in METHODS:
            allow = [(b"allow", ", ".join(METHODS).encode())]
            await send_json(send, WRONG_METHOD, _message("This method is not served here"), allow)
            return

        address = address_of(scope, self._proxies)

        async def admit() -> Visit:
            try:
                principal = await self._admission.admit(headers)
            except Unauthenticated as refusal:
                self._turn_away(place, headers, address, refusal)
                raise
            return self._visit(place, principal, address)

        visit = await admit()
        if scope["method"] == "HEAD":
            await send_json(send, 200, {})
            return
        duplicates = duplicates_of(scope, headers)
        await self._exchange.serve(Arrival(scope["method"], visit, admit, headers, duplicates, receive, send))

    def _forget(self) -> None:
        """The directory is another one: nothing that was read with the last one counts any more."""
        self._served = self._directory()
        self._visits.clear()
        self._known_hosts.cache_clear()
        self._places.cache_clear()

    def _visit(self, place: Place, principal: Principal, address: str) -> Visit:
        """Let a principal in, or refuse; the same visit is the same object until directory or principal change."""
        if self._served is not self._directory():
            self._forget()
        key = (principal.id, place, address)
        visit = self._visits.get(key)
        if visit is None or visit.principal is not principal:
            visit = self._admission.enter(principal, self._endpoint(place, principal), address)
            if len(self._visits) >= REMEMBERED:
                self._visits.clear()
            self._visits[key] = visit
            if self._witness is not None:
                self._witness.met(visit)
        return visit

    def _turn_away(self, place: Place, headers: Mapping[str, str], address: str, refusal: Unauthenticated) -> None:
        if self._witness is not None:
            workspace = place[0] if place and place[0] in self._directory().workspaces else ""
            self._witness.refused(headers, address, workspace, str(refusal))

    async def _near(self, headers: Mapping[str, str], send: Send) -> bool:
        """Turn away what a browser was tricked into sending (DNS rebinding; 2025-11-25 transports, Security)."""
        if not self._known(headers.get("host", "")):
            await send_json(send, MISDIRECTED, _message("This Host is not served here; see `public_url` and `hosts`"))
            return False
        origin = headers.get("origin")
        if origin is not None and not self._known(origin.partition("://")[2]):
            await send_json(send, FORBIDDEN, _message("This Origin may not use the gateway"))
            return False
        return True

    def _known(self, netloc: str) -> bool:
        return (self._known_hosts if len(netloc) <= LONGEST_REMEMBERED else self._is_known)(netloc)

    def _place(self, path: str, host: str) -> Place | None:
        short = len(path) + len(host) <= LONGEST_REMEMBERED
        return (self._places if short else self._place_of)(path, host)

    def _is_known(self, netloc: str) -> bool:
        """Whether a host, with or without port, is one of ours. Names decide; a rebinding attack needs a name."""
        host = host_of(netloc)
        return host in self._hosts or host in self._directory().hosts

    def _place_of(self, path: str, host: str) -> Place | None:
        """Where a path leads; None for one that leads to no MCP endpoint, whatever is registered."""
        parts = tuple(part for part in _tidy(path).split("/") if part)
        if not parts or parts[-1] != "mcp" or len(parts) > 3:
            return None
        place = parts[:-1]
        alias = self._directory().hosts.get(host_of(host))
        return tuple(alias.lower().split("/")) if not place and alias else place

    def _endpoint(self, place: Place, principal: Principal) -> Endpoint | None:
        workspaces = self._directory().workspaces
        if not place:
            mine = [slug for slug in workspaces if principal.role_in(slug) is not None]
            return Endpoint("root", workspaces[mine[0]]) if len(mine) == 1 else None
        workspace = workspaces.get(place[0])
        if workspace is None:
            return None
        if len(place) == 1:
            return Endpoint("hub", workspace)
        server = workspace.servers.get(place[1])
        if server is not None:
            return Endpoint("server", workspace, place[1]) if server.enabled else None
        return Endpoint("bundle", workspace, place[1]) if place[1] in workspace.bundles else None


def host_of(netloc: str) -> str:
    """The host of a Host header or authority, lower case, without port; IPv6 without brackets."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:
        return ""


def _tidy(path: str) -> str:
    return path.lower().rstrip("/")


def _message(text: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": None, "error": rpc_error(-32600, text)}


async def _refuse(send: Send, refusal: Refusal) -> None:
    """Send a refusal that came before any call."""
    if isinstance(refusal, BadMessage):
        error = rpc_error(refusal.code, refusal.message, refusal.data)
        await send_json(send, http_status(refusal), {"jsonrpc": "2.0", "id": refusal.id, "error": error})
        return
    status = CONTENT_TOO_LARGE if isinstance(refusal, TooLarge) else http_status(refusal)
    headers = [(b"www-authenticate", b"Bearer")] if isinstance(refusal, Unauthenticated) else []
    await send_json(send, status, _message(str(refusal)), headers)
