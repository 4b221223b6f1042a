"""Brings an older database up to date with Alembic: `python -m portkey_mcp.storage.upgrade FILE`.

In a process of its own, since Alembic and what it brings weigh 11 MB, for moments in a year; the one that serves never
loads it. `--schema` writes `schema.sql`, which new databases are made from: to be done when a migration is added.
"""

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event

from portkey_mcp.storage.migrate import MIGRATIONS, SCHEMA


def upgrade(path: Path) -> None:
    """Run the migrations that the SQLite file at `path` lacks, all or none.

    Raises:
        sqlalchemy.exc.DBAPIError: one of them failed.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
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
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def schema() -> str:
    """What all migrations together make of an empty file, as SQL: tables and first rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "new.db")
        upgrade(path)
        with closing(sqlite3.connect(path)) as connection:
            return "".join(f"{line}\n" for line in connection.iterdump())


if __name__ == "__main__":
    try:
        if sys.argv[1] == "--schema":
            SCHEMA.write_text(schema())
        else:
            upgrade(Path(sys.argv[1]))
    except Exception as error:
        sys.exit(str(error))  # the last words, which whoever started this passes on
