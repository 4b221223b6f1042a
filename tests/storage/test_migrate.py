"""The schema is brought up to date by whoever starts first, and is what the tables say."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import portkey_mcp.activity.tables
import portkey_mcp.approval.tables
import portkey_mcp.identity.tables
import portkey_mcp.oauth.tables
import portkey_mcp.registry.tables
import portkey_mcp.vault.tables
from portkey_mcp.errors import Mistake
from portkey_mcp.storage.database import FILE
from portkey_mcp.storage.migrate import KNOWN, MIGRATIONS, SCHEMA, migrate
from portkey_mcp.storage.tables import Base
from portkey_mcp.storage.upgrade import schema

OWNERS = (
    portkey_mcp.activity.tables,
    portkey_mcp.vault.tables,
    portkey_mcp.approval.tables,
    portkey_mcp.identity.tables,
    portkey_mcp.oauth.tables,
    portkey_mcp.registry.tables,
)
"""Imported so that the metadata knows every table."""


def test_migrations_make_exactly_the_tables_that_the_rooms_declare(tmp_path: Path) -> None:
    migrate(tmp_path / FILE)
    engine = create_engine(f"sqlite:///{tmp_path / FILE}")
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []
    finally:
        engine.dispose()


def test_a_new_database_is_what_the_migrations_make(tmp_path: Path) -> None:
    assert SCHEMA.read_text() == schema(), "run `python -m portkey_mcp.storage.upgrade --schema`"
    migrate(tmp_path / FILE)
    connection = sqlite3.connect(tmp_path / FILE)
    try:
        assert "".join(f"{line}\n" for line in connection.iterdump()) == schema()
    finally:
        connection.close()


def test_an_older_database_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / FILE
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.commit()
    connection.close()
    migrate(path)

    connection = sqlite3.connect(path)
    try:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(KNOWN[-1],)]
        assert connection.execute("SELECT number FROM revision").fetchall() == [(0,)]
    finally:
        connection.close()


def test_the_revisions_are_those_that_alembic_finds() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)

    assert sorted(known.revision for known in script.walk_revisions()) == KNOWN
    assert KNOWN[-1] == script.get_current_head()


def test_whoever_serves_does_not_load_alembic() -> None:
    script = "import sys, portkey_mcp.cli; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    migrate(tmp_path / FILE)
    before = (tmp_path / FILE).read_bytes()
    migrate(tmp_path / FILE)
    assert (tmp_path / FILE).read_bytes() == before


def test_three_processes_that_start_together_all_come_up(tmp_path: Path) -> None:
    script = "import sys, pathlib, portkey_mcp.storage.migrate as m; m.migrate(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", script, str(tmp_path / "data" / FILE)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [(b"", 0)] * 3
    connection = sqlite3.connect(tmp_path / "data" / FILE)
    try:
        assert connection.execute("SELECT number FROM revision").fetchall() == [(0,)]
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    finally:
        connection.close()


def test_a_database_from_a_newer_version_is_left_alone_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / FILE
    migrate(path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(Mistake) as wrong:
        migrate(path)
    assert str(wrong.value) == (
        f"{path} was written by a newer version of portkey-mcp (schema 9999); "
        "install that version, or restore a copy made before"
    )


def test_a_failed_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("CREATE TABLE servers (in_the_way)")
    connection.commit()
    connection.close()
    with pytest.raises(Mistake, match="servers already exists"):
        migrate(tmp_path / FILE)
    connection = sqlite3.connect(tmp_path / FILE)
    try:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("servers",)]
    finally:
        connection.close()


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Mistake, match=f"the data directory {tmp_path}/file cannot be used: "):
        migrate(tmp_path / "file" / FILE)


def test_a_file_that_is_no_database_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("no database at all, but long enough to be taken for one" * 20)
    with pytest.raises(Mistake, match="file is not a database"):
        migrate(tmp_path / FILE)


def test_migrations_travel_inside_the_package() -> None:
    assert (MIGRATIONS / "env.py").is_file()
    assert MIGRATIONS.is_relative_to(Path(portkey_mcp.registry.tables.__file__).parents[1])


def test_the_database_is_for_its_owner_only(tmp_path: Path) -> None:
    migrate(tmp_path / FILE)

    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
