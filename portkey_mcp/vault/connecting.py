"""A person connects an account at a server: OAuth's authorization code flow in two halves, or a value they enter.

Whoever ends a flow is who began it, both as they are signed in at the gateway: else somebody could put their account
under another one's calls, or have another one sign in for them (RFC 9700, 4.7). A state is good once, whatever comes of
it. Until the answer is known to be that of the very server which was asked, nothing in it is believed. What is logged
holds no code, state, verifier or token.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from portkey_mcp.addresses import CONNECT, canonical
from portkey_mcp.errors import Mistake, NotFetched, ProviderDown, TokenRefused
from portkey_mcp.model import Directory, McpServer, Principal
from portkey_mcp.proof import AccountAuth, Auth, OwnHeadersAuth
from portkey_mcp.vault.answering import NotConnected, is_answered_by, quoted, refused_words, token_words
from portkey_mcp.vault.clients import Clients
from portkey_mcp.vault.connectable import connect_problem, fits, place_for, server_for
from portkey_mcp.vault.connection import Connection, Credential, Place, Tokens
from portkey_mcp.vault.connections import Connections
from portkey_mcp.vault.discovery import Discovery
from portkey_mcp.vault.entering import entered
from portkey_mcp.vault.flows import Flow, Flows, new_verifier
from portkey_mcp.vault.prospect import Prospect, authorization_url, scopes_to_ask
from portkey_mcp.vault.token_requests import TokenRequests

log = logging.getLogger(__name__)

Resolve = Callable[[McpServer], Awaitable[tuple[str, Auth | None]]]
"""A server's URL and `auth`, without references; raises Mistake where one leads nowhere."""

_STALE: Final = (
    "This was begun too long ago, was used already, or was not begun here. Please connect the account again."
)
_OTHERS: Final = "This was begun by somebody else, or you were signed out meanwhile. Nothing was connected."
_MIXED: Final = (
    "The answer does not come from the authorization server that you were sent to, so it was not used (RFC 9207). "
    "Nothing was connected. If it happens again, tell an admin."
)


@dataclass(frozen=True, slots=True)
class Finished:
    """An account that was connected. `onto` is the path to go on to; empty where nobody said."""

    connection: Connection
    issuer: str
    onto: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """What was disconnected, and whether it was revoked where it came from; None where there is nothing to revoke."""

    connection: Connection
    revoked: bool | None


class Connecting:
    """Connects and disconnects accounts. Any number of processes may share a flow: all its state is in the database."""

    def __init__(
        self,
        directory: Callable[[], Directory],
        resolve: Resolve,
        connections: Connections,
        flows: Flows,
        discovery: Discovery,
        clients: Clients,
        tokens: TokenRequests,
    ) -> None:
        self._directory = directory
        self._resolve = resolve
        self.connections = connections
        self.flows = flows
        self._discovery = discovery
        self._clients = clients
        self._tokens = tokens

    async def connected(self, server: McpServer, who: Principal) -> tuple[Connection | None, bool]:
        """The connection that a principal uses at a server, and whether it is good for it as it is now.

        Raises:
            StoreDown: nobody can say.
        """
        connection = await self.connections.find(place_for(server, who.id))
        try:
            url, _ = await self._resolve(server)
        except Mistake:  # nobody can call it, and only an admin can mend that
            return connection, False
        return connection, fits(connection, server, url)

    async def next_step(self, who: Principal, reach: str) -> str:
        """The page that comes first where an app is to use a server at which the person lacks an account; else empty.

        For a hub nothing is forced: nobody needs an account at each of its servers.

        Raises:
            StoreDown: nobody can say.
        """
        workspace, _, name = reach.partition("/")
        server = server_for(self._directory(), who, workspace, name)
        if server is None or connect_problem(who, server) or (await self.connected(server, who))[1]:
            return ""
        return f"{CONNECT}{server.key}"

    async def look(self, server: McpServer, who: Principal) -> Prospect:
        """Find out where connecting would lead. Nothing is kept, nobody is sent anywhere.

        Raises:
            Mistake: the server or its `auth` is wrong; for an admin.
            ProviderDown, NotFetched: its authorization server cannot be found or asked.
            StoreDown: nobody can say.
        """
        url, auth = await self._resolve(server)
        if not isinstance(auth, AccountAuth):
            raise Mistake(f"server {server.key!r} takes no account by OAuth")
        found = await self._discovery.find(url, auth)
        connection = await self.connections.find(place_for(server, who.id))
        return Prospect(server, url, auth, found, scopes_to_ask(found, connection))

    async def begin(self, prospect: Prospect, who: Principal, onto: str) -> str:
        """Begin what a person agreed to; returns the URL at the authorization server to send their browser to.

        Raises:
            NotConnected: they may not.
            Mistake, ProviderDown, NotFetched: the gateway cannot make itself known there.
            StoreDown: it cannot be kept.
        """
        server, found, auth = prospect.server, prospect.found, prospect.auth
        self._refuse(server.workspace, server.name, who, onto)
        client = await self._clients.client(server, prospect.url, auth, found.server)
        flow = Flow(
            place=place_for(server, who.id),
            person=who.id,
            url=prospect.url,
            endpoint=found.server.endpoint(),
            is_named=found.server.named,
            says_issuer=found.server.says_issuer,
            client=client,
            resource=found.resource,
            scopes=prospect.scopes,
            redirect_uri=self._clients.redirect_uri,
            onto=onto,
            verifier=new_verifier(),
        )
        state = await self.flows.begin(flow)
        log.info("an account at %s is being connected by %s, at %s", server.key, who.id, flow.endpoint.issuer)
        return authorization_url(found.server.authorization, auth, flow, state)

    async def finish(self, who: Principal | None, params: Mapping[str, str]) -> Finished:
        """Take the answer of an authorization server, as a browser brings it; `who` is signed in there, None nobody.

        Raises:
            NotConnected: nothing was connected; in words.
            StoreDown: it cannot be kept.
        """
        flow = await self.flows.take(params.get("state", ""))
        if flow is None:
            raise NotConnected(_STALE)
        if who is None or who.id != flow.person:
            log.warning("the way to %s/%s that %s began was ended by %s", *_told(flow, who))
            raise NotConnected(_OTHERS)
        if not is_answered_by(flow, params.get("iss")):
            log.warning("the answer for %s/%s does not come from %s", *flow.place[:2], flow.endpoint.issuer)
            raise NotConnected(_MIXED, "", flow.place, flow.onto)
        server = self._refuse(flow.place.workspace, flow.place.server, who, flow.onto)
        if place_for(server, who.id) != flow.place:  # it was made one for all meanwhile, or for each
            raise NotConnected(_STALE, "", flow.place, flow.onto)
        if "code" not in params or "error" in params:
            error = params.get("error", "")
            log.info("an account at %s was not connected: %s", server.key, quoted(error))
            words = refused_words(error or "no code", params.get("error_description", ""))
            raise NotConnected(*words, flow.place, flow.onto)
        tokens = await self._redeem(server, flow, params["code"])
        connection = await self._keep(flow, tokens, who)
        log.info("an account at %s was connected by %s", server.key, who.id)
        return Finished(connection, flow.endpoint.issuer, flow.onto)

    async def enter(self, server: McpServer, who: Principal, given: Mapping[str, str]) -> Connection:
        """Keep what a person entered for their own headers.

        Raises:
            NotEntered: a value could be no header.
            NotConnected: they may not.
            Mistake: the server is wrong; for an admin.
            StoreDown: it cannot be kept.
        """
        self._refuse(server.workspace, server.name, who, "")
        url, auth = await self._resolve(server)
        if not isinstance(auth, OwnHeadersAuth) or not isinstance(server.auth, OwnHeadersAuth):
            raise Mistake(f"server {server.key!r} has no headers that people enter")
        credential = Credential(canonical(url), entered=entered(server.auth, given))
        return await self.connections.keep(place_for(server, who.id), credential, who.id)

    async def disconnect(self, place: Place) -> Disconnected | None:
        """Forget an account, and revoke it where it came from if that can be done; None where there is none.

        Whether somebody may, others have decided.

        Raises:
            StoreDown: it cannot be written, and the account stays.
        """
        was = await self.connections.drop(place)
        if was is None:
            return None
        return Disconnected(was, await revoked(self._tokens, was))

    def _refuse(self, workspace: str, name: str, who: Principal, onto: str) -> McpServer:
        """The server, where somebody may connect an account at it.

        Raises:
            NotConnected: they may not (any more).
        """
        server = server_for(self._directory(), who, workspace, name)
        if server is None:
            raise NotConnected("There is no such server for you any more. Nothing was connected.", onto=onto)
        if problem := connect_problem(who, server):
            raise NotConnected(problem, "", Place(workspace, name, ""), onto)
        return server

    async def _redeem(self, server: McpServer, flow: Flow, code: str) -> Tokens:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flow.redirect_uri,
            "code_verifier": flow.verifier,
            **({"resource": flow.resource} if flow.resource else {}),
        }
        try:
            return await self._tokens.ask(flow.url, flow.endpoint, flow.client, form)
        except TokenRefused as refusal:
            log.warning("%s gives no token for %s: %s", flow.endpoint.issuer, server.key, refusal.error)
            registered = isinstance(server.auth, AccountAuth) and not server.auth.client.id
            if registered and refusal.error in ("invalid_client", "unauthorized_client"):
                await self._clients.forget(server, flow.endpoint.issuer)
            raise NotConnected(*token_words(refusal, registered=registered), flow.place, flow.onto) from None
        except (ProviderDown, NotFetched, Mistake) as error:
            log.warning("%s gives no token for %s: %s", flow.endpoint.issuer, server.key, error)
            text = "The authorization server could not be asked for the token. Please try again."
            raise NotConnected(text, str(error), flow.place, flow.onto) from None

    async def _keep(self, flow: Flow, tokens: Tokens, who: Principal) -> Connection:
        credential = Credential(
            canonical(flow.url),
            tokens,
            flow.endpoint,
            flow.client,
            flow.scopes if tokens.scopes is None else tokens.scopes,
            asked=flow.resource,
        )
        try:
            return await self.connections.keep(flow.place, credential, who.id)
        except Mistake:
            raise NotConnected("The server is gone. Nothing was connected.", onto=flow.onto) from None


async def revoked(tokens: TokenRequests, was: Connection) -> bool | None:
    """Revoke an account that was dropped where it came from; None where there is nothing to revoke."""
    credential = was.credential
    if credential.tokens is None or credential.endpoint is None or credential.client is None or was.state == "ended":
        return None
    if not credential.endpoint.revocation:
        return False
    return await tokens.revoke(credential.resource, credential.endpoint, credential.client, credential.tokens)


def _told(flow: Flow, who: Principal | None) -> tuple[str, str, str, str]:
    return flow.place.workspace, flow.place.server, flow.person, "nobody who is signed in" if who is None else who.id
