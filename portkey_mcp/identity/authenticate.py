"""Who is it: takes the credential from a request's headers and asks each kind of credential in turn."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import StoreDown, Unauthenticated
from portkey_mcp.identity.invitations import Invitations
from portkey_mcp.identity.keys import ApiKey, ApiKeys, KeyOrigin
from portkey_mcp.identity.logins import Logins
from portkey_mcp.identity.memberships import Memberships
from portkey_mcp.identity.passwords import Passwords
from portkey_mcp.identity.people import People
from portkey_mcp.model import DeclaredKey, DeclaredMember, Principal, Role
from portkey_mcp.storage.database import Database

Verify = Callable[[str], Awaitable[Principal | None]]
"""One kind of credential: None = not mine, ask the next; raises Unauthenticated = mine, but it does not verify."""

LOCAL_ADMIN: Final = Principal(id="local", name="local admin", kind="local", everywhere="admin")
"""Everybody, under `auth: none`."""

API_KEY_HEADER: Final = "x-portkey-api-key"


class Identity:
    """Principals and their credentials. Further kinds (OAuth tokens, JWTs) are handed in by the composition root."""

    def __init__(self, database: Database, *further: Verify) -> None:
        self.people = People(database)
        self.passwords = Passwords(database, self.people)
        self.logins = Logins(database, self.people)
        self.memberships = Memberships(database, self.people)
        self.invitations = Invitations(database, self.people)
        self._keys = ApiKeys(database, self.people)
        self._kinds: tuple[Verify, ...] = (self._keys.verify, *further)

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Who sent these headers (names in lower case, or a mapping that does not care).

        `Authorization: Bearer` is asked first, then `x-portkey-api-key`.

        Raises:
            Unauthenticated: no credential, or none that verifies; `str()` says which, for the client.
        """
        scheme, _, bearer = headers.get("authorization", "").strip().partition(" ")
        offered = [bearer.strip() if scheme.lower() == "bearer" else "", headers.get(API_KEY_HEADER, "").strip()]
        for credential in filter(None, offered):
            if principal := await self.verify(credential):
                return principal
        if any(offered):
            raise Unauthenticated("The credential is not valid here.")
        raise Unauthenticated(
            "Authentication is required: sign in, or send `Authorization: Bearer <API key>` or "
            f"`{API_KEY_HEADER}: <API key>`.",
            offered=False,
        )

    def accept(self, kind: Verify) -> None:
        """Ask one more kind of credential, after those that are asked already."""
        self._kinds = (*self._kinds, kind)

    async def verify(self, credential: str) -> Principal | None:
        """Whose credential this is; None when no kind knows it.

        Raises:
            Unauthenticated: a kind knows it and refuses it.
        """
        for kind in self._kinds:
            if principal := await kind(credential):
                return principal
        return None

    async def check_password(self, email: str, password: str, address: str) -> Principal:
        """Whose e-mail address and password these are; guessing is slowed. See `Passwords.check`.

        Raises:
            Unauthenticated: nobody's; every failure has the same words.
            StoreDown: nobody can say.
        """
        return await self.passwords.check(email, password, address)

    async def principal(self, person: str) -> Principal | None:
        """The person with this id, from memory, as `refresh` found them last; None for one who is gone or disabled.

        Raises:
            StoreDown: nobody was read yet, and nobody can be.
        """
        with _told():
            if not self.people.is_read:
                await self.people.refresh()
        return self.people.principal(person)

    async def is_empty(self) -> bool:
        """Whether there is no person at all yet.

        Raises:
            StoreDown: nobody can say.
        """
        with _told():
            return await self.people.is_empty()

    async def everybody(self, workspace: str) -> list[Principal]:
        """Service accounts and people of a workspace, by name, as they are now; those who are kept out are not."""
        await self.refresh()
        services = [
            Principal(key.id, key.name, "service", {workspace: key.role})
            for key in await self._keys.all(workspace)
            if not key.person
        ]
        return [*services, *self.people.members(workspace)]

    async def key_principal(self, ident: str) -> Principal | None:
        """Who comes with the key of this id; see `ApiKeys.principal`."""
        return await self._keys.principal(ident)

    async def create_key(
        self,
        workspace: str,
        name: str,
        role: Role | None = None,
        *,
        key: str | None = None,
        origin: KeyOrigin = "cli",
        expires: datetime | None = None,
        person: str = "",
        scopes: Iterable[str] | None = None,
        server: str = "",
    ) -> str:
        """Make an API key and return it; see `ApiKeys.create`."""
        return await self._keys.create(
            workspace,
            name,
            role,
            key=key,
            origin=origin,
            expires=expires,
            person=person,
            scopes=scopes,
            server=server,
        )

    async def revoke_key(self, workspace: str, name: str) -> None:
        """End an API key; see `ApiKeys.revoke`."""
        await self._keys.revoke(workspace, name)

    async def list_keys(self, workspace: str | None = None) -> list[ApiKey]:
        """API keys, without the keys themselves."""
        return await self._keys.all(workspace)

    async def provision(
        self, session: AsyncSession, keys: Iterable[DeclaredKey], members: Iterable[DeclaredMember] = ()
    ) -> Collection[str]:
        """Take over the keys and the members that a file declares, in the caller's transaction.

        Returns the workspaces that hold some made by hand. `refresh` is due once the transaction is committed.

        Raises:
            Mistake: see `People.provision` and `ApiKeys.provision`.
        """
        occupied = await self.people.provision(session, members)  # first: keys of whoever left are gone then
        return {*occupied, *await self._keys.provision(session, keys)}

    async def refresh(self) -> None:
        """Read anew what is held in memory; to be called when the database's revision has changed."""
        await self._keys.refresh()

    async def record_use(self) -> None:
        """Write times of last use; to be called now and then, and at the end."""
        await self._keys.record_use()


@contextmanager
def _told() -> Iterator[None]:
    """Tell of a store that fails as `StoreDown`."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreDown(f"people cannot be read: {type(error).__name__}") from None
