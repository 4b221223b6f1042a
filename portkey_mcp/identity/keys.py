"""API keys: a long random secret that stands for a service account in one workspace.

Only SHA-256 digests are stored; that is enough for secrets of this length, which nobody can guess one by one.
Verification looks a digest up in memory, so a call costs no database read.
"""

import hashlib
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, cast, get_args

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Mistake, Unauthenticated
from portkey_mcp.identity.tables import ApiKeyRow
from portkey_mcp.model import DeclaredKey, Principal, Role
from portkey_mcp.storage.database import Database

KeyOrigin = Literal["file", "cli", "dashboard"]

PREFIX: Final = "pk_"
RANDOM_CHARACTERS: Final = 40
"""Of 6 bits each: 240 bits."""
SHORTEST: Final = 20
"""Characters of a key that a person brings; anything shorter could be guessed against a stolen database."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key."""

    id: str
    workspace: str
    name: str
    role: Role
    origin: KeyOrigin
    created: datetime
    expires: datetime | None
    last_used: datetime | None


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    expires: datetime | None


class ApiKeys:
    """Makes, lists, revokes and verifies API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Mapping[str, _Known] | None = None
        self._used: dict[str, datetime] = {}

    async def create(
        self,
        workspace: str,
        name: str,
        role: Role = "member",
        *,
        key: str | None = None,
        origin: KeyOrigin = "cli",
        expires: datetime | None = None,
    ) -> str:
        """Make a key, or take the given one, and return it: the only time that it is seen.

        Raises:
            Mistake: no such workspace or role, the name or the key is taken, or the key is too short.
        """
        key = PREFIX + secrets.token_urlsafe(RANDOM_CHARACTERS)[:RANDOM_CHARACTERS] if key is None else key
        row = _row(DeclaredKey(workspace, name, key, role), origin, expires)
        try:
            async with self._database.write() as session:
                taken = await session.scalar(select(ApiKeyRow).filter_by(workspace=workspace, name=name))
                if taken:
                    raise Mistake(
                        f"workspace {workspace!r} has an API key {name!r} already; revoke it or choose another"
                    )
                await _refuse_taken(session, row)
                session.add(row)
        except IntegrityError:
            raise Mistake(f"there is no workspace {workspace!r}") from None
        await self.refresh()
        return key

    async def revoke(self, workspace: str, name: str) -> None:
        """End a key; here at once, in other processes as soon as they see the new revision.

        Raises:
            Mistake: there is no such key, or a file manages it.
        """
        async with self._database.write() as session:
            row = await session.scalar(select(ApiKeyRow).filter_by(workspace=workspace, name=name))
            if row is None:
                raise Mistake(f"workspace {workspace!r} has no API key {name!r}")
            if row.origin == "file":
                raise Mistake(f"API key {name!r} is managed by the configuration file; remove it there")
            await session.delete(row)
        await self.refresh()

    async def all(self, workspace: str | None = None) -> list[ApiKey]:
        """All keys, or those of one workspace, by workspace and name."""
        query = select(ApiKeyRow).order_by(ApiKeyRow.workspace, ApiKeyRow.name)
        if workspace is not None:
            query = query.filter_by(workspace=workspace)
        async with self._database.read() as session:
            return [_shown(row) for row in await session.scalars(query)]

    async def provision(self, session: AsyncSession, declared: Iterable[DeclaredKey]) -> Collection[str]:
        """Make the keys that a file manages equal to the declared ones, inside the caller's transaction.

        Returns the workspaces that hold keys made by hand. `refresh` is due once the transaction is committed.

        Raises:
            Mistake: a key is too short or declared twice, or its name or the key was given away by hand.
        """
        rows = {(row.workspace, row.name): row for row in await session.scalars(select(ApiKeyRow))}
        wanted = {(key.workspace, key.name): _row(key, "file") for key in declared}
        for place, row in rows.items():
            if row.origin == "file" and place not in wanted:
                await session.delete(row)
        await session.flush()
        for place, row in wanted.items():
            old = rows.get(place)
            if old is not None and old.origin != "file":
                raise Mistake(
                    f"workspace {row.workspace!r}: the API key {row.name!r} was made by hand; "
                    "revoke it, or choose another name in the file"
                )
            row.id = old.id if old else row.id
            await _refuse_taken(session, row)
            if old:
                old.digest, old.role = row.digest, row.role
            else:
                session.add(row)
            await session.flush()
        return {row.workspace for row in rows.values() if row.origin != "file"}

    async def refresh(self) -> None:
        """Read the digests anew; to be called when the database's revision has changed."""
        async with self._database.read() as session:
            rows = (await session.scalars(select(ApiKeyRow))).all()
        self._known = {row.digest: _Known(_principal(row), row.expires) for row in rows}

    async def verify(self, credential: str) -> Principal | None:
        """Whose key this is; None when it is no API key of this gateway.

        Raises:
            Unauthenticated: it has the form of an API key but is unknown, or it has expired.
        """
        if self._known is None:
            await self.refresh()
        known = (self._known or {}).get(_digest(credential))
        if known is None:
            if credential.startswith(PREFIX):
                raise Unauthenticated("This API key is not known here: it is mistyped or was revoked.")
            return None
        now = datetime.now(UTC)
        if known.expires is not None and known.expires <= now:
            raise Unauthenticated("This API key has expired.")
        self._used[known.principal.id] = now
        return known.principal

    async def record_use(self) -> None:
        """Write when keys were last used; to be called now and then and at the end, never per call."""
        used, self._used = self._used, {}
        if not used:
            return
        async with self._database.write(announce=False) as session:
            for ident, moment in used.items():
                await session.execute(update(ApiKeyRow).filter_by(id=ident).values(last_used=moment))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _row(key: DeclaredKey, origin: KeyOrigin, expires: datetime | None = None) -> ApiKeyRow:
    where = f"workspace {key.workspace!r}, API key {key.name!r}"
    if len(key.key) < SHORTEST:
        raise Mistake(f"{where}: the key has {len(key.key)} characters; expected at least {SHORTEST}")
    if key.role not in get_args(Role):
        raise Mistake(f"{where}: there is no role {key.role!r}; expected one of {', '.join(get_args(Role))}")
    return ApiKeyRow(
        id=f"key:{secrets.token_hex(8)}",
        workspace=key.workspace,
        name=key.name,
        digest=_digest(key.key),
        role=key.role,
        origin=origin,
        created=datetime.now(UTC),
        expires=expires,
    )


async def _refuse_taken(session: AsyncSession, row: ApiKeyRow) -> None:
    """One key, one principal: the same key under two names would make it a matter of luck who calls."""
    other = await session.scalar(select(ApiKeyRow).filter_by(digest=row.digest))
    if other is not None and other.id != row.id:
        raise Mistake(
            f"workspace {row.workspace!r}, API key {row.name!r}: the same key is in use as "
            f"{other.name!r} of workspace {other.workspace!r}; each needs its own"
        )


def _principal(row: ApiKeyRow) -> Principal:
    return Principal(id=row.id, name=row.name, kind="service", workspaces={row.workspace: cast(Role, row.role)})


def _shown(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        workspace=row.workspace,
        name=row.name,
        role=cast(Role, row.role),
        origin=cast(KeyOrigin, row.origin),
        created=row.created,
        expires=row.expires,
        last_used=row.last_used,
    )
