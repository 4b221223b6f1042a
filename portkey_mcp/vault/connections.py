"""The store of connections: one row each, all that is secret in it sealed for exactly that row.

One that does not open (see `rows.py`) counts as ended, and says so; it never breaks a call.

Every credential has a generation of its own, also after a connection was dropped and made again: generations begin at
the clock's milliseconds and count up from there. Whoever renews holds the row's lease meanwhile, and writes only where
both lease and generation are still the same.
"""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, CursorResult, Result, delete, not_, or_, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Mistake, StoreDown
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.vault import rows
from portkey_mcp.vault.connection import Connection, Credential, Place
from portkey_mcp.vault.tables import ConnectionRow

log = logging.getLogger(__name__)

PERSON: Final = "person:"
"""How the ids of people begin; any other subject is no person that the gateway keeps."""

EMPTY_KEPT: Final = timedelta(days=1)
"""How long a row is kept that only carried the lease of a first credential, which never came."""


def _now() -> datetime:
    return datetime.now(UTC)


def _unheard(*_: object) -> None:
    """Nobody wants to know."""


class Connections:
    """All connections of the gateway. Several on one database see the same ones.

    `changed` is told at once of what this process connects, ends or drops; other processes learn it by the revision.
    `ended` is told, once among all processes, what ended by itself, and why.
    """

    def __init__(self, database: Database, keyring: KeyRing, now: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._keyring = keyring
        self._now = now
        self._unreadable: set[tuple[Place, int]] = set()
        self.changed: Callable[[Place], None] = _unheard
        self.ended: Callable[[Place, str], None] = _unheard

    async def find(self, place: Place) -> Connection | None:
        """The connection at a place, as it is now; None where there is none.

        Raises:
            StoreDown: nobody can say.
        """
        async with self._reading() as session:
            row = await session.get(ConnectionRow, place)
        return None if row is None or not row.sealed else self._opened(row)

    async def of_subject(self, subject: str) -> list[Connection]:
        """All that a principal connected for themselves, in the order of workspaces and servers.

        Raises:
            StoreDown: nobody can say.
        """
        return await self._all(ConnectionRow.subject == subject)

    async def of_workspace(self, workspace: str) -> list[Connection]:
        """All at servers of a workspace, by server.

        Raises:
            StoreDown: nobody can say.
        """
        return await self._all(ConnectionRow.workspace == workspace)

    async def keep(self, place: Place, credential: Credential, by: str) -> Connection:
        """An account was connected, `by` a principal: it replaces what was there, good or ended.

        Raises:
            Mistake: the server is gone.
            StoreDown: it could not be written.
        """
        now = self._now()
        async with self._writing(place) as session:
            before = await session.get(ConnectionRow, place)
            generation = max(rows.first(now), 0 if before is None else before.generation + 1)
            columns = {
                **rows.columns(self._keyring, place, credential, generation),
                "wanted": [],
                "connected_by": by,
                "created": now,
                "refreshed": None,
            }
            await session.execute(
                insert(ConnectionRow)
                .values(**rows.key(place), **columns)
                .on_conflict_do_update(index_elements=list(Place._fields), set_=columns)
            )
        self.changed(place)
        return Connection(place, credential, "good", generation, by, now)

    async def end(self, place: Place, generation: int, why: str) -> None:
        """It is good for nothing any more, and `why` says so to a person. Another generation is left as it is.

        Raises:
            StoreDown: it could not be written.
        """
        async with self._writing(place) as session:
            ended = await session.execute(
                update(ConnectionRow)
                .where(rows.at(place), ConnectionRow.generation == generation, ConnectionRow.state == "good")
                .values(state="ended", why=why, lease_holder="", lease_until=None)
            )
        self.changed(place)
        if _count(ended):
            self.ended(place, why)

    async def want(self, place: Place, scopes: Sequence[str]) -> None:
        """The server asked for scopes that the credential lacks: they are asked for when it is connected again.

        Raises:
            StoreDown: it could not be written.
        """
        async with self._writing(place, announce=False) as session:
            row = await session.get(ConnectionRow, place)
            if row is not None:
                row.wanted = sorted({*row.wanted, *scopes} - set(row.scopes))

    async def drop(self, place: Place) -> Connection | None:
        """Forget it. Returns what it was, so that its tokens can be revoked where they came from.

        Raises:
            StoreDown: it could not be written.
        """
        async with self._writing(place) as session:
            row = await session.get(ConnectionRow, place)
            if row is not None:
                await session.delete(row)
        self.changed(place)
        return None if row is None or not row.sealed else self._opened(row)

    async def tidy(self, people: Collection[str]) -> None:
        """Forget accounts of people who are gone, and rows that carried a lease and never got a credential.

        `people` are the ids of all that there are. Nothing is revoked where it came from: whoever removes a person in a
        hurry disconnects their accounts first.

        Raises:
            StoreDown: it could not be written.
        """
        over = self._now() - EMPTY_KEPT
        async with self._writing(announce=False) as session:
            await session.execute(delete(ConnectionRow).where(ConnectionRow.sealed == "", ConnectionRow.created < over))
            theirs = select(ConnectionRow.subject).where(ConnectionRow.subject.startswith(PERSON)).distinct()
            gone = set(await session.scalars(theirs)) - set(people)
            if gone:
                await session.execute(delete(ConnectionRow).where(ConnectionRow.subject.in_(gone)))

    async def lease(self, place: Place, generation: int | None, holder: str, seconds: float) -> bool:
        """Take the lease for renewing this very generation, or for the first one (None). False: somebody else has it,
        or there is another generation by now.

        Raises:
            Mistake: the server is gone.
            StoreDown: it could not be written.
        """
        now = self._now()
        free = or_(
            ConnectionRow.lease_until.is_(None), ConnectionRow.lease_until <= now, ConnectionRow.lease_holder == holder
        )
        async with self._reading() as session:  # readers never wait, and those who wait for the lease look often
            if await session.scalar(select(ConnectionRow.lease_holder).where(rows.at(place), not_(free))):
                return False
        same = ConnectionRow.sealed == "" if generation is None else ConnectionRow.generation == generation
        async with self._writing(place, announce=False) as session:
            if generation is None:
                await session.execute(insert(ConnectionRow).values(**rows.empty(place, now)).on_conflict_do_nothing())
            taken = await session.execute(
                update(ConnectionRow)
                .where(rows.at(place), same, free)
                .values(lease_holder=holder, lease_until=now + timedelta(seconds=seconds))
            )
        return _count(taken) == 1

    async def release(self, place: Place, holder: str) -> None:
        """Give the lease back without a new credential.

        Raises:
            StoreDown: it could not be written; the lease ends by itself.
        """
        async with self._writing(place, announce=False) as session:
            await session.execute(
                update(ConnectionRow)
                .where(rows.at(place), ConnectionRow.lease_holder == holder)
                .values(lease_holder="", lease_until=None)
            )

    async def replace(self, before: Connection | None, place: Place, credential: Credential, holder: str) -> bool:
        """Write what renewing brought, and give the lease back. False: the connection is another one by now, or gone,
        and nothing was written. Nothing is announced: what others have is still as good as it was.

        Raises:
            StoreDown: it could not be written.
        """
        now = self._now()
        same = ConnectionRow.sealed == "" if before is None else ConnectionRow.generation == before.generation
        async with self._writing(place, announce=False) as session:
            row = (await session.scalars(select(ConnectionRow).where(rows.at(place), same))).one_or_none()
            if row is None or row.lease_holder != holder:
                return False
            for name, value in rows.columns(self._keyring, place, credential, row.generation + 1).items():
                setattr(row, name, value)
            row.refreshed = now
        return True

    def _opened(self, row: ConnectionRow) -> Connection:
        connection, problem = rows.opened(self._keyring, row)
        told = (connection.place, connection.generation)
        if problem and told not in self._unreadable:  # once for each credential: calls ask again and again
            self._unreadable.add(told)
            log.warning("the account at %s/%s of %r does not open: %s", *connection.place, problem)
        return connection

    async def _all(self, which: ColumnElement[bool]) -> list[Connection]:
        key = (ConnectionRow.workspace, ConnectionRow.server, ConnectionRow.subject)
        async with self._reading() as session:
            found = await session.scalars(select(ConnectionRow).where(which, ConnectionRow.sealed != "").order_by(*key))
            return [self._opened(row) for row in found]

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncSession]:
        try:
            async with self._database.read() as session:
                yield session
        except (SQLAlchemyError, OSError) as error:
            raise _told(error) from None

    @asynccontextmanager
    async def _writing(self, place: Place | None = None, *, announce: bool = True) -> AsyncIterator[AsyncSession]:
        try:
            async with self._database.write(announce=announce) as session:
                yield session
        except IntegrityError as error:
            if place is None or "FOREIGN KEY" not in str(error.orig):
                raise _told(error) from None
            raise Mistake(f"workspace {place.workspace!r} has no server {place.server!r} any more") from None
        except (SQLAlchemyError, OSError) as error:
            raise _told(error) from None


def _told(error: SQLAlchemyError | OSError) -> StoreDown:
    """The driver's own words, without a statement's values."""
    why = error.orig if isinstance(error, DBAPIError) else type(error).__name__
    return StoreDown(f"accounts cannot be read or written: {why}")


def _count(result: Result[Any]) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
