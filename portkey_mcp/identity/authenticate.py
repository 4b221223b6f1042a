"""Who is it: takes the credential from a request's headers and asks each kind of credential in turn."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Unauthenticated
from portkey_mcp.identity.keys import ApiKey, ApiKeys, KeyOrigin
from portkey_mcp.model import DeclaredKey, Principal, Role
from portkey_mcp.storage.database import Database

Verify = Callable[[str], Awaitable[Principal | None]]
"""One kind of credential: None = not mine, ask the next; raises Unauthenticated = mine, but it does not verify."""

LOCAL_ADMIN: Final = Principal(id="local", name="local admin", kind="local", everywhere="admin")
"""Everybody, under `auth: none`."""

API_KEY_HEADER: Final = "x-portkey-api-key"


class Identity:
    """Principals and their credentials. Further kinds (OAuth tokens, JWTs) are handed in by the composition root."""

    def __init__(self, database: Database, *further: Verify) -> None:
        self._keys = ApiKeys(database)
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
            f"Authentication is required: send `Authorization: Bearer <API key>` or `{API_KEY_HEADER}: <API key>`."
        )

    async def verify(self, credential: str) -> Principal | None:
        """Whose credential this is; None when no kind knows it.

        Raises:
            Unauthenticated: a kind knows it and refuses it.
        """
        for kind in self._kinds:
            if principal := await kind(credential):
                return principal
        return None

    async def create_key(
        self,
        workspace: str,
        name: str,
        role: Role = "member",
        *,
        key: str | None = None,
        origin: KeyOrigin = "cli",
        expires: datetime | None = None,
    ) -> str:
        """Make an API key and return it; see `ApiKeys.create`."""
        return await self._keys.create(workspace, name, role, key=key, origin=origin, expires=expires)

    async def revoke_key(self, workspace: str, name: str) -> None:
        """End an API key; see `ApiKeys.revoke`."""
        await self._keys.revoke(workspace, name)

    async def list_keys(self, workspace: str | None = None) -> list[ApiKey]:
        """API keys, without the keys themselves."""
        return await self._keys.all(workspace)

    async def provision_keys(self, session: AsyncSession, declared: Iterable[DeclaredKey]) -> Collection[str]:
        """Take over the keys a file declares, in the caller's transaction; see `ApiKeys.provision`."""
        return await self._keys.provision(session, declared)

    async def refresh(self) -> None:
        """Read anew what is held in memory; to be called when the database's revision has changed."""
        await self._keys.refresh()

    async def record_use(self) -> None:
        """Write times of last use; to be called now and then, and at the end."""
        await self._keys.record_use()
