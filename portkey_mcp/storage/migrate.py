"""Brings the schema up to date, on start: one process migrates, others that start with it wait and find it done."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError

from portkey_mcp.errors import Mistake

MIGRATIONS: Final = Path(__file__).parent / "migrations"

LONGEST_WAIT: Final = 300.0
"""Seconds to wait for another process that migrates; a migration that rewrites a big table takes its time."""


def migrate(path: Path) -> None:
    """Create or upgrade the SQLite file at `path`; does nothing when it is up to date. Blocks: run it in a thread.

    Raises:
        Mistake: the file was written by a newer version, or cannot be used.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)  # SQLite gives its other files the mode of this one
        with _alone(path.with_suffix(".lock")):
            _upgrade(path)
    except (OSError, sqlite3.Error, DBAPIError) as error:
        raise Mistake(f"the data directory {path.parent} cannot be used: {error}") from error


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock between processes. SQLite's own works on every system and ends with the process that holds it."""
    connection = sqlite3.connect(lock, timeout=LONGEST_WAIT, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        connection.close()


def _upgrade(path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    engine = create_engine(f"sqlite:///{path}")

    # Foreign keys stay off here: SQLite changes a table by copying it, and dropping the old one would cascade.
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.begin() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            if current == script.get_current_head():
                return
            if current is not None and current not in {known.revision for known in script.walk_revisions()}:
                raise Mistake(
                    f"{path} was written by a newer version of portkey-mcp (schema {current}); "
                    "install that version, or restore a copy made before"
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
