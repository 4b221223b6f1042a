"""Browser sessions: what keeps a person signed in, kept here and not in the browser.

A browser holds a random value of 256 bits and the database its SHA-256, so that a stolen database opens nothing. Each
sign-in makes a new one; none is ever taken over from a browser. Knows neither passwords nor what a person may do, and
nothing of HTTP. Fails closed: what the store cannot say is `StoreDown`, never a session.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from portkey_mcp.errors import StoreDown
from portkey_mcp.identity.tables import BrowserSessionRow
from portkey_mcp.storage.database import Database

LIFE: Final = timedelta(days=30)
"""After this a person signs in anew, however busy the browser was."""

IDLE: Final = timedelta(days=7)
"""A browser that was not seen for this long is signed out."""

KNOWN_FOR: Final = timedelta(seconds=5)
"""How long a session that was found is believed without asking the database again, unless `forget` comes before."""

MOST_KNOWN: Final = 10_000
"""Sessions held in memory; one more, and all are looked up again."""

MOST_EACH: Final = 50
"""Browsers one person may be signed in with; one more, and the one that was not seen for the longest is signed out."""

RANDOM_BYTES: Final = 32
COOKIE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""What a value of ours looks like; for anything else the database is not asked."""

LONGEST_AGENT: Final = 200
"""Characters of what a browser calls itself; it is only shown."""


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """What a person may see of a session of theirs. `agent` is what the browser called itself: a stranger's words."""

    id: str
    created: datetime
    last_seen: datetime
    agent: str
    address: str
    is_this: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """Believed until `believed`, and over at `ends`. Idle it cannot be: it was seen when it was looked up."""

    person: str
    ends: datetime
    believed: datetime


def _now() -> datetime:
    return datetime.now(UTC)


class BrowserSessions:
    """Begins, finds and ends browser sessions. Several on one database see the same ones."""

    def __init__(self, database: Database, now: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._now = now
        self._known: dict[str, _Known] = {}
        self._seen: dict[str, datetime] = {}
        self._round = 0

    async def begin(self, person: str, agent: str, address: str) -> str:
        """Sign a browser in; returns the value for its cookie, the only time that it is seen.

        `agent` is what the browser calls itself, `address` where it is; both are shown to the person.

        Raises:
            StoreDown: it cannot be kept.
        """
        value, now = secrets.token_urlsafe(RANDOM_BYTES), self._now()
        row = BrowserSessionRow(
            id=f"browser:{secrets.token_hex(8)}",
            person=person,
            digest=_digest(value),
            created=now,
            last_seen=now,
            agent=agent[:LONGEST_AGENT],
            address=address,
        )
        mine = select(BrowserSessionRow).filter_by(person=person).order_by(BrowserSessionRow.last_seen.desc())
        with _told():
            async with self._database.write(announce=False) as session:
                for old in await session.scalars(mine.offset(MOST_EACH - 1)):
                    await session.delete(old)
                session.add(row)
        return value

    async def find(self, value: str) -> str | None:
        """The id of the person whose browser sent this value; None when that is nobody's, or not any more.

        Raises:
            StoreDown: nobody can say.
        """
        if not COOKIE.fullmatch(value):
            return None
        digest, now = _digest(value), self._now()
        known = self._known.get(digest)
        if known is None or known.believed <= now:
            known = await self._look(digest, now)
        if known is None or known.ends <= now:
            return None
        self._seen[digest] = now
        return known.person

    async def end(self, value: str) -> None:
        """Sign a browser out: here at once, in other processes as soon as they see the new revision.

        Raises:
            StoreDown: it cannot be written, and the session goes on.
        """
        if COOKIE.fullmatch(value):
            await self._end(digest=_digest(value))

    async def end_all(self, person: str) -> None:
        """Sign all browsers of a person out; see `end`."""
        await self._end(person=person)

    async def all(self, person: str, value: str = "") -> list[BrowserSession]:
        """The sessions of a person, the one that was seen last first; `value` is that of the browser that asks.

        Raises:
            StoreDown: they cannot be read.
        """
        this, now = _digest(value), self._now()
        with _told():
            async with self._database.read() as session:
                rows = (await session.scalars(select(BrowserSessionRow).filter_by(person=person))).all()
        alive = [self._shown(row, this) for row in rows if self._is_alive(row, now)]
        return sorted(alive, key=lambda one: (one.is_this, one.last_seen), reverse=True)

    def forget(self) -> None:
        """Believe nothing that is held in memory; to be called when the database's revision has changed."""
        self._round += 1
        self._known.clear()

    async def record_use(self) -> None:
        """Write when browsers were last seen; to be called once a minute and at the end, never per request.

        Raises:
            StoreDown: it cannot be written; it is kept for the next time.
        """
        seen = dict(self._seen)
        if not seen:
            return
        with _told():
            async with self._database.write(announce=False) as session:
                for digest, moment in seen.items():
                    older = update(BrowserSessionRow).where(
                        BrowserSessionRow.digest == digest, BrowserSessionRow.last_seen < moment
                    )
                    await session.execute(older.values(last_seen=moment))
        for digest, moment in seen.items():
            if self._seen.get(digest) == moment:
                del self._seen[digest]

    async def tidy(self) -> None:
        """Forget sessions that are over.

        Raises:
            StoreDown: it cannot be written; to be tried again later.
        """
        await self.record_use()
        now = self._now()
        over = or_(BrowserSessionRow.created <= now - LIFE, BrowserSessionRow.last_seen <= now - IDLE)
        with _told():
            async with self._database.write(announce=False) as session:
                await session.execute(delete(BrowserSessionRow).where(over))

    async def _look(self, digest: str, now: datetime) -> _Known | None:
        """Ask the database. Where something was ended meanwhile, the answer is not kept: it may be that of before."""
        begun = self._round
        with _told():
            async with self._database.read() as session:
                row = await session.scalar(select(BrowserSessionRow).filter_by(digest=digest))
        if row is None or not self._is_alive(row, now):
            self._known.pop(digest, None)
            return None
        known = _Known(row.person, row.created + LIFE, now + KNOWN_FOR)
        if self._round == begun:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[digest] = known
        return known

    async def _end(self, **whose: str) -> None:
        """Delete what there is. Without any, nothing is announced: strangers could make every gateway read anew."""
        with _told():
            async with self._database.read() as session:
                if await session.scalar(select(BrowserSessionRow.id).filter_by(**whose).limit(1)) is None:
                    return
            async with self._database.write() as session:
                await session.execute(delete(BrowserSessionRow).filter_by(**whose))
        self.forget()

    def _is_alive(self, row: BrowserSessionRow, now: datetime) -> bool:
        return now < row.created + LIFE and now < self._last_seen(row) + IDLE

    def _last_seen(self, row: BrowserSessionRow) -> datetime:
        return max(row.last_seen, self._seen.get(row.digest, row.last_seen))

    def _shown(self, row: BrowserSessionRow, this: str) -> BrowserSession:
        return BrowserSession(row.id, row.created, self._last_seen(row), row.agent, row.address, row.digest == this)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def _told() -> Iterator[None]:
    """Tell of a store that fails as `StoreDown`, with the driver's own words and without a statement's values."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        why = error.orig if isinstance(error, DBAPIError) else type(error).__name__
        raise StoreDown(f"browser sessions cannot be read or written: {why}") from None
