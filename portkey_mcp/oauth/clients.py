"""Which clients there are: declared by an administrator, registered by themselves, or known by their document."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol
from urllib.parse import unquote_plus

from portkey_mcp.errors import ClientRefused
from portkey_mcp.oauth.authorization_request import Parameters, one
from portkey_mcp.oauth.client import Client, digest_of
from portkey_mcp.oauth.grants import reading
from portkey_mcp.oauth.refusal import OAuthRefusal, invalid_client
from portkey_mcp.oauth.tables import ClientRow
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Trust


class Document(Protocol):
    """What a client says of itself at the URL that is its id."""

    @property
    def name(self) -> str: ...
    @property
    def redirect_uris(self) -> tuple[str, ...]: ...


class Documents(Protocol):
    """Where such documents are found."""

    async def find(self, client_id: str) -> Document:
        """The document at a URL.

        Raises:
            ClientRefused: there is none that can be used; `str()` says why, for a person.
        """
        ...


class Clients:
    """Finds clients, and has them prove who they are."""

    def __init__(self, database: Database, trust: Callable[[], Trust], documents: Documents) -> None:
        self._database = database
        self._trust = trust
        self._documents = documents

    async def find(self, client_id: str) -> Client:
        """The client with this id.

        Raises:
            OAuthRefusal: there is none; `invalid_client`, with words for a person.
            StoreDown: nobody can say.
        """
        for declared in self._trust().clients:
            if declared.id == client_id:
                secret = digest_of(declared.secret) if declared.secret else ""
                return Client(declared.id, "declared", declared.name, declared.redirect_uris, secret)
        if _is_url(client_id):
            return await self._by_document(client_id)
        async with reading(self._database) as session:
            row = await session.get(ClientRow, client_id)
        if row is None:
            raise invalid_client("this client is not known here, or was not used for long; it may register again")
        return Client(row.id, "registered", row.name, tuple(row.redirect_uris), row.secret)

    async def authenticated(self, given: Parameters, headers: Mapping[str, str]) -> Client:
        """The client that sends a request to an endpoint of ours, once it has proved who it is.

        By HTTP Basic or in the form, never both (RFC 6749, section 2.3); a public client by its id alone.

        Raises:
            OAuthRefusal: `invalid_client`, or it used two ways at once.
            StoreDown: nobody can say.
        """
        ident, secret = _credentials(given, headers)
        if not ident:
            raise invalid_client("client_id is missing")
        client = await self.identified(ident)
        if client.is_public and secret:
            raise invalid_client("this client is a public one and has no secret")
        if not client.is_public and not client.has_secret(secret):
            raise invalid_client("the client secret is missing or wrong")
        return client

    async def identified(self, client_id: str) -> Client:
        """The same as `find`, but that of one with a document nothing is known except that it is a public client.

        Whoever has a code or a refresh token need not wait until its document can be had once more.

        Raises:
            OAuthRefusal: there is none; `invalid_client`.
            StoreDown: nobody can say.
        """
        return self._named_by_url(client_id) if _is_url(client_id) else await self.find(client_id)

    async def _by_document(self, client_id: str) -> Client:
        client = self._named_by_url(client_id)
        try:
            document = await self._documents.find(client_id)
        except ClientRefused as refusal:
            raise invalid_client(f"the client metadata document cannot be used: {refusal}") from None
        return replace(client, name=document.name, redirect_uris=document.redirect_uris)

    def _named_by_url(self, client_id: str) -> Client:
        """A client as its id alone tells: a public one, and where it may redirect to nobody knows yet."""
        if not self._trust().terms.documents:
            raise invalid_client("this gateway takes no client metadata documents; the client may register instead")
        return Client(client_id, "document", client_id, ())


def _is_url(client_id: str) -> bool:
    return client_id.lower().startswith(("https:", "http:"))


def _credentials(given: Parameters, headers: Mapping[str, str]) -> tuple[str, str]:
    """Id and secret as they were sent; empty where they were not."""
    ident, secret = one(given, "client_id") or "", one(given, "client_secret") or ""
    scheme, _, encoded = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return ident, secret
    try:
        name, _, word = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        raise invalid_client("the Authorization header is no HTTP Basic") from None
    name, word = unquote_plus(name), unquote_plus(word)  # RFC 6749, section 2.3.1
    if secret or (ident and ident != name):
        raise OAuthRefusal("invalid_request", "the client authenticates in two ways at once")
    return name, word
