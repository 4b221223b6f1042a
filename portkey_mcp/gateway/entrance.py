"""The door: which endpoint a request is for, and whether its Host and Origin may come near. Pure ASGI.

Paths are matched in place, case-insensitively and with or without a trailing slash: clients strip, add and
capitalise (clients.md sections 1 and 2), and a redirect would cost them their credential.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from portkey_mcp.addresses import Addresses, Place, Spot, spot_of
from portkey_mcp.errors import Refusal, Unauthenticated
from portkey_mcp.gateway.admission import Admission
from portkey_mcp.gateway.answer import http_status, rpc_error
from portkey_mcp.gateway.arrival import Arrival, TooLarge, duplicates_of, headers_of
from portkey_mcp.gateway.caller import Network, address_of
from portkey_mcp.gateway.challenge import challenge, is_challenged
from portkey_mcp.gateway.exchange import Exchange
from portkey_mcp.gateway.inbound import BadMessage
from portkey_mcp.gateway.reply import send_json
from portkey_mcp.gateway.witness import Witness
from portkey_mcp.model import Directory, Endpoint, Principal, Visit, Workspace
from portkey_mcp.policy.access import hidden_from, without

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
PROBES: Final = ("/healthz", "/readyz")
"""Asked by orchestrators under whatever address they have; they tell nothing that needs guarding."""

METHODS: Final = ("POST", "GET", "DELETE", "HEAD")
MISDIRECTED, FORBIDDEN, WRONG_METHOD, CONTENT_TOO_LARGE = 421, 403, 405, 413

REMEMBERED: Final = 4096
"""Paths, hosts and visits whose reading is kept until the directory changes; all of them are strangers' to choose."""

LONGEST_REMEMBERED: Final = 512
"""Characters of what is kept: strangers choose how long a host or a path is, before anybody knows who they are."""

WELL_KNOWN: Final = "/.well-known/"
FOR_SCRIPTS: Final = frozenset({"/token", "/register", "/revoke", "/introspect"})
"""What scripts of any site may ask: answers there depend on no cookie, and carry no secret but to who brings one."""


NOWHERE: Final = Addresses("http://127.0.0.1")


class Entrance:
    """The outermost application: MCP endpoints are served here, everything else by `rest`.

    `directory` gives the current snapshot; `hosts` are the names, besides loopback and host aliases, that this
    gateway answers to; `proxies` may say for whom they ask. `addresses` are the gateway's own; `signs_in` says whether
    clients are told there how to sign in; `witness` hears who came and who was turned away.
    """

    def __init__(
        self,
        exchange: Exchange,
        admission: Admission,
        directory: Callable[[], Directory],
        hosts: Collection[str],
        rest: ASGIApp,
        proxies: Sequence[Network] = (),
        addresses: Addresses = NOWHERE,
        signs_in: bool = False,
        witness: Witness | None = None,
    ) -> None:
        self._exchange = exchange
        self._admission = admission
        self._directory = directory
        self._hosts = LOOPBACK | {host.lower() for host in hosts}
        self._rest = rest
        self._proxies = proxies
        self._addresses = addresses
        self._prefix = addresses.prefix.lower()
        self._signs_in = signs_in
        self._witness = witness
        self._served = Directory()
        self._visits: dict[tuple[str, Place, str], Visit] = {}
        self._narrowed: dict[tuple[str, frozenset[str]], Workspace] = {}
        self._known_hosts = lru_cache(REMEMBERED)(self._is_known)
        self._spots = lru_cache(REMEMBERED)(self._spot_of)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; `rest` gets what is none."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        if self._prefix and scope["path"].lower().startswith(f"{self._prefix}/"):
            # A proxy may leave the path of the public URL where it is, or take it off: both lead here.
            scope = {**scope, "path": scope["path"][len(self._prefix) :]}
        if self._served is not self._directory():
            self._forget()
        headers = headers_of(scope)
        path, host = scope["path"], headers.get("host", "")
        suspicious = "origin" in headers or not self._known(host)
        if suspicious and _tidy(path) not in PROBES and not await self._near(path, headers, send):
            return
        spot = self._spot(path, host)
        if spot is None:
            await self._rest(scope, receive, send)
            return
        try:
            await self._serve(scope, receive, send, headers, spot)
        except (Refusal, BadMessage) as refusal:
            await self._refuse(send, refusal, spot)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str], spot: Spot) -> None:
        """Serve a request to an endpoint.

        Raises:
            Refusal, BadMessage: it is turned away before there is a call.
        """
        if scope["method"] not in METHODS:
            allow = [(b"allow", ", ".join(METHODS).encode())]
            await send_json(send, WRONG_METHOD, _message("This method is not served here"), allow)
            return

        address = address_of(scope, self._proxies)

        async def admit() -> Visit:
            try:
                principal = await self._admission.admit(headers)
            except Unauthenticated as refusal:
                self._turn_away(spot.place, headers, address, refusal)
                raise
            return self._visit(spot.place, principal, address)

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
        self._narrowed.clear()
        self._known_hosts.cache_clear()
        self._spots.cache_clear()

    def _visit(self, place: Place, principal: Principal, address: str) -> Visit:
        """Let a principal in, or refuse; the same visit is the same object until directory or principal change."""
        if self._served is not self._directory():
            self._forget()
        key = (principal.id, place, address)
        visit = self._visits.get(key)
        if visit is None or visit.principal is not principal:
            visit = self._admission.enter(principal, self._endpoint(place, principal), place, address)
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

    async def _near(self, path: str, headers: Mapping[str, str], send: Send) -> bool:
        """Turn away what a browser was tricked into sending (DNS rebinding; 2025-11-25 transports, Security)."""
        if not self._known(headers.get("host", "")):
            await send_json(send, MISDIRECTED, _message("This Host is not served here; see `public_url` and `hosts`"))
            return False
        origin = headers.get("origin")
        if path.startswith(WELL_KNOWN) or path in FOR_SCRIPTS:
            return True
        if origin is not None and not self._known(origin.partition("://")[2]):
            await send_json(send, FORBIDDEN, _message("This Origin may not use the gateway"))
            return False
        return True

    def _known(self, netloc: str) -> bool:
        return (self._known_hosts if len(netloc) <= LONGEST_REMEMBERED else self._is_known)(netloc)

    def _spot(self, path: str, host: str) -> Spot | None:
        short = len(path) + len(host) <= LONGEST_REMEMBERED
        return (self._spots if short else self._spot_of)(path, host)

    def _is_known(self, netloc: str) -> bool:
        """Whether a host, with or without port, is one of ours. Names decide; a rebinding attack needs a name."""
        host = host_of(netloc)
        return host in self._hosts or host in self._directory().hosts

    def _spot_of(self, path: str, host: str) -> Spot | None:
        """Where a path leads; None for one that leads to no MCP endpoint, whatever is registered."""
        directory = self._directory()
        return spot_of(path, host_of(host), directory.hosts, directory.key_hosts)

    def _endpoint(self, place: Place, principal: Principal) -> Endpoint | None:
        workspaces = self._directory().workspaces
        if not place:
            mine = [slug for slug in workspaces if principal.role_in(slug) is not None]
            return Endpoint("root", self._as_seen(principal, workspaces[mine[0]])) if len(mine) == 1 else None
        workspace = workspaces.get(place[0])
        if workspace is None:
            return None
        workspace = self._as_seen(principal, workspace)
        if len(place) == 1:
            return Endpoint("hub", workspace)
        server = workspace.servers.get(place[1])
        if server is not None:
            return Endpoint("server", workspace, place[1]) if server.enabled else None
        return Endpoint("bundle", workspace, place[1]) if place[1] in workspace.bundles else None

    def _as_seen(self, principal: Principal, workspace: Workspace) -> Workspace:
        """A workspace without the servers that the principal may not use; the same object for whoever sees the same."""
        hidden = hidden_from(principal, workspace)
        if not hidden:
            return workspace
        seen = self._narrowed.get((workspace.slug, hidden))
        if seen is None:
            if len(self._narrowed) >= REMEMBERED:
                self._narrowed.clear()
            seen = self._narrowed[workspace.slug, hidden] = without(workspace, hidden)
        return seen

    async def _refuse(self, send: Send, refusal: Refusal | BadMessage, spot: Spot) -> None:
        """Send a refusal that came before any call."""
        if isinstance(refusal, BadMessage):
            error = rpc_error(refusal.code, refusal.message, refusal.data)
            await send_json(send, http_status(refusal), {"jsonrpc": "2.0", "id": refusal.id, "error": error})
            return
        status = CONTENT_TOO_LARGE if isinstance(refusal, TooLarge) else http_status(refusal)
        said = challenge(refusal, self._metadata(spot)) if is_challenged(refusal) else ""
        headers = [(b"www-authenticate", said.encode("ascii"))] if said else []
        await send_json(send, status, _message(str(refusal)), headers)

    def _metadata(self, spot: Spot) -> str:
        """Where a client is sent to learn how to sign in; empty where nothing is to speak of that."""
        return self._addresses.metadata(spot.path, spot.alias) if self._signs_in and not spot.keys else ""


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
