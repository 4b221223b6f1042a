"""Alembic's part: what the migrations make, and that they come as a whole or not at all."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from portkey_mcp.registry.document import parse_policy
from portkey_mcp.registry.tables import PolicyVersionRow
from portkey_mcp.storage.migrate import MIGRATIONS
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


def upgraded_to(path: Path, revision: str) -> None:
    """A database as an older version made it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_keys_of_before_there_were_people_are_nobodys_and_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    upgraded_to(path, "0002")
    key = ("key:1", "old", "ci", "digest", "member", "cli", "2026-01-01 00:00:00", None, None)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO workspaces (slug, name, origin) VALUES ('old', 'old', 'cli')")
        connection.execute("INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", key)
        connection.commit()
    upgrade(path)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM api_keys").fetchall() == [(*key, None, None, "")]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("DELETE FROM workspaces")
        assert connection.execute("SELECT * FROM api_keys").fetchall() == []
    assert "old_api_keys" not in tables(path)


def test_a_policy_of_before_there_were_versions_becomes_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    upgraded_to(path, "0001")
    with closing(sqlite3.connect(path)) as connection:
        rows = [("old", json.dumps({"rules": [{"match": "a/é*"}]}), "file"), ("none", None, "cli")]
        connection.executemany("INSERT INTO workspaces (slug, name, policy, origin) VALUES (?1, ?1, ?2, ?3)", rows)
        connection.commit()
    upgrade(path)

    engine = create_engine(f"sqlite:///{path}")
    with Session(engine) as session:
        [version] = session.scalars(select(PolicyVersionRow)).all()
    engine.dispose()
    assert (version.workspace, version.number, version.origin, version.at.tzinfo) == ("old", 1, "file", UTC)
    assert parse_policy(version.text, "f")[0].rules[0].match == ("a/é*",)
