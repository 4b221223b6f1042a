"""What all tables share, and the one table that storage owns. Every other table lives in the room that owns it."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, MetaData, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraints need known names, or no migration could change them."""


class Base(DeclarativeBase):
    """Base of every table of the package."""

    metadata = MetaData(naming_convention=NAMES)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC, with its zone on the Python side; SQLite itself would forget it."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


class RevisionRow(Base):
    """One row: how often what the gateway serves was written. A running gateway compares it to notice changes."""

    __tablename__ = "revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]


class CounterRow(Base):
    """What was used of one limit in one window. `starts` and `ends` in seconds since the epoch; see `counters.py`."""

    __tablename__ = "counters"

    key: Mapped[str] = mapped_column(primary_key=True)
    starts: Mapped[int] = mapped_column(primary_key=True)
    ends: Mapped[int] = mapped_column(index=True)
    used: Mapped[int]


class LeaseRow(Base):
    """One call under way that a limit on concurrency counts, good `until` then unless its `holder` renews it."""

    __tablename__ = "leases"

    id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(index=True)
    holder: Mapped[str]
    until: Mapped[int]
