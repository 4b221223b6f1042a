"""Grants: what people allowed clients, and what they need not be asked for again.

Codes and tokens hang on them (`issuing.py`). Whatever ends takes hold in every process as soon as it sees the new
revision. Fails closed: what the store cannot say is `StoreDown`, never a grant.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import StoreDown
from portkey_mcp.oauth.client import digest_of
from portkey_mcp.oauth.refusal import OAuthRefusal
from portkey_mcp.oauth.tables import AssertionRow, CodeRow, ConsentRow, GrantRow, TokenRow
from portkey_mcp.storage.database import Database

CODE: Final = "pkc_"
"""How a code begins, so that a person who finds one knows what it is."""

RANDOM_BYTES: Final = 32
CODE_LIFE: Final = timedelta(seconds=60)
EMPTY_FOR: Final = timedelta(hours=1)
"""How long a grant stays without any code or token."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a person agreed to."""

    person: str
    workspace: str
    client: str
    client_name: str
    redirect_host: str
    reach: str
    resource: str
    scopes: tuple[str, ...]
    issuer: str
    address: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as it may be shown to its person."""

    id: str
    granted: Granted
    created: datetime
    last_used: datetime | None


def _now() -> datetime:
    return datetime.now(UTC)


class Grants:
    """Makes, lists and ends grants. Several on one database see the same ones."""

    def __init__(self, database: Database, now: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._now = now

    async def allow(self, granted: Granted, redirect_uri: str, challenge: str) -> str:
        """Keep what a person agreed to; returns the authorization code.

        Raises:
            OAuthRefusal: the person is no member of the workspace (any more).
            StoreDown: it cannot be kept.
        """
        code, now = CODE + secrets.token_urlsafe(RANDOM_BYTES), self._now()
        async with writing(self._database, announce=False) as session:
            row = await _add(session, granted, now)
            session.add(
                CodeRow(
                    digest=digest_of(code),
                    grant=row.id,
                    redirect_uri=redirect_uri,
                    challenge=challenge,
                    expires=now + CODE_LIFE,
                )
            )
        return code

    async def make(self, granted: Granted) -> Grant:
        """Keep a grant that an assertion stands for; there is no code.

        Raises:
            OAuthRefusal: the person is no member of the workspace.
            StoreDown: it cannot be kept.
        """
        async with writing(self._database, announce=False) as session:
            return shown(await _add(session, granted, self._now()))

    async def of_person(self, person: str) -> list[Grant]:
        """What a person allowed, the newest first.

        Raises:
            StoreDown: it cannot be read.
        """
        async with reading(self._database) as session:
            rows = await session.scalars(
                select(GrantRow).filter_by(person=person).order_by(GrantRow.created.desc(), GrantRow.id)
            )
            return [shown(row) for row in rows]

    async def of_workspace(self, workspace: str, person: str | None = None) -> list[Grant]:
        """What was allowed in a workspace, by anybody or by one person, the newest first.

        Raises:
            StoreDown: it cannot be read.
        """
        wanted = {"workspace": workspace, **({} if person is None else {"person": person})}
        async with reading(self._database) as session:
            rows = await session.scalars(
                select(GrantRow).filter_by(**wanted).order_by(GrantRow.created.desc(), GrantRow.id)
            )
            return [shown(row) for row in rows]

    async def end(self, grant: str) -> None:
        """End a grant and all its tokens: here at once, elsewhere as soon as the revision is seen. None is no error.

        Raises:
            StoreDown: it cannot be written, and the grant goes on.
        """
        async with writing(self._database) as session:
            await session.execute(delete(GrantRow).filter_by(id=grant))

    async def withdraw(self, person: str, grant: str) -> Grant | None:
        """End a grant of a person's, and what they need not be asked for again; None where it is not theirs.

        Raises:
            StoreDown: it cannot be written, and the grant goes on.
        """
        async with writing(self._database) as session:
            row = await session.scalar(select(GrantRow).filter_by(id=grant, person=person))
            if row is None:
                return None
            mine = {"person": person, "client": row.client, "reach": row.reach}
            await session.execute(delete(ConsentRow).filter_by(**mine))
            await session.execute(delete(GrantRow).filter_by(**mine))
            return shown(row)

    async def remember(self, granted: Granted, redirect_uri: str) -> None:
        """Remember that a person said yes, so that the same need not be asked again.

        Raises:
            StoreDown: it cannot be kept.
        """
        async with writing(self._database, announce=False) as session:
            key = (granted.person, granted.client, redirect_uri, granted.reach)
            row = await session.get(ConsentRow, key)
            if row is None:
                names = ("person", "client", "redirect_uri", "reach")
                row = ConsentRow(**dict(zip(names, key, strict=True)), workspace=granted.workspace, scopes=[])
                row.created = self._now()
                session.add(row)
            row.scopes = list(dict.fromkeys([*row.scopes, *granted.scopes]))

    async def agreed(self, person: str, client: str, redirect_uri: str) -> dict[str, tuple[str, ...]]:
        """What a person said yes to before: scopes by reach.

        Raises:
            StoreDown: nobody can say.
        """
        async with reading(self._database) as session:
            rows = await session.scalars(
                select(ConsentRow).filter_by(person=person, client=client, redirect_uri=redirect_uri)
            )
            return {row.reach: tuple(row.scopes) for row in rows}

    async def record_use(self, used: dict[str, datetime]) -> None:
        """Write when grants were last used.

        Raises:
            StoreDown: it cannot be written.
        """
        async with writing(self._database, announce=False) as session:
            for grant, moment in used.items():
                await session.execute(update(GrantRow).filter_by(id=grant).values(last_used=moment))

    async def tidy(self) -> None:
        """Forget what is over: tokens, codes, assertions, and grants without any.

        Raises:
            StoreDown: it cannot be written; to be tried again later.
        """
        now = self._now()
        async with writing(self._database, announce=False) as session:
            await session.execute(delete(TokenRow).where(TokenRow.expires <= now))
            await session.execute(delete(CodeRow).where(CodeRow.expires <= now - EMPTY_FOR))
            await session.execute(delete(AssertionRow).where(AssertionRow.expires <= now))
            held = or_(
                GrantRow.id.in_(select(TokenRow.grant)),
                GrantRow.id.in_(select(CodeRow.grant)),
                GrantRow.created > now - EMPTY_FOR,
            )
            await session.execute(delete(GrantRow).where(~held))


async def _add(session: AsyncSession, granted: Granted, now: datetime) -> GrantRow:
    texts = {name: getattr(granted, name) for name in Granted.__dataclass_fields__ if name != "scopes"}
    row = GrantRow(
        id=f"grant:{secrets.token_hex(8)}", scopes=list(granted.scopes), created=now, last_used=None, **texts
    )
    session.add(row)
    try:
        await session.flush()
    except IntegrityError:
        raise OAuthRefusal("access_denied", "the person is no member of the workspace") from None
    return row


def shown(row: GrantRow) -> Grant:
    """The grant of a row."""
    texts = {name: getattr(row, name) for name in Granted.__dataclass_fields__ if name != "scopes"}
    return Grant(row.id, Granted(scopes=tuple(row.scopes), **texts), row.created, row.last_used)


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[AsyncSession]:
    """A session that reads; a store that fails is told as `StoreDown`."""
    try:
        async with database.read() as session:
            yield session
    except (SQLAlchemyError, OSError) as error:
        raise _down(error) from None


@asynccontextmanager
async def writing(database: Database, *, announce: bool = True) -> AsyncIterator[AsyncSession]:
    """One writing transaction; a store that fails is told as `StoreDown`. See `Database.write` for `announce`."""
    try:
        async with database.write(announce=announce) as session:
            yield session
    except (SQLAlchemyError, OSError) as error:
        raise _down(error) from None


def _down(error: Exception) -> StoreDown:
    """With the driver's own words, and without a statement's values."""
    why = error.orig if isinstance(error, DBAPIError) else type(error).__name__
    return StoreDown(f"grants cannot be read or written: {why}")
