"""Alembic's part: what the migrations make, and that they come as a whole or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from portkey_mcp.storage.upgrade import schema, upgrade


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_an_empty_file_gets_every_table(tmp_path: Path) -> None:
    upgrade(tmp_path / "a.db")

    assert {"revision", "workspaces", "servers", "api_keys", "alembic_version"} <= tables(tmp_path / "a.db")


def test_running_them_again_changes_nothing(tmp_path: Path) -> None:
    upgrade(tmp_path / "a.db")
    before = (tmp_path / "a.db").read_bytes()
    upgrade(tmp_path / "a.db")

    assert (tmp_path / "a.db").read_bytes() == before


def test_where_one_fails_none_is_applied(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("CREATE TABLE api_keys (in_the_way)")
        connection.commit()

    with pytest.raises(OperationalError, match="api_keys already exists"):
        upgrade(tmp_path / "a.db")
    assert tables(tmp_path / "a.db") == {"api_keys"}


def test_the_schema_is_sql_that_makes_the_same(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.executescript(schema())
        assert "".join(f"{line}\n" for line in connection.iterdump()) == schema()
