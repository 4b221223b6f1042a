"""Moments keep their zone; constraints have names."""

from datetime import UTC, datetime, timedelta, timezone

from sqlalchemy import UniqueConstraint
from sqlalchemy.dialects import sqlite

from portkey_mcp.identity.tables import ApiKeyRow
from portkey_mcp.storage.tables import Base, Instant


def test_a_moment_comes_back_in_utc() -> None:
    there = datetime(2026, 7, 28, 12, tzinfo=timezone(timedelta(hours=2)))
    stored = Instant().process_bind_param(there, sqlite.dialect())
    assert stored == datetime(2026, 7, 28, 10)
    assert Instant().process_result_value(stored, sqlite.dialect()) == datetime(2026, 7, 28, 10, tzinfo=UTC)


def test_no_moment_stays_none() -> None:
    assert Instant().process_bind_param(None, sqlite.dialect()) is None
    assert Instant().process_result_value(None, sqlite.dialect()) is None


def test_constraints_have_names_that_a_migration_can_use() -> None:
    table = Base.metadata.tables[ApiKeyRow.__tablename__]
    named = {constraint.name for constraint in table.constraints if isinstance(constraint, UniqueConstraint)}
    assert named == {"uq_api_keys_workspace", "uq_api_keys_digest"}
