"""The parts of the OAuth server, built once and handed to whatever serves its endpoints and pages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from starlette.types import Scope

from portkey_mcp.activity.acts import Note, forgotten
from portkey_mcp.addresses import Addresses, alias_of
from portkey_mcp.identity.people import People
from portkey_mcp.model import Directory
from portkey_mcp.oauth.clients import Clients, Documents
from portkey_mcp.oauth.grants import Grants
from portkey_mcp.oauth.issuing import Issuing
from portkey_mcp.oauth.registration import Registration
from portkey_mcp.oauth.tokens import Tokens
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Terms, Trust


@dataclass(frozen=True, slots=True)
class OAuthServer:
    """All of it. `trust` and `directory` give what holds now; `address_of` tells where a request came from."""

    clients: Clients
    registration: Registration
    grants: Grants
    issuing: Issuing
    tokens: Tokens
    addresses: Addresses
    trust: Callable[[], Trust]
    directory: Callable[[], Directory]
    address_of: Callable[[Scope], str] = lambda scope: ""
    note: Note = forgotten

    @classmethod
    def of(
        cls,
        database: Database,
        people: People,
        documents: Documents,
        addresses: Addresses,
        trust: Callable[[], Trust],
        directory: Callable[[], Directory],
        address_of: Callable[[Scope], str] = lambda scope: "",
        note: Note = forgotten,
    ) -> Self:
        """Build the parts on one database. `people` says who somebody is now."""

        def terms() -> Terms:
            return trust().terms

        grants = Grants(database)
        issuing = Issuing(database, grants, terms)
        return cls(
            Clients(database, trust, documents),
            Registration(database, terms),
            grants,
            issuing,
            Tokens(issuing, grants, people),
            addresses,
            trust,
            directory,
            address_of,
            note,
        )

    def is_silent(self, host: str) -> bool:
        """Whether nothing under a Host header speaks of OAuth, for clients that come with an API key."""
        return self.alias_of(host) in self.directory().key_hosts

    def alias_of(self, host: str) -> str:
        """The host alias that a Host header names; empty for the public URL, and for what nobody configured."""
        return alias_of(host, self.directory().hosts)

    def issuer_at(self, host: str) -> str:
        """The issuer that clients meet under a Host header."""
        return self.addresses.issuer(self.alias_of(host))

    async def tidy(self) -> None:
        """Forget what is over.

        Raises:
            StoreDown: it cannot be written; to be tried again later.
        """
        await self.grants.tidy()
        await self.registration.tidy()
