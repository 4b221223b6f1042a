"""The tables `counters` and `leases`: a batch of requests is read, decided in memory and written in one transaction.

Blocks, and belongs to one thread; `counters.py` has that thread. However many calls a batch decides, it is a handful of
statements: each of them gives the interpreter's lock away and has to wait for it again, which would cost more than
SQLite itself does.
"""

import json
import math
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from portkey_mcp.model import Exhausted, Take, Taken

LEASE: Final = 30
"""Seconds that a lease is good for after it was last renewed: what a process that was killed can hold up others."""

RENEW: Final = 10
"""Seconds after which leases are renewed: two renewals may fail before one ends."""

SWEEP: Final = 3600
"""Seconds after which old rows are looked for."""

KEPT: Final = 86_400
"""Seconds that a counter is kept after its window: a clock set back within that finds its counts again."""

_STANDING = """
SELECT json_group_array((SELECT used FROM counters
                         WHERE key = json_extract(value, '$[0]') AND starts = json_extract(value, '$[1]')))
FROM json_each(?)"""

_UNDER_WAY = """
SELECT json_group_array((SELECT count(*) FROM leases WHERE key = value AND until > ?)) FROM json_each(?)"""

_COUNT = """
INSERT INTO counters (key, starts, ends, used)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),
       json_extract(value, '$[2]'), json_extract(value, '$[3]')
FROM json_each(?) WHERE true ON CONFLICT (key, starts) DO UPDATE SET used = excluded.used"""

_LEASE = """
INSERT INTO leases (id, key, holder, until)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), ?, ?
FROM json_each(?) WHERE true ON CONFLICT (id) DO UPDATE SET until = excluded.until"""

_END = "DELETE FROM leases WHERE id IN (SELECT value FROM json_each(?))"

Place = tuple[str, int]
"""A counter: its key and when its window starts; 0 for calls under way."""

Answer = Taken | Exhausted | tuple[int, ...]


class Unsure(Exception):
    """The transaction was to be committed and that failed: what it wrote may still come to light after a power loss."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one call asks: to take all of these or none, or (`counts` false) only what they stand at."""

    takes: tuple[Take, ...]
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Back:
    """What one call gives back: its leases, and with `refund` what it was counted with."""

    taken: Taken
    refund: bool


class Ledger:
    """Counters and leases in the SQLite file at `path`, which has its schema already. `holder` names these leases."""

    def __init__(self, path: Path, holder: str, busy: float) -> None:
        self._path, self._holder, self._busy = path, holder, busy
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._held: dict[str, str] = {}
        self._renewed = self._swept = -math.inf
        self._issued = 0

    def must_renew(self, now: float) -> bool:
        """Whether leases are to be renewed, though nobody may ask anything."""
        # A clock that is set back is no reason to wait until it has caught up.
        return bool(self._held) and abs(now - self._renewed) >= RENEW

    def settle(self, now: float, backs: Sequence[Back], asks: Sequence[Ask]) -> list[Answer]:
        """Write what is given back, then answer each in turn; when it returns, all of it is on the disk.

        Raises:
            sqlite3.Error, OSError: nothing was written.
            Unsure: see there.
        """
        ended = [lease for back in backs for lease in back.taken.leases]
        for lease in ended:
            self._held.pop(lease, None)
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            renews = self.must_renew(now)
            self._care(connection, now, ended, renews=renews)
            batch = _Batch(connection, now, backs, asks)
            answers = [self._answer(batch, ask) for ask in asks]
            batch.write(self._holder, _until(now))
        except BaseException:
            self.close()
            raise
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.close()
            raise Unsure(str(error)) from error
        self._held.update(batch.leases)
        self._renewed = now if renews else self._renewed
        return answers

    def leave(self) -> None:
        """End every lease of this holder.

        Raises:
            sqlite3.Error, OSError: they end by themselves, after `LEASE` seconds.
        """
        if self._held:
            self._open().execute(_END, (json.dumps(list(self._held)),))
            self._held.clear()

    def close(self) -> None:
        """Close the file; what is not committed is undone. It opens again when it is needed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        """The connection to the file that is there now: one that was deleted or replaced would count for nobody."""
        found = os.stat(self._path)
        if self._connection is None or self._file != (found.st_dev, found.st_ino):
            self.close()
            self._connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=self._busy, isolation_level=None
            )
            self._file = found.st_dev, found.st_ino
            # What was answered must survive a power loss, so every commit waits for the disk.
            self._connection.execute("PRAGMA synchronous=FULL")
        return self._connection

    def _care(self, connection: sqlite3.Connection, now: float, ended: list[str], *, renews: bool) -> None:
        """End and renew leases before anything is counted: calls under way count, however late this comes."""
        if ended:
            connection.execute(_END, (json.dumps(ended),))
        if renews:
            connection.execute(_LEASE, (self._holder, _until(now), json.dumps(list(self._held.items()))))
        if abs(now - self._swept) >= SWEEP:
            connection.execute("DELETE FROM leases WHERE until <= ?", (now,))
            connection.execute("DELETE FROM counters WHERE ends < ?", (now - KEPT,))
            self._swept = now

    def _answer(self, batch: "_Batch", ask: Ask) -> Answer:
        if not ask.counts:
            return tuple(batch.standing[_place(take)] for take in ask.takes)
        found = batch.add(ask.takes)
        if isinstance(found, Exhausted):
            return found
        leases = []
        for take in ask.takes:
            if take.concurrent:
                self._issued += 1
                leases.append(f"{self._holder}-{self._issued}")
                batch.leases[leases[-1]] = take.key
        return Taken(ask.takes, found, tuple(leases))


class _Batch:
    """The counters that one batch is about: read once, changed in memory, written once."""

    def __init__(self, connection: sqlite3.Connection, now: float, backs: Sequence[Back], asks: Sequence[Ask]) -> None:
        self._connection = connection
        self.leases: dict[str, str] = {}
        self._changed: dict[Place, int] = {}
        """When the windows end whose counters are to be written."""
        refunds = [take for back in backs if back.refund for take in back.taken.takes if not take.concurrent]
        self.standing = self._read(now, [*refunds, *(take for ask in asks for take in ask.takes)])
        for take in refunds:
            place = _place(take)
            if self.standing[place]:
                self.standing[place] = max(0, self.standing[place] - take.cost)
                self._changed[place] = take.ends

    def _read(self, now: float, takes: Iterable[Take]) -> dict[Place, int]:
        places = dict.fromkeys(_place(take) for take in takes)
        windows = [place for place in places if place[1]]
        keys = [place[0] for place in places if not place[1]]
        standing: dict[Place, int] = {}
        if windows:
            counts = self._column(_STANDING, json.dumps(windows))
            standing.update((place, count or 0) for place, count in zip(windows, counts, strict=True))
        if keys:
            counts = self._column(_UNDER_WAY, now, json.dumps(keys))
            standing.update(((key, 0), count) for key, count in zip(keys, counts, strict=True))
        return standing

    def _column(self, statement: str, *values: Any) -> list[Any]:
        (text,) = self._connection.execute(statement, values).fetchone()
        column = json.loads(text)
        assert isinstance(column, list)
        return column

    def add(self, takes: Sequence[Take]) -> Exhausted | tuple[int, ...]:
        """Add all of these or none; what each stands at then."""
        after: dict[Place, int] = {}
        used: list[int] = []
        over: list[Take] = []
        for take in takes:
            place = _place(take)
            after[place] = after.get(place, self.standing[place]) + take.cost
            used.append(after[place])
            if after[place] > take.limit:
                over.append(take)
        if over:
            return Exhausted(tuple(over), tuple(self.standing[_place(take)] for take in over))
        self.standing.update(after)
        self._changed.update((_place(take), take.ends) for take in takes if not take.concurrent)
        return tuple(used)

    def write(self, holder: str, until: int) -> None:
        if self._changed:
            rows = [(key, starts, ends, self.standing[key, starts]) for (key, starts), ends in self._changed.items()]
            self._connection.execute(_COUNT, (json.dumps(rows),))
        if self.leases:
            self._connection.execute(_LEASE, (holder, until, json.dumps(list(self.leases.items()))))


def _place(take: Take) -> Place:
    return take.key, take.starts


def _until(now: float) -> int:
    return math.ceil(now) + LEASE
