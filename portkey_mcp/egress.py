"""The one guarded HTTP client for every URL that came from outside: client documents, keys, introspection, discovery.

Whoever gives such a URL must not reach through the gateway what only the gateway can reach (MCP security best
practices, SSRF). So a name is resolved once, every address it has is judged, and the connection goes to a judged
address: no second answer of the name server is ever asked for. No redirect is followed; no cookie, proxy, netrc or
anything else of the environment is used; the answer is bounded in size and time. Fails closed: what cannot be judged is
not asked.

It caches nothing, repeats nothing and knows nothing of who asks; how often somebody may, its users decide.
"""

import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final, Self
from urllib.parse import urlencode

import anyio
import anyio.to_thread
import httpx2

from portkey_mcp import wire
from portkey_mcp.errors import NotFetched, Unreachable
from portkey_mcp.settings import Network
from portkey_mcp.target import PORTS, IpAddress, Origin, Target, is_public, kind_of, read, unmapped

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port -> its addresses as text, best first. Raises OSError where there are none."""

LARGEST: Final = 65_536
"""Bytes of a body that are read, unless the caller says otherwise."""
MOST_ADDRESSES: Final = 3
"""Addresses of one name that are tried, one after the other."""
LOOKUPS: Final = 8
"""Names looked up at the same time; the system's resolver takes a thread for each."""

_JSON: Final = re.compile(r"application/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE)

_OWN: Final = {"User-Agent": "portkey-mcp", "Accept-Encoding": "identity", "Connection": "close"}
"""Sent with every request, whatever a caller says."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer. `headers` have names in small letters, repeated ones joined by commas; `status` is never 3xx."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            NotFetched: it is not said to be JSON, or is none.
        """
        said = self.headers.get("content-type", "")
        host = read(self.url).host
        if not _JSON.fullmatch(said):
            raise NotFetched(f"{host} answered with {said[:100] or 'no Content-Type'}, not with JSON")
        try:
            return wire.loads(self.body)
        except wire.MalformedJson as error:
            raise NotFetched(f"what {host} answered is not JSON: {error}") from None


class Egress:
    """Asks URLs that came from outside. One for all of a kind: it holds no connection between two requests.

    Only https on port 443 of public addresses, unless: `allowed` are networks the administrator lets be asked too, on
    any port; `loopback` lets this machine be asked, on any port and without TLS, for development and tests; `any_port`
    lets other ports be asked everywhere, for URLs an administrator wrote down. `timeout` is in seconds, for everything
    from the name to the last byte; `largest` in bytes. `verify` says which certificates are believed; None: those the
    system believes. See `also` for what else may be asked.
    """

    def __init__(
        self,
        *,
        allowed: Sequence[Network] = (),
        loopback: bool = False,
        any_port: bool = False,
        timeout: float = 5.0,
        largest: int = LARGEST,
        resolve: Resolve | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._plain: tuple[Network, ...] = ()
        self._origin: Origin | None = None
        self._loopback = loopback
        self._any_port = any_port
        self._timeout = timeout
        self._largest = largest
        self._resolve = resolve or self._lookup
        # Made when first needed: it reads the system's certificates, which takes time and memory.
        self._believed = cache(lambda: verify or ssl.create_default_context())
        self._lookups = anyio.Semaphore(LOOKUPS)

    def also(
        self,
        *,
        networks: Sequence[Network] = (),
        origin: str = "",
        any_port: bool = False,
        timeout: float | None = None,
    ) -> Self:
        """One that may ask more, and shares everything else with this one.

        `networks` are an administrator's own: asked on any port, and without TLS too. `origin` is a URL that an
        administrator wrote: whatever has exactly its scheme, host and port may be asked, wherever that leads.
        `timeout` is in seconds, in place of this one's.

        Raises:
            NotFetched: `origin` is no URL.
        """
        wider = copy(self)
        wider._plain = (*self._plain, *networks)
        wider._any_port = self._any_port or any_port
        wider._timeout = self._timeout if timeout is None else timeout
        if origin:
            wider._origin = read(origin).origin
        return wider

    async def judge(self, url: str) -> None:
        """Whether a URL may be asked; nobody is asked but the name server.

        Raises:
            NotFetched: it may not.
        """
        target = read(url)
        self._begin(target)
        try:
            with anyio.fail_after(self._timeout):
                await self._addresses(target)
        except TimeoutError:
            raise Unreachable(f"no address of {target.host} came within {self._timeout:g} seconds") from None

    async def get(
        self,
        url: str,
        *,
        accept: str = "application/json",
        headers: Mapping[str, str] | None = None,
        largest: int | None = None,
    ) -> Fetched:
        """GET a URL. `headers` go out beside the client's own.

        Raises:
            NotFetched: the URL may not be asked, or gave no whole answer within the limits, or a redirect.
        """
        return await self._fetch("GET", url, {**(headers or {}), "Accept": accept}, b"", largest)

    async def post(
        self,
        url: str,
        *,
        data: Mapping[str, str] | None = None,
        json: Any = None,
        accept: str = "application/json",
        headers: Mapping[str, str] | None = None,
        largest: int | None = None,
    ) -> Fetched:
        """POST a form (`data`), or else a JSON value. Sent once at most.

        Raises:
            NotFetched: as for `get`.
        """
        kind = "application/json" if data is None else "application/x-www-form-urlencoded"
        content = wire.dumps(json) if data is None else urlencode(data).encode("ascii")
        return await self._fetch(
            "POST", url, {**(headers or {}), "Accept": accept, "Content-Type": kind}, content, largest
        )

    async def _fetch(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, largest: int | None
    ) -> Fetched:
        target = read(url)
        self._begin(target)
        told = httpx2.Headers(dict(headers))
        told.update({**_OWN, "Host": target.authority})
        request = partial(httpx2.Request, method, headers=told, content=content or None)
        try:
            with anyio.fail_after(self._timeout):
                addresses = await self._addresses(target)
                return await self._ask(target, addresses, request, url, largest or self._largest)
        except TimeoutError:
            raise Unreachable(f"{target.host} did not answer within {self._timeout:g} seconds") from None

    def _begin(self, target: Target) -> None:
        """Refuse what no address could make good, before the name is looked up."""
        may_be_plain = self._loopback or self._plain or target.origin == self._origin
        if target.scheme == "http" and not may_be_plain:
            raise NotFetched("the URL must begin with https://")

    async def _addresses(self, target: Target) -> list[IpAddress]:
        """Every address of the host, each judged. One that may not be asked spoils them all."""
        if target.literal is not None:
            found: list[IpAddress] = [target.literal]
        else:
            try:
                texts = await self._resolve(target.host, target.port)
                found = [unmapped(ipaddress.ip_address(text)) for text in texts]
            except OSError:
                found = []
            except ValueError:
                raise NotFetched(f"{target.host} has an address that is none", inside=True) from None
        if not found:
            raise Unreachable(f"no address is known for {target.host}")
        for address in found:
            self._judge(target, address)
        return list(dict.fromkeys(found))[:MOST_ADDRESSES]

    def _judge(self, target: Target, address: IpAddress) -> None:
        here = self._loopback and address.is_loopback
        if here or target.origin == self._origin or any(address in network for network in self._plain):
            return
        if target.scheme == "http":
            raise NotFetched("the URL must begin with https://")
        if any(address in network for network in self._allowed):
            return
        if not is_public(address):
            whose = "" if target.literal else f" of {target.host}"
            raise NotFetched(f"the address {address}{whose} is {kind_of(address)}", inside=True)
        if target.port != PORTS[target.scheme] and not self._any_port:
            raise NotFetched(f"the URL must not name a port; it names {target.port}")

    async def _ask(
        self,
        target: Target,
        addresses: Sequence[IpAddress],
        request: Callable[..., httpx2.Request],
        url: str,
        largest: int,
    ) -> Fetched:
        failed = ""
        for address in addresses:
            there = httpx2.URL(
                scheme=target.scheme, host=str(address), port=target.port, raw_path=target.path.encode("ascii")
            )
            extensions = {
                "sni_hostname": target.host,
                "timeout": {"connect": self._timeout / len(addresses)},
                "trace": partial(_check_peer, address),
            }
            # The transport alone: a client would bring cookies, redirects and the environment's proxies. And a new one
            # each time: it knows its connections by address, and here two names may have the same.
            transport = httpx2.AsyncHTTPTransport(
                verify=self._believed(), trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0)
            )
            async with transport:
                try:
                    response = await transport.handle_async_request(request(there, extensions=extensions))
                    try:
                        return Fetched(response.status_code, *await _received(response, target, largest), url)
                    finally:
                        await response.aclose()
                except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:  # nothing was sent yet
                    failed = str(error)
                except httpx2.TransportError as error:
                    raise Unreachable(f"{target.host} broke off: {error}") from None
        raise Unreachable(f"{target.host} cannot be reached: {failed or 'no connection in time'}")

    async def _lookup(self, host: str, port: int) -> list[str]:
        async with self._lookups:
            found = await anyio.to_thread.run_sync(
                partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM), abandon_on_cancel=True
            )
        return [str(address[0]) for *_, address in found]


async def _check_peer(address: IpAddress, event: str, info: Mapping[str, Any]) -> None:
    """Called for each step of a request: once more compare who is connected, before anything is said to them."""
    if event != "connection.connect_tcp.complete":
        return
    stream = info["return_value"]
    peer = stream.get_extra_info("server_addr")
    if peer is None or unmapped(ipaddress.ip_address(peer[0])) != address:
        await stream.aclose()
        raise NotFetched(f"the connection to {address} leads elsewhere", inside=True)


async def _received(response: httpx2.Response, target: Target, largest: int) -> tuple[Mapping[str, str], bytes]:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if 300 <= response.status_code < 400:
        raise NotFetched(f"{target.host} answered with a redirect ({response.status_code}), and none is followed")
    if response.status_code < 200:
        raise NotFetched(f"{target.host} wants to speak another protocol ({response.status_code})")
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise NotFetched(f"{target.host} sent a compressed body, which was not asked for")
    said = headers.get("content-length", "")
    body = bytearray()
    if not (said.isdecimal() and int(said[:20]) > largest):
        async for part in response.stream:  # type: ignore[union-attr]
            body += part
            if len(body) > largest:
                break
        else:
            return headers, bytes(body)
    raise NotFetched(f"{target.host} sent more than {largest} bytes")
