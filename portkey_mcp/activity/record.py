"""Takes note of calls as they end, and writes them a moment later: never in the way of one, never a reason to fail.

What waits is bounded: where writing cannot keep up, or the store is down for long, the oldest notes are dropped and
counted. What a crash may lose is what the last half second brought.
"""

import logging
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

import anyio
from sqlalchemy import delete, func, select

from portkey_mcp.activity.tables import CallRow
from portkey_mcp.storage.database import Database
from portkey_mcp.wire import dumps

log = logging.getLogger(__name__)

MOST_WAITING: Final = 10_000
"""Notes that wait to be written: three seconds of the busiest gateway, a few megabytes."""

BATCH: Final = 250
"""Rows of one transaction. What is made of them before they are written, 2 us each, keeps calls waiting."""

WRITE_EVERY: Final = 0.5
"""Seconds that notes are gathered before they are written."""

SWEEP_EVERY: Final = timedelta(hours=1)
KEPT_DAYS: Final = 30

LONGEST_NAME: Final = 1024
"""Characters of a name that are kept: it is the caller's to choose. No pattern of a policy is longer."""


class CallRecord(NamedTuple):
    """One request that used something: who, what, and how it ended; the columns of `CallRow`.

    `at` is when it began. `name` is the upstream's own, as policy decides on it: a tool's or prompt's name, or a URI.
    """

    at: datetime
    workspace: str
    principal: str
    principal_name: str
    kind: str
    role: str
    groups: tuple[str, ...]
    client: str
    address: str
    server: str
    method: str
    name: str
    outcome: str
    error: str
    duration_ms: float
    upstream_ms: float
    trace_id: str


_GROUPS: Final = CallRecord._fields.index("groups")

_INSERT: Final = (
    f"INSERT INTO calls ({', '.join(CallRecord._fields)}) "  # noqa: S608 - names of our own
    f"VALUES ({', '.join('?' * len(CallRecord._fields))})"
)
"""Written out, since what SQLAlchemy makes of a row costs five times as much as writing it."""


class Record:
    """The record that one process writes. Whoever made it keeps `run` running, and calls `flush` at the end."""

    def __init__(self, database: Database, *, kept_days: int = KEPT_DAYS, every: float = WRITE_EVERY) -> None:
        self.dropped = 0
        """Notes lost because too many waited."""
        self._database = database
        self._kept = timedelta(days=kept_days)
        self._every = every
        self._waiting: deque[CallRecord] = deque()
        self._noted = anyio.Event()
        self._one_flush = anyio.Lock()
        self._failing = False

    def note(self, call: CallRecord) -> None:
        """Take note of a call. Only remembers it: takes a microsecond, and cannot fail."""
        if len(call.name) > LONGEST_NAME:
            call = call._replace(name=call.name[:LONGEST_NAME])
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(call)
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
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                try:
                    await self._write(batch)
                except Exception as error:
                    self._put_back(batch)
                    self._say_failing(error)
                    return False
                if self._failing:
                    log.info("calls are recorded again")
                    self._failing = False
            return True

    async def sweep(self, now: datetime) -> int:
        """Delete what is older than the days it is kept; how many calls that were.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the store does not answer.
        """
        deleted = 0
        while some := await self._delete_oldest(now - self._kept):
            deleted += some
        return deleted

    async def _write(self, batch: Iterable[CallRecord]) -> None:
        rows = [_row(call) for call in batch]
        # Whole or not at all, whoever is cancelled meanwhile: a batch must neither be lost nor be written twice.
        with anyio.CancelScope(shield=True):
            async with self._database.write(announce=False) as session:
                await (await session.connection()).exec_driver_sql(_INSERT, rows)

    def _put_back(self, batch: list[CallRecord]) -> None:
        """In front of what came meanwhile; what is then too much is dropped, the oldest first."""
        room = MOST_WAITING - len(self._waiting)
        self.dropped += max(0, len(batch) - room)
        self._waiting.extendleft(islice(reversed(batch), max(0, room)))
        self._noted.set()

    def _say_failing(self, error: Exception) -> None:
        if not self._failing:
            log.warning("calls cannot be recorded just now (%s); they wait and are tried again", _why(error))
            self._failing = True

    async def _try_sweep(self) -> None:
        try:
            await self.sweep(datetime.now(UTC))
        except Exception as error:
            log.warning("old records of calls could not be deleted (%s)", _why(error))

    async def _delete_oldest(self, before: datetime) -> int:
        """Delete those of the first rows that are older.

        Rows are written nearly in the order of their time: nobody need look at all of them, and no writer waits long.
        """
        first = select(CallRow.id, CallRow.at).order_by(CallRow.id).limit(50 * BATCH).subquery()
        old = select(first.c.id).where(first.c.at < before)
        async with self._database.write(announce=False) as session:
            found = await session.scalar(select(func.count()).select_from(old.subquery()))
            await session.execute(delete(CallRow).where(CallRow.id.in_(old)))
            return found or 0


def _why(error: Exception) -> str:
    """The driver's own words, which quote no row; those of SQLAlchemy do."""
    return str(getattr(error, "orig", None) or type(error).__name__)


def _row(call: CallRecord) -> tuple[object, ...]:
    """The values as the driver takes them, in the order of the columns."""
    at = call.at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    row = (at, *call[1:_GROUPS], dumps(list(call.groups)).decode(), *call[_GROUPS + 1 :])
    # A lone surrogate, which JSON can bring, is no text that the store could hold.
    return tuple(
        value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) and not value.isascii() else value
        for value in row
    )
