"""Keeps acts: who did what that matters to security, from where, and why it was refused where it was.

`note` only remembers; writing is `Writing`'s. Acts that wait are never pushed out by later ones: whoever floods the
gateway loses their own. Names, ids and reasons only; nothing here could open anything.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import select, tuple_

from portkey_mcp.activity.acts import Act
from portkey_mcp.activity.sparing import Sparing
from portkey_mcp.activity.tables import ActRow
from portkey_mcp.activity.writing import WRITE_EVERY, Kind, Writing, instant, storable
from portkey_mcp.storage.database import Database
from portkey_mcp.wire import dumps

log = logging.getLogger(__name__)

MOST_WAITING: Final = 5_000
KEPT_DAYS: Final = 400
"""More than a year: what happened is often asked about long after."""

LONGEST: Final = 300
"""Characters that are kept of any text: much of it is a stranger's."""
MOST_DETAILS: Final = 20

LARGEST_PAGE: Final = 500


class ActRecord(NamedTuple):
    """One act as it is written; the columns of `ActRow`."""

    at: datetime
    workspace: str
    actor: str
    actor_name: str
    address: str
    act: str
    subject: str
    outcome: str
    why: str
    client: str
    detail: str


@dataclass(frozen=True, slots=True)
class Noted:
    """One act as it is read back. `actor` is the id of who did it, empty where nobody knows: then `actor_name` is what
    they called themselves."""

    id: int
    at: datetime
    workspace: str
    actor: str
    actor_name: str
    address: str
    act: str
    subject: str
    outcome: str
    why: str
    client: str
    detail: dict[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which acts are asked for; None: all. `who` is an id, or a name as it was then."""

    workspace: str | None = None
    act: str | None = None
    who: str | None = None
    outcome: str | None = None
    since: datetime | None = None


def _now() -> datetime:
    return datetime.now(UTC)


class Audit(Writing[ActRecord]):
    """The acts that one process notes, and all that anybody noted."""

    def __init__(
        self,
        database: Database,
        *,
        kept_days: int = KEPT_DAYS,
        every: float = WRITE_EVERY,
        most_waiting: int = MOST_WAITING,
        now: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__(
            database, Kind(ActRow, ActRecord._fields, "acts", kept_days, most_waiting, lost="newest"), every
        )
        self._now = now
        self._sparing = Sparing()
        self._left_out = 0

    def note(self, act: Act) -> None:
        """Take note of an act. Only remembers it: takes microseconds, and cannot fail."""
        now = self._now()
        if self._sparing.keeps(act, now):
            self.wait(_record(act, now))

    def values(self, note: ActRecord) -> tuple[object, ...]:
        return (instant(note.at), *note[1:])

    async def flush(self) -> bool:
        """Write all that waits; whether that was possible."""
        left_out = self._sparing.left_out
        if left_out > self._left_out:
            log.warning("%d refusals of strangers were not recorded: there were too many", left_out - self._left_out)
            self._left_out = left_out
        return await super().flush()

    async def recent(self, wanted: Wanted, *, before: int | None = None, limit: int = 100) -> list[Noted]:
        """The latest acts, the newest first, at most `limit` of them.

        `before` is the id of the last one of the page before; an id that is gone has nothing before it.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the store does not answer.
        """
        query = select(ActRow).order_by(ActRow.at.desc(), ActRow.id.desc()).limit(min(limit, LARGEST_PAGE))
        for column, value in (("workspace", wanted.workspace), ("act", wanted.act), ("outcome", wanted.outcome)):
            if value is not None:
                query = query.where(getattr(ActRow, column) == value)
        if wanted.who is not None:
            query = query.where((ActRow.actor == wanted.who) | (ActRow.actor_name == wanted.who))
        if wanted.since is not None:
            query = query.where(ActRow.at >= wanted.since)
        async with self._database.read() as session:
            if before is not None:
                last = await session.get(ActRow, before)
                if last is None:
                    return []
                query = query.where(tuple_(ActRow.at, ActRow.id) < (last.at, last.id))
            return [_noted(row) for row in await session.scalars(query)]


def _record(act: Act, now: datetime) -> ActRecord:
    who = act.who
    detail = {_text(name): _text(value) for name, value in list(act.detail.items())[:MOST_DETAILS]}
    return ActRecord(
        at=now,
        workspace=_text(act.workspace),
        actor="" if who is None else _text(who.id),
        actor_name=_text(act.actor if who is None else who.email or who.name),
        address=_text(act.address),
        act=act.act,
        subject=_text(act.subject),
        outcome=act.outcome,
        why=_text(act.why),
        client=_text(act.client or ("" if who is None else who.client)),
        detail=dumps(detail).decode(),
    )


def _text(value: object) -> str:
    return storable(str(value)[:LONGEST])


def _noted(row: ActRow) -> Noted:
    facts: dict[str, Any] = {name: getattr(row, name) for name in ActRecord._fields}
    return Noted(id=row.id, **{**facts, "detail": cast("dict[str, str]", row.detail)})
