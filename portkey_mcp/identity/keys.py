"""API keys: a long random secret that stands for a service account in one workspace, or there for a person.

A person's key is the person: with their id, their groups, and their role in its workspace as it is now, or a lower one
that the key was given. It reaches no other workspace, and ends with the membership.

A key may be good for one server only, and for some scopes only: its principal says so, and whoever lets principals in
holds them to it.

Only SHA-256 digests are stored; that is enough for secrets of this length, which nobody can guess one by one.
Verification looks a digest up in memory, so a call costs no database read.
"""

import hashlib
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal, cast, get_args

import anyio
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Conflict, Mistake, Unauthenticated
from portkey_mcp.identity import members
from portkey_mcp.identity.people import People
from portkey_mcp.identity.tables import ApiKeyRow, MembershipRow, PersonRow
from portkey_mcp.model import DeclaredKey, Principal, Role, lower_role
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import SCOPES

KeyOrigin = Literal["file", "cli", "dashboard", "api"]

PREFIX: Final = "pk_"
RANDOM_CHARACTERS: Final = 40
"""Of 6 bits each: 240 bits."""
SHORTEST: Final = 20
"""Characters of a key that a person brings; anything shorter could be guessed against a stolen database."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key. `person` is the e-mail address of whose it is; empty for a service account's.

    `role` is what it may do now: of a person's key never more than the person. `scopes` None: all; `server` is the only
    one that it is good for, empty: all.
    """

    id: str
    workspace: str
    name: str
    role: Role
    origin: KeyOrigin
    created: datetime
    expires: datetime | None
    last_used: datetime | None
    person: str = ""
    scopes: tuple[str, ...] | None = None
    server: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    """A key, and who comes with it; `owner` is whom it belongs to as they were then, None for a service account's."""

    id: str
    person: str | None
    workspace: str
    most: Role
    scopes: tuple[str, ...] | None
    reach: str | None
    expires: datetime | None
    principal: Principal | None
    owner: Principal | None = None


class ApiKeys:
    """Makes, lists, revokes and verifies API keys, also those of `people`."""

    def __init__(self, database: Database, people: People) -> None:
        self._database = database
        self._people = people
        self._one_refresh = anyio.Lock()
        self._known: dict[str, _Known] | None = None
        self._used: dict[str, datetime] = {}

    async def create(
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
        """Make a key, or take the given one, and return it: the only time that it is seen.

        `person` is the e-mail address of whose it is; then `role` is what it may be at most, by default all that the
        person is. A service account is a member by default. `scopes` None: all; `server`: good for this one only. That
        there is such a server is the caller's to see to; a key for one that there is not opens nothing.

        Raises:
            Mistake: no such workspace, member, role or scope, the name or the key is taken, or the key is too short.
        """
        key = PREFIX + secrets.token_urlsafe(RANDOM_CHARACTERS)[:RANDOM_CHARACTERS] if key is None else key
        role = role or ("owner" if person else "member")
        scopes = None if scopes is None else tuple(scopes)
        row = _row(DeclaredKey(workspace, name, key, role, scopes, server, expires), origin)
        try:
            async with self._database.write() as session:
                if person:
                    row.person = (await members.member(session, person, workspace))[0].id
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
            Mistake: there is no such key, or a file manages it (`Conflict`).
        """
        async with self._database.write() as session:
            row = await session.scalar(select(ApiKeyRow).filter_by(workspace=workspace, name=name))
            if row is None:
                raise Mistake(f"workspace {workspace!r} has no API key {name!r}")
            if row.origin == "file":
                raise Conflict(f"API key {name!r} is managed by the configuration file; remove it there")
            await session.delete(row)
        await self.refresh()

    async def all(self, workspace: str | None = None) -> list[ApiKey]:
        """All keys, or those of one workspace, by workspace and name."""
        query = (
            select(ApiKeyRow, PersonRow.email, MembershipRow.role)
            .outerjoin(PersonRow, PersonRow.id == ApiKeyRow.person)
            .outerjoin(
                MembershipRow,
                (MembershipRow.person == ApiKeyRow.person) & (MembershipRow.workspace == ApiKeyRow.workspace),
            )
            .order_by(ApiKeyRow.workspace, ApiKeyRow.name)
        )
        if workspace is not None:
            query = query.where(ApiKeyRow.workspace == workspace)
        async with self._database.read() as session:
            return [_shown(row, email or "", role) for row, email, role in await session.execute(query)]

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
                for column in ("digest", "role", "scopes", "server", "expires"):
                    setattr(old, column, getattr(row, column))
            else:
                session.add(row)
            await session.flush()
        return {row.workspace for row in rows.values() if row.origin != "file"}

    async def refresh(self) -> None:
        """Read people, and then the digests, anew; to be called when the database's revision has changed."""
        async with self._one_refresh:  # or one that began to read earlier could have the last word
            await self._people.refresh()
            async with self._database.read() as session:
                rows = (await session.scalars(select(ApiKeyRow))).all()
            self._known = {row.digest: _known(row) for row in rows}

    async def verify(self, credential: str) -> Principal | None:
        """Whose key this is; None when it is no API key of this gateway.

        Raises:
            Unauthenticated: it has the form of an API key but is unknown, it has expired, or its owner is kept out.
        """
        if self._known is None:
            await self.refresh()
        digest, all_known = _digest(credential), self._known or {}
        known = all_known.get(digest)
        if known is None:
            if credential.startswith(PREFIX):
                raise Unauthenticated("This API key is not known here: it is mistyped or was revoked.")
            return None
        now = datetime.now(UTC)
        if known.expires is not None and known.expires <= now:
            raise Unauthenticated("This API key has expired.")
        if known.person is not None:
            owner = self._people.principal(known.person)
            if owner is not known.owner:
                known = all_known[digest] = replace(known, owner=owner, principal=_of_person(known, owner))
        if known.principal is None:
            raise Unauthenticated("The person to whom this API key belongs is no member here any more, or is kept out.")
        self._used[known.id] = now
        return known.principal

    async def principal(self, ident: str) -> Principal | None:
        """Who comes with the key of this id, now; None where there is no such key or its owner is kept out."""
        await self.refresh()
        for known in (self._known or {}).values():
            if known.id == ident:
                owner = self._people.principal(known.person) if known.person is not None else None
                return known.principal if known.person is None else _of_person(known, owner)
        return None

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


def _row(key: DeclaredKey, origin: KeyOrigin) -> ApiKeyRow:
    where = f"workspace {key.workspace!r}, API key {key.name!r}"
    if len(key.key) < SHORTEST:
        raise Mistake(f"{where}: the key has {len(key.key)} characters; expected at least {SHORTEST}")
    if key.role not in get_args(Role):
        raise Mistake(f"{where}: there is no role {key.role!r}; expected one of {', '.join(get_args(Role))}")
    scopes = None if key.scopes is None else [scope for scope in SCOPES if scope in key.scopes]
    if key.scopes is not None and (not scopes or not set(key.scopes) <= set(SCOPES)):
        wrong = next((repr(scope) for scope in key.scopes if scope not in SCOPES), "none")
        raise Mistake(f"{where}: there is no scope {wrong}; expected one or more of {', '.join(SCOPES)}")
    return ApiKeyRow(
        id=f"key:{secrets.token_hex(8)}",
        workspace=key.workspace,
        name=key.name,
        digest=_digest(key.key),
        role=key.role,
        origin=origin,
        created=datetime.now(UTC),
        expires=key.expires,
        scopes=scopes,
        server=key.server,
    )


async def _refuse_taken(session: AsyncSession, row: ApiKeyRow) -> None:
    """One key, one principal: the same key under two names would make it a matter of luck who calls."""
    other = await session.scalar(select(ApiKeyRow).filter_by(digest=row.digest))
    if other is not None and other.id != row.id:
        raise Mistake(
            f"workspace {row.workspace!r}, API key {row.name!r}: the same key is in use as "
            f"{other.name!r} of workspace {other.workspace!r}; each needs its own"
        )


def _known(row: ApiKeyRow) -> _Known:
    role, service = cast(Role, row.role), None
    scopes, reach = _scopes(row), f"{row.workspace}/{row.server}" if row.server else None
    if row.person is None:
        place = {row.workspace: role}
        service = Principal(row.id, row.name, "service", workspaces=place, reach=reach, scopes=scopes)
    return _Known(row.id, row.person, row.workspace, role, scopes, reach, row.expires, service)


def _scopes(row: ApiKeyRow) -> tuple[str, ...] | None:
    return None if row.scopes is None else tuple(row.scopes)


def _of_person(known: _Known, owner: Principal | None) -> Principal | None:
    """A person as they come with one of their keys."""
    role = None if owner is None else owner.role_in(known.workspace)
    if owner is None or role is None:
        return None
    return replace(
        owner,
        workspaces={known.workspace: lower_role(role, known.most)},
        own_groups={known.workspace: owner.groups_in(known.workspace)},
        credential=known.id,
        reach=known.reach,
        scopes=known.scopes,
    )


def _shown(row: ApiKeyRow, email: str, of_person: str | None) -> ApiKey:
    role = cast(Role, row.role)
    return ApiKey(
        id=row.id,
        workspace=row.workspace,
        name=row.name,
        role=role if of_person is None else lower_role(role, cast(Role, of_person)),
        origin=cast(KeyOrigin, row.origin),
        created=row.created,
        expires=row.expires,
        last_used=row.last_used,
        person=email,
        scopes=_scopes(row),
        server=row.server,
    )
