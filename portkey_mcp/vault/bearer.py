"""Proves an account to a server with a token: from memory, refreshed in time, and once more when it was refused.

A token goes to the resource it was issued for, and nowhere else (MCP authorization, Token Handling). An upstream that
refuses it never makes the gateway refuse its own client: what is said then is that an account is to be connected.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from portkey_mcp.addresses import canonical
from portkey_mcp.errors import (
    ConnectNeeded,
    Mistake,
    NotFetched,
    ProviderDown,
    SignInNeeded,
    TokenRefused,
    UpstreamDown,
)
from portkey_mcp.model import McpServer, Principal
from portkey_mcp.proof import AccountAuth, Auth, IdentityAuth, OAuthClient, OwnHeadersAuth
from portkey_mcp.vault import dpop
from portkey_mcp.vault.client_auth import method_of
from portkey_mcp.vault.connection import Client, Connection, Credential, Endpoint, Place, Tokens
from portkey_mcp.vault.connections import Connections
from portkey_mcp.vault.discovery import Discovery
from portkey_mcp.vault.machines import Machines
from portkey_mcp.vault.protected_resource import read_challenge
from portkey_mcp.vault.refreshing import Refreshing
from portkey_mcp.vault.token_requests import TokenRequests
from portkey_mcp.vault.words import needed

Resolved = Callable[[McpServer], Awaitable[tuple[str, Auth | None]]]
"""A server's URL and `auth`, every reference replaced. Raises Mistake."""

Page = Callable[[McpServer, str], str]
"""The URL of the page where a principal, by id, connects an account at a server; empty: whoever may do it for all."""

REMEMBERED: Final = 8
"""Tokens of which is known which generation they are: those that answers may still come for."""

JUST_GIVEN: Final = 3.0
"""Seconds after which a token that is refused has become old: sooner, another one would probably be refused as well."""

MOST_IN_A_ROW: Final = 2
"""Tokens that may be refused one after the other, each just given. One may have expired on its way, when both are slow
and its life is short."""


@dataclass(frozen=True, slots=True)
class Means:
    """What every proof works with."""

    connections: Connections
    refreshing: Refreshing
    requests: TokenRequests
    discovery: Discovery
    machines: Machines
    resolved: Resolved
    page: Page
    sign_in: Callable[[str], str]
    """The URL where one signs in with a provider, by its id."""


class Bearer:
    """See `upstream.proof.Proof`. One account at one server; `who` is whose it is, where it is somebody's."""

    def __init__(self, means: Means, server: McpServer, place: Place, who: Principal | None) -> None:
        self._means, self._server, self._place, self._who = means, server, place, who
        self._is_account = isinstance(server.auth, AccountAuth)
        self._url = ""
        self._known: dict[bytes, int] = {}
        self._last: tuple[int, bytes] = (-1, b"")
        self._after_refusal = (-1, 0.0, 0)
        self._nonce = ""

    def ready(self, verb: str, url: str) -> bytes | None:
        """See `Proof.ready`."""
        connection = self._means.refreshing.ready(self._place) if self._url else None
        if connection is None:
            return None
        if connection.generation != self._last[0] and not is_for(connection.credential, self._url):
            return None
        return self._lines(connection, verb, url)

    async def lines(self, verb: str, url: str) -> bytes:
        """See `Proof.lines`."""
        self._url = await self._address()
        connection = await self._current()
        return self._lines(connection, verb, url)

    async def refused(self, lines: bytes, status: int, headers: Mapping[str, str]) -> bool:
        """See `Proof.refused`."""
        challenge = headers.get("www-authenticate", "")
        nonce = headers.get("dpop-nonce", "")
        said = read_challenge(challenge)
        if nonce and nonce != self._nonce and said.error == "use_dpop_nonce":
            self._nonce = nonce
            return True
        generation = self._known.get(_token_line(lines), -1)
        if status == 403:
            return await self._lacks(generation, said.scopes if said.error == "insufficient_scope" else ())
        last, given, times = self._after_refusal
        times = times + 1 if generation == last and time.monotonic() - given < JUST_GIVEN else 1
        if times > MOST_IN_A_ROW:
            return self._gives_up("It refuses a token that it was just given for the account.")
        await self._check_authority(generation, challenge)
        newer = await self._current(after=generation)
        self._after_refusal = newer.generation, time.monotonic(), times
        return True

    async def _lacks(self, generation: int, scopes: Sequence[str]) -> bool:
        """The server wants scopes that the token lacks: those and what it has are asked for (step-up, SEP-835)."""
        connection = await self._means.connections.find(self._place)
        if not scopes or connection is None:
            return False
        if set(scopes) <= set(connection.credential.scopes):
            return connection.generation > generation  # somebody has stepped up meanwhile; else asking is no use
        wanted = tuple(dict.fromkeys((*connection.credential.scopes, *connection.wanted, *scopes)))
        await self._means.connections.want(self._place, wanted)
        if self._is_account:
            raise self._needed(f"It asks for more than the account allows so far: {' '.join(scopes)}.")
        newer = await self._current(after=generation)
        return set(scopes) <= set(newer.credential.scopes)

    async def _check_authority(self, generation: int, challenge: str) -> None:
        """A server that names another authorization server than before never gets, or gives, what the old one gave."""
        connection = await self._means.connections.find(self._place)
        if connection is None or connection.generation != generation or not self._is_account:
            return
        try:
            url, auth = await self._means.resolved(self._server)
            assert auth is not None
            found = await self._means.discovery.find(url, auth, challenge)
        except (ProviderDown, NotFetched, Mistake):
            return  # nobody can say just now; the token is only ever refreshed where it came from
        if found.server.issuer != connection.credential.issuer:
            why = f"It has moved to another authorization server, {found.server.issuer}."
            await self._means.connections.end(self._place, generation, why)
            raise self._needed(why)

    async def _current(self, after: int = -1) -> Connection:
        try:
            connection = await self._means.refreshing.current(
                self._place, self._renew, after=after, makes=not self._is_account
            )
        except SignInNeeded as error:
            page = self._means.sign_in(error.provider) if error.provider else ""
            raise ConnectNeeded(self._server.name, f"{error} {page}".rstrip(), page) from None
        except (ProviderDown, NotFetched, Mistake) as error:
            raise UpstreamDown(self._server.name, f"no token for it is to be had just now: {_told(error)}") from None
        if connection is None or not is_for(connection.credential, self._url):
            ended = await self._means.connections.find(self._place)
            why = "" if ended is None else ended.why or "It was connected for another address of the server."
            if not self._is_account:
                raise UpstreamDown(self._server.name, f"no token for it is to be had: {why}")
            raise self._needed(why)
        return connection

    async def _renew(self, connection: Connection | None) -> Credential:
        """One request for a newer token."""
        url, auth = await self._means.resolved(self._server)
        assert auth is not None
        assert not isinstance(auth, (IdentityAuth, OwnHeadersAuth))
        if not isinstance(auth, AccountAuth):
            wanted = () if connection is None else connection.wanted
            return await self._means.machines.obtain(self._server, url, auth, self._who, wanted)
        old = None if connection is None else connection.credential
        if old is None or old.tokens is None or old.endpoint is None or old.client is None or not old.tokens.refresh:
            raise TokenRefused("invalid_grant", "there is no refresh token")
        client = _declared(auth.client, old.endpoint) if auth.client.id == old.client.id else old.client
        form = {"grant_type": "refresh_token", "refresh_token": old.tokens.refresh}
        if old.asked:
            form["resource"] = old.asked
        tokens = await self._means.requests.ask(url, old.endpoint, client, form, dpop_key=old.tokens.dpop_key)
        scopes = old.scopes if tokens.scopes is None else tokens.scopes
        return replace(old, tokens=_kept(tokens, old.tokens), client=client, scopes=scopes)

    async def _address(self) -> str:
        try:
            return (await self._means.resolved(self._server))[0]
        except Mistake as error:
            raise UpstreamDown(self._server.name, f"its registration is not usable: {error.what}") from None

    def _lines(self, connection: Connection, verb: str, url: str) -> bytes:
        tokens = connection.credential.tokens
        assert tokens is not None
        if self._last[0] != connection.generation:
            self._last = connection.generation, f"Authorization: {tokens.kind} {tokens.access}\r\n".encode("ascii")
            self._known[self._last[1]] = connection.generation
            while len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]
        if tokens.kind != "DPoP":
            return self._last[1]
        proof = dpop.proof(tokens.dpop_key, verb, url, access_token=tokens.access, nonce=self._nonce)
        return self._last[1] + f"DPoP: {proof}\r\n".encode("ascii")

    def _gives_up(self, why: str) -> bool:
        """A person may mend it by connecting anew; for a machine's own account there is nothing more to do."""
        if self._is_account:
            raise self._needed(why)
        return False

    def _needed(self, why: str) -> ConnectNeeded:
        page = self._means.page(self._server, self._place.subject)
        return needed(self._server, self._who, page, sentence(why))


def is_for(credential: Credential, url: str) -> bool:
    """Whether a credential was given for the server at a URL, and so may go there (A28)."""
    return credential.resource == canonical(url)


def sentence(text: str) -> str:
    """A reason as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _declared(client: OAuthClient, at: Endpoint) -> Client:
    """The client as the file has it now: whoever changes its secret there need not connect anything anew."""
    return Client(client.id, method_of(client, at.methods), client.secret, client.private_key, client.algorithm)


def _token_line(lines: bytes) -> bytes:
    return lines[: lines.find(b"\r\n") + 2]


def _kept(new: Tokens, old: Tokens) -> Tokens:
    """New tokens, with what an answer need not repeat. The refresh token is kept by whoever stores them."""
    return replace(new, id_token=new.id_token or old.id_token, dpop_key=new.dpop_key or old.dpop_key)


def _told(error: Exception) -> str:
    """What a caller may know: nothing of the network around the gateway."""
    if isinstance(error, NotFetched) and error.inside:
        return "its authorization server cannot be reached"
    return error.what if isinstance(error, Mistake) else str(error)
