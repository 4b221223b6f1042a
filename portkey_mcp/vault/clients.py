"""Which client the gateway is at an authorization server, and how it becomes one (oauth.md A21, A25).

In this order: the one that an administrator registered; the gateway's own document (CIMD); one that it registers there
itself (RFC 7591). What was registered is kept sealed for one server and one issuer, and is never another's: a server
that changes its authorization server gets another client.

A client out of `auth` that names no issuer belongs to the first one that was met with it: a server that one day names
another does not get its secret.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.addresses import Addresses
from portkey_mcp.egress import Fetched
from portkey_mcp.errors import Mistake, NotFetched, ProviderDown, StoreDown, Unreachable
from portkey_mcp.model import McpServer
from portkey_mcp.proof import Auth, Authority, OAuthClient, WorkloadAuth
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.settings import is_loopback
from portkey_mcp.storage.database import Database
from portkey_mcp.vault.authorization_server import AuthorizationServer, same_issuer, shown
from portkey_mcp.vault.client_auth import method_of
from portkey_mcp.vault.connection import Client
from portkey_mcp.vault.reaching import Reaching
from portkey_mcp.vault.sealed import seal, unseal
from portkey_mcp.vault.tables import UpstreamClientRow
from portkey_mcp.wire import Json

CALLBACK: Final = "/oauth/callback"
DOCUMENT: Final = "/oauth/client.json"
"""Paths below the public URL: where authorization servers send people back to, and where the gateway's document is."""

NAME: Final = "portkey-mcp"

METHODS: Final = ("client_secret_basic", "client_secret_post", "none")
"""Ways to prove itself that the gateway registers for, the best first: it keeps secrets, so it takes one."""

MARGIN: Final = timedelta(minutes=5)
"""A registered client is replaced this long before it expires."""

_TABLE: Final = UpstreamClientRow.__tablename__


def client_document(addresses: Addresses) -> Json:
    """The gateway's own client-ID metadata document, for the URL `{base}/oauth/client.json`.

    draft-ietf-oauth-client-id-metadata-document-00, section 4. A copy at another URL names that one as `client_id`.
    """
    return {"client_id": addresses.base + DOCUMENT, **_metadata(addresses, "none")}


def _metadata(addresses: Addresses, method: str) -> Json:
    """What the gateway says of itself (RFC 7591, section 2)."""
    local = is_loopback(addresses.host)
    return {
        "client_name": NAME,
        **({} if local else {"client_uri": addresses.base}),
        "redirect_uris": [addresses.base + CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": "native" if local else "web",
    }


class Clients:
    """The clients that the gateway is. `document_url` says where its document can be read; empty: nowhere."""

    def __init__(
        self,
        database: Database,
        keyring: KeyRing,
        reaching: Reaching,
        addresses: Addresses,
        document_url: Callable[[], str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._reaching = reaching
        self._addresses = addresses
        self._document_url = document_url
        self._now = now

    @property
    def redirect_uri(self) -> str:
        """Where authorization servers send people back to."""
        return self._addresses.base + CALLBACK

    async def client(
        self, server: McpServer, url: str, auth: Auth, at: AuthorizationServer, *, interactive: bool = True
    ) -> Client:
        """The client at `at`, for `server` at `url`, whose `auth` is resolved.

        `interactive` false: nobody is sent anywhere, so only a client out of `auth` is one. A workload may have none:
        then its own token says who it is, and the client's id is empty.

        Raises:
            Mistake: an administrator has to register one, or the one in `auth` is another authorization server's.
            ProviderDown, NotFetched: the gateway cannot be registered just now, or not at all.
            StoreDown: the database cannot say.
        """
        written: OAuthClient = getattr(auth, "client", OAuthClient())
        if written.id:
            await self._check_issuer(server, auth, written, at)
            return Client(written.id, method_of(written, at.methods), *_means(written))
        if not interactive:
            if isinstance(auth, WorkloadAuth):
                return Client("")
            raise Mistake(f"auth of the server {server.key} needs a client_id, registered at {at.issuer}")
        # Who takes documents and no client without a secret takes none of ours (oauth.md K5).
        takes = at.documents and ("none" in at.methods or not at.registration)
        if takes and (document := self._document_url()):
            return Client(document)
        async with _telling(self._database.read) as session:
            row = await session.get(UpstreamClientRow, (server.workspace, server.name, at.issuer))
        return self._kept(row) or await self._register(server, url, at)

    async def forget(self, server: McpServer, issuer: str) -> None:
        """The authorization server does not know the client any more: register another when one is needed next."""
        async with _telling(lambda: self._database.write(announce=False)) as session:
            await session.execute(
                delete(UpstreamClientRow)
                .filter_by(workspace=server.workspace, server=server.name, issuer=issuer)
                .where(UpstreamClientRow.redirect_uri != "")
            )

    async def _check_issuer(self, server: McpServer, auth: Auth, written: OAuthClient, at: AuthorizationServer) -> None:
        """Refuse to be a client elsewhere than where it was registered (A25)."""
        authority = getattr(auth, "authority", Authority())
        if authority.issuer and not same_issuer(authority.issuer, at.issuer):
            raise Mistake(_of_another(server, authority.issuer, at.issuer))
        if authority.issuer or authority.token_endpoint:
            return  # an administrator says where it goes
        pins = select(UpstreamClientRow).filter_by(workspace=server.workspace, server=server.name, redirect_uri="")
        async with _telling(self._database.read) as session:
            rows = (await session.scalars(pins)).all()
        # One that cannot be opened any more may be of this client: it counts, until an administrator names the issuer.
        known = [row.issuer for row in rows if self._opened(row) in (None, {"id": written.id})]
        if known and at.issuer not in known:
            raise Mistake(_of_another(server, known[0], at.issuer))
        if not known:
            async with _telling(lambda: self._database.write(announce=False)) as session:
                for row in rows:  # of another client, which is not in `auth` any more
                    await session.execute(delete(UpstreamClientRow).filter_by(**_key(row)))
                await session.merge(self._row(server, at.issuer, "", {"id": written.id}, None))

    async def _register(self, server: McpServer, url: str, at: AuthorizationServer) -> Client:
        if not at.registration:
            raise Mistake(self._by_hand(at, "lets nobody register by program"))
        method = next((method for method in METHODS if method in at.methods), METHODS[0] if not at.methods else "")
        if not method:
            raise Mistake(self._by_hand(at, f"takes only clients that use {', '.join(at.methods)}"))
        try:
            answer = await self._reaching.for_server(url).post(at.registration, json=_metadata(self._addresses, method))
        except Unreachable as error:
            raise ProviderDown(f"The authorization server {at.issuer} does not answer just now.") from error
        if answer.status >= 500 or answer.status in (408, 425, 429):
            raise ProviderDown(f"The authorization server {at.issuer} registers nobody just now ({answer.status}).")
        if answer.status not in (200, 201):
            raise Mistake(self._by_hand(at, f"refused to register the gateway ({_why(answer)})"))
        return await self._keep(server, at, *_read(answer, method, at))

    async def _keep(
        self, server: McpServer, at: AuthorizationServer, client: Client, expires: datetime | None
    ) -> Client:
        """Keep a registration, unless somebody else was first: then theirs is the one."""
        value = {"id": client.id, "method": client.method, "secret": client.secret}
        async with _telling(lambda: self._database.write(announce=False)) as session:
            row = await session.get(UpstreamClientRow, (server.workspace, server.name, at.issuer))
            if other := self._kept(row):
                return other
            await session.merge(self._row(server, at.issuer, self.redirect_uri, value, expires))
        return client

    def _kept(self, row: UpstreamClientRow | None) -> Client | None:
        """The client of a row, where it is still good."""
        if row is None or row.redirect_uri != self.redirect_uri:
            return None
        if row.expires is not None and row.expires - MARGIN <= self._now():
            return None
        value = self._opened(row)
        return None if value is None else Client(value["id"], value["method"], value["secret"])

    def _opened(self, row: UpstreamClientRow) -> Any:
        """What a row holds; None where it cannot be opened any more: another registration does no harm."""
        try:
            return unseal(self._keyring, row.sealed, _TABLE, row.workspace, row.server, row.issuer, "sealed")
        except Unsealable:
            return None

    def _row(
        self, server: McpServer, issuer: str, redirect_uri: str, value: Mapping[str, str], expires: datetime | None
    ) -> UpstreamClientRow:
        return UpstreamClientRow(
            workspace=server.workspace,
            server=server.name,
            issuer=issuer,
            redirect_uri=redirect_uri,
            sealed=seal(self._keyring, dict(value), _TABLE, server.workspace, server.name, issuer, "sealed"),
            expires=expires,
            created=self._now(),
        )

    def _by_hand(self, at: AuthorizationServer, why: str) -> str:
        return (
            f"the authorization server {at.issuer} {why}: register an application there with the redirect URI "
            f"{self.redirect_uri}, and write its client_id (and client_secret) into auth of the server"
        )


def _key(row: UpstreamClientRow) -> dict[str, str]:
    return {"workspace": row.workspace, "server": row.server, "issuer": row.issuer}


def _means(written: OAuthClient) -> tuple[str, str, str]:
    return written.secret, written.private_key, written.algorithm if written.private_key else ""


def _of_another(server: McpServer, known: str, found: str) -> str:
    return (
        f"the client in auth of the server {server.key} is one of the authorization server {known}, and the server now "
        f"takes tokens of {found}. If that is right, register a client there, and write its client_id and issuer into "
        "auth"
    )


def _read(answer: Fetched, method: str, at: AuthorizationServer) -> tuple[Client, datetime | None]:
    """The client that an authorization server registered, and when its secret expires (RFC 7591, section 3.2.1)."""
    document = answer.json()
    id_ = document.get("client_id") if isinstance(document, dict) else None
    if not isinstance(id_, str) or not id_:
        raise NotFetched(f"the authorization server {at.issuer} registered the gateway and named no client_id")
    secret, said = document.get("client_secret"), document.get("token_endpoint_auth_method")
    secret = secret if isinstance(secret, str) else ""
    method = said if said in METHODS else method
    if not secret:
        method = "none"
    ends = document.get("client_secret_expires_at")
    lasting = isinstance(ends, bool) or not isinstance(ends, (int, float)) or not 0 < ends < 2**34 or not secret
    client = Client(id_, method, "" if method == "none" else secret)
    return client, None if lasting else datetime.fromtimestamp(float(ends), UTC)


def _why(answer: Fetched) -> str:
    """What an authorization server says of a registration that it refuses. Nothing secret was in the request."""
    try:
        document = answer.json()
    except NotFetched:
        document = None
    document = document if isinstance(document, dict) else {}
    words = [document.get(name) for name in ("error", "error_description")]
    found = ", ".join(shown(word) for word in words if isinstance(word, str) and word)
    return found or f"status {answer.status} of {urlsplit(answer.url).path or '/'}"


@asynccontextmanager
async def _telling(open_: Callable[[], Any]) -> AsyncIterator[AsyncSession]:
    """A session; a store that fails is told as `StoreDown`, without a statement's values."""
    try:
        async with open_() as session:
            yield session
    except (SQLAlchemyError, OSError) as error:
        why = getattr(error, "orig", None) or type(error).__name__
        raise StoreDown(f"clients cannot be read or written: {why}") from None
