"""The one database of a gateway: an embedded SQLite file in write-ahead mode, behind SQLAlchemy's asyncio layer.

Readers never wait. Writers take their lock when they begin (`BEGIN IMMEDIATE`), so that none fails half way because
another one wrote first. Knows no table but the revision counter.

Cancellation waits until a session is over: one that hits the driver while it works leaves a connection whose thread is
gone and whose end nobody awaits, and the event loop would never finish closing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import anyio
import anyio.to_thread
from sqlalchemy import Connection, event, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from portkey_mcp.storage.migrate import migrate
from portkey_mcp.storage.tables import RevisionRow

FILE: Final = "portkey.db"

PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",  # a power loss may cost the last commits, never the file
    "PRAGMA busy_timeout=5000",
    "PRAGMA foreign_keys=ON",
)

ASK_ANYWAY: Final = 5
"""Rounds without a change on disk after which the database is asked all the same: a file system may be lazy."""


class Database:
    """Sessions on the database in one data directory. `open` it; whoever opened it closes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = _engine(path)
        self._writer = self._engine.execution_options(portkey_writes=True)
        self._one_writer = anyio.Lock()
        self._written = anyio.Event()

    @classmethod
    async def open(cls, data: Path) -> Self:
        """Make the directory where needed, bring the schema up to date, and open.

        Raises:
            Mistake: the schema is newer than this version, or the directory cannot be used.
        """
        path = data / FILE
        await anyio.to_thread.run_sync(migrate, path)
        return cls(path)

    async def close(self) -> None:
        """Close every connection; sessions still open fail."""
        with anyio.CancelScope(shield=True):
            await self._engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one moment of the database and changes nothing."""
        with anyio.CancelScope(shield=True):
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def write(self, *, announce: bool = True) -> AsyncIterator[AsyncSession]:
        """One writing transaction: committed at the end, rolled back whole when the block raises.

        `announce` counts the revision up, so that every gateway on this database reads what it serves again; what
        no gateway serves from (records, times of last use) is written without.
        """
        async with self._one_writer:
            with anyio.CancelScope(shield=True):
                async with AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
                    yield session
                    if announce:
                        await session.execute(update(RevisionRow).values(number=RevisionRow.number + 1))
        if announce:
            self._written.set()
            self._written = anyio.Event()

    async def revision(self) -> int:
        """How often something was announced, by any process."""
        async with self.read() as session:
            return (await session.scalars(select(RevisionRow.number))).one()

    async def revisions(self, every: float = 1.0) -> AsyncIterator[int]:
        """The revision now, and then each time it changed; never ends.

        What this process writes is noticed at once, what others write within `every` seconds. Several writes may
        come as one change.
        """
        seen = -1
        while True:
            written, looks = self._written, self._looks()
            if (number := await self.revision()) != seen:
                seen = number
                yield number
                continue
            for _ in range(ASK_ANYWAY):
                with anyio.move_on_after(every):
                    await written.wait()
                if written.is_set() or self._looks() != looks:
                    break

    def _looks(self) -> list[tuple[int, int, int]]:
        """What changes on disk with every write of anybody: asking the database costs a hundred times as much."""
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        found = [file.stat() for file in files if file.exists()]
        return [(file.st_ino, file.st_size, file.st_mtime_ns) for file in found]


def _engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would come too late, and is never IMMEDIATE
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("portkey_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
