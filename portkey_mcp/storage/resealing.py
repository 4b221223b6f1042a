"""Sealing anew, with the key that seals now, what rests sealed in the database, while gateways use it.

Each room says of its own tables what their seals are bound to. A value is written only where it is still the one that
was read: what anybody changes meanwhile stays theirs, and is found by the next pass if it was sealed with an old key.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, func, not_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.sealing import KeyRing, Unsealable, key_of
from portkey_mcp.storage.database import Database
from portkey_mcp.storage.tables import Base

AT_ONCE: Final = 50
"""Rows in one transaction: others who write wait for some milliseconds at most."""

HEAD: Final = 40
"""Characters of an envelope in which its key is named."""

Row = Any
"""A row of a table with a column `sealed`; empty there means that nothing is."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A table with a column `sealed`, and what the seal of one of its rows is bound to."""

    table: type[Base]
    binding: Callable[[Row], str]

    @property
    def name(self) -> str:
        """What rests there, as the table is called."""
        return str(self.table.__tablename__)


@dataclass(frozen=True, slots=True)
class Pass:
    """How far one pass over a table is, or was: values sealed anew, and those that nobody can open any more."""

    name: str
    resealed: int = 0
    unreadable: int = 0


async def held(database: Database, places: Sequence[Sealed]) -> Mapping[str, Counter[str]]:
    """How many values each key holds closed, by key id and then by table; the id is empty for what is no envelope."""
    async with database.read() as session:
        return await counted(session, places)


async def counted(session: AsyncSession, places: Sequence[Sealed]) -> Mapping[str, Counter[str]]:
    """The same in a transaction of the caller's."""
    found: dict[str, Counter[str]] = {}
    for place in places:
        sealed = _sealed(place)
        for head in await session.scalars(select(func.substr(sealed, 1, HEAD)).where(sealed != "")):
            found.setdefault(key_of(head), Counter())[place.name] += 1
    return found


async def reseal(database: Database, keyring: KeyRing, place: Sealed) -> AsyncIterator[Pass]:
    """Seal a table's values anew that another key than the first one holds; yields how far it is, at least once."""
    done = Pass(place.name)
    keys = await _others(database, keyring, place)
    for begin in range(0, len(keys), AT_ONCE):
        resealed, unreadable = await _some(database, keyring, place, keys[begin : begin + AT_ONCE])
        done = Pass(place.name, done.resealed + resealed, done.unreadable + unreadable)
        yield done
    if not keys:
        yield done


async def _others(database: Database, keyring: KeyRing, place: Sealed) -> Sequence[tuple[Any, ...]]:
    """The primary keys of rows that the first key did not seal."""
    sealed, current = _sealed(place), keyring.seal(b"", "").rpartition(".")[0]
    async with database.read() as session:
        mine = func.substr(sealed, 1, len(current) + 1) == f"{current}."
        found = await session.execute(select(*_key(place)).where(sealed != "", not_(mine)))
        return [tuple(row) for row in found]


async def _some(
    database: Database, keyring: KeyRing, place: Sealed, keys: Sequence[tuple[Any, ...]]
) -> tuple[int, int]:
    """Seal a few rows anew. How many were, and how many do not open."""
    anew: list[tuple[tuple[Any, ...], str, str]] = []
    unreadable = 0
    async with database.read() as session:
        rows = [(key, await session.get(place.table, key)) for key in keys]
    for key, row in rows:
        before = "" if row is None else str(getattr(row, "sealed", ""))
        if not before or keyring.is_current(before):
            continue
        bound = place.binding(row)
        try:
            anew.append((key, before, keyring.seal(keyring.open(before, bound), bound)))
        except Unsealable:
            unreadable += 1
    if not anew:
        return 0, unreadable
    written = 0
    async with database.write(announce=False) as session:
        for key, before, after in anew:
            same = and_(*(column == value for column, value in zip(_key(place), key, strict=True)))
            changed = await session.execute(
                update(place.table)
                .where(same, _sealed(place) == before)
                .values(sealed=after)
                .returning(_sealed(place))
                .execution_options(synchronize_session=False)
            )
            written += len(changed.all())
    return written, unreadable


def _sealed(place: Sealed) -> Any:
    return place.table.__table__.c["sealed"]


def _key(place: Sealed) -> list[Any]:
    return list(place.table.__table__.primary_key)
