"""Brings the schema up to date, on start: one process migrates, others that start with it wait and find it done.

A new database is made from `schema.sql`, an older one by Alembic in a process of its own, see `storage/upgrade.py`.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from portkey_mcp.errors import Mistake

MIGRATIONS: Final = Path(__file__).parent / "migrations"

SCHEMA: Final = Path(__file__).parent / "schema.sql"
"""What all migrations together make, written by `python -m portkey_mcp.storage.upgrade --schema`."""

KNOWN: Final = sorted(file.name[1:5] for file in MIGRATIONS.glob("versions/m[0-9]*.py"))
"""The revisions there are, the newest last; their files are named by them."""

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
    except (OSError, sqlite3.Error) as error:
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
    current = _version(path)
    if current == KNOWN[-1]:
        return
    if current is not None and current not in KNOWN:
        raise Mistake(
            f"{path} was written by a newer version of portkey-mcp (schema {current}); "
            "install that version, or restore a copy made before"
        )
    if current is None and _is_empty(path):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(SCHEMA.read_text())
        return
    upgrade = [sys.executable, "-m", "portkey_mcp.storage.upgrade", str(path)]
    ended = subprocess.run(upgrade, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    if ended.returncode:
        raise sqlite3.OperationalError(ended.stderr.strip() or f"its migration ended with code {ended.returncode}")


def _version(path: Path) -> str | None:
    """The schema's revision; None where there is none yet."""
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if found is None else str(found[0])


def _is_empty(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
