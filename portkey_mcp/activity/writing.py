"""Notes that wait a moment and are then written in batches: in nobody's way, and never a reason to fail.

What waits is bounded: where writing cannot keep up, or the store is down for long, notes are lost, counted and told in
the log. What a crash may lose is what the last half second brought.
"""

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import anyio
from sqlalchemy import delete, func, select

from portkey_mcp.activity.tables import ActRow, CallRow
from portkey_mcp.storage.database import Database

log = logging.getLogger(__name__)

BATCH: Final = 250
"""Rows of one transaction. What is made of them before they are written, 2 us each, keeps calls waiting."""

WRITE_EVERY: Final = 0.5
"""Seconds that notes are gathered before they are written."""

SWEEP_EVERY: Final = timedelta(hours=1)

T = TypeVar("T")
"""What one note is."""


class Kind(NamedTuple):
    """What is written: rows of `table` with these `columns`, in a log called `name`, kept for `days`.

    At most `most` wait; of more, the `lost` ones are.
    """

    table: type[CallRow] | type[ActRow]
    columns: Sequence[str]
    name: str
    days: int
    most: int
    lost: Literal["oldest", "newest"]


class Writing(ABC, Generic[T]):
    """What one process writes of one kind. Whoever made it keeps `run` running, and calls `flush` at the end."""

    def __init__(self, database: Database, kind: Kind, every: float = WRITE_EVERY) -> None:
        self.dropped = 0
        """Notes lost because too many waited."""
        self._database = database
        self._kind = kind
        self._every = every
        self._insert = _insert(kind)
        self._waiting: deque[T] = deque()
        self._noted = anyio.Event()
        self._one_flush = anyio.Lock()
        self._failing = False
        self._told = 0

    @abstractmethod
    def values(self, note: T) -> tuple[object, ...]:
        """A note as the driver takes it, in the order of the columns; each kind has its own."""

    def wait(self, note: T) -> None:
        """Let a note wait to be written. Takes a microsecond, and cannot fail."""
        if len(self._waiting) >= self._kind.most:
            self.dropped += 1
            if self._kind.lost == "newest":
                return
            self._waiting.popleft()
        self._waiting.append(note)
        self._noted.set()

    async def run(self) -> None:
        """Write what was noted, again and again, and forget what is old; never ends, and never fails."""
        swept = datetime.min.replace(tzinfo=UTC)
        while True:
            if datetime.now(UTC) - swept >= SWEEP_EVERY:
                swept = datetime.now(UTC)
                await self._try_sweep()
            with anyio.move_on_after(SWEEP_EVERY.total_seconds()):
                await self._noted.wait()
                await anyio.sleep(self._every)
            await self.flush()

    async def flush(self) -> bool:
        """Write all that waits; whether that was possible. What could not be written waits on."""
        async with self._one_flush:
            if self._noted.is_set():
                self._noted = anyio.Event()
            self._tell_lost()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                try:
                    await self._write(batch)
                except Exception as error:
                    self._put_back(batch)
                    self._say_failing(error)
                    return False
                if self._failing:
                    log.info("%s are recorded again", self._kind.name)
                    self._failing = False
            return True

    async def sweep(self, now: datetime) -> int:
        """Delete what is older than the days it is kept; how many rows that were.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the store does not answer.
        """
        deleted, before = 0, now - timedelta(days=self._kind.days)
        while some := await self._delete_oldest(before):
            deleted += some
        return deleted

    async def _write(self, batch: Iterable[T]) -> None:
        rows = [self.values(note) for note in batch]
        # Whole or not at all, whoever is cancelled meanwhile: a batch must neither be lost nor be written twice.
        with anyio.CancelScope(shield=True):
            async with self._database.write(announce=False) as session:
                await (await session.connection()).exec_driver_sql(self._insert, rows)

    def _put_back(self, batch: list[T]) -> None:
        """In front of what came meanwhile; of what is then too much, the oldest or the newest is lost."""
        self._waiting.extendleft(reversed(batch))
        while len(self._waiting) > self._kind.most:
            self.dropped += 1
            self._waiting.popleft() if self._kind.lost == "oldest" else self._waiting.pop()
        self._noted.set()

    def _say_failing(self, error: Exception) -> None:
        if not self._failing:
            log.warning(
                "%s cannot be recorded just now (%s); they wait and are tried again", self._kind.name, _why(error)
            )
            self._failing = True

    def _tell_lost(self) -> None:
        if self.dropped > self._told:
            log.warning("%d %s were lost: too many waited to be recorded", self.dropped - self._told, self._kind.name)
            self._told = self.dropped

    async def _try_sweep(self) -> None:
        try:
            await self.sweep(datetime.now(UTC))
        except Exception as error:
            log.warning("old records of %s could not be deleted (%s)", self._kind.name, _why(error))

    async def _delete_oldest(self, before: datetime) -> int:
        """Delete those of the first rows that are older.

        Rows are written nearly in the order of their time: nobody need look at all of them, and no writer waits long.
        """
        table: Any = self._kind.table
        first = select(table.id, table.at).order_by(table.id).limit(50 * BATCH).subquery()
        old = select(first.c.id).where(first.c.at < before)
        async with self._database.write(announce=False) as session:
            found = await session.scalar(select(func.count()).select_from(old.subquery()))
            await session.execute(delete(table).where(table.id.in_(old)))
            return found or 0


def instant(moment: datetime) -> str:
    """A moment as the store keeps it."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def storable(text: str) -> str:
    """The text, but for a lone surrogate, which JSON can bring and no store could hold: that is written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _insert(kind: Kind) -> str:
    """Written out, since what SQLAlchemy makes of a row costs five times as much as writing it."""
    marks = ", ".join("?" * len(kind.columns))
    return f"INSERT INTO {kind.table.__tablename__} ({', '.join(kind.columns)}) VALUES ({marks})"  # noqa: S608 - ours


def _why(error: Exception) -> str:
    """The driver's own words, which quote no row; those of SQLAlchemy do."""
    return str(getattr(error, "orig", None) or type(error).__name__)
