"""Catalogues of servers, kept between the lists of a hub: what it lists at once, and of a server that is down or slow.

A snapshot is *fresh* for a moment, or for as long as the server says, and is served. Then it is served while the
server is asked beside, one question at a time; and when it is old, never seen, or something happened that may have
changed it, the answer is waited for, though only while the server has earned it. A server that does not answer in
time delays nobody again until it does, or is heard of otherwise: its last good list is served, and its question goes
on beside.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import anyio
from anyio.abc import TaskGroup

from portkey_mcp.errors import ConnectNeeded, PortkeyError, brief
from portkey_mcp.gateway.freshness import Freshness
from portkey_mcp.gateway.lasting import Clock
from portkey_mcp.gateway.shelf import Shelf
from portkey_mcp.model import McpServer
from portkey_mcp.wire import dumps

log = logging.getLogger(__name__)

PATIENCE: Final = 2.0
"""Seconds a list waits for a server that has not been late before."""

FRESH: Final = 1.0
"""Seconds for which a server is not asked again, whatever it says of its lists."""

HELD: Final = 30.0
"""Seconds after which a list is no longer served while the server is asked beside."""

REMEMBERED, REMEMBERED_BYTES = 10_000, 128 * 1024 * 1024
"""Lists kept per process, and bytes of JSON in them; the longest unused go first."""


class Answer(NamedTuple):
    """What a server answered; `ttl` is for how many seconds it says that this is good, 0 when it does not say."""

    value: Any
    ttl: float = 0.0


Fetch = Callable[[], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A list as far as it is known. `known` False: never seen yet. `stale`: the server could not be asked.

    As long as nothing changed, `value` is the same object. `ends` is when it stops being good by the server's own
    word, on the clock of the snapshots.
    """

    value: Any
    known: bool
    stale: bool
    ends: float = 0.0
    needs: ConnectNeeded | None = None
    """Why there is no list, where that takes an account first."""


@dataclass(slots=True)
class _Entry:
    server: McpServer
    snapshot: Snapshot
    asked: int = -1
    """The moment (of `Freshness`) when what is known was asked for."""
    confirmed: float = 0.0
    late: int | None = None
    """The moment when it had not answered in time; None: it is not late."""
    failed: bool = False
    running: bool = False
    began: int = -1
    done: anyio.Event = field(default_factory=anyio.Event)


class Place(NamedTuple):
    """Which list: `what` of a server, asked for a principal. `party` is the one session or client it is asked by.

    Freshness is the party's alone, since a server may tell each session something else; the last good list of a
    server that is down is the principal's.
    """

    server: McpServer
    what: str
    era: str
    principal: str
    party: str


class Snapshots:
    """Keeps what lists looked like. `tasks` is the group that questions run in when nobody waits for them."""

    def __init__(self, tasks: TaskGroup, freshness: Freshness, clock: Clock = time.monotonic) -> None:
        self._tasks = tasks
        self._freshness = freshness
        self._clock = clock
        self._entries: Shelf[_Entry] = Shelf(REMEMBERED, REMEMBERED_BYTES)
        self._last: Shelf[Any] = Shelf(REMEMBERED, REMEMBERED_BYTES)

    def ready(self, place: Place, fetch: Fetch) -> Snapshot | None:
        """What may be served without waiting, None if nothing may; asks beside when it is time to."""
        server = place.server
        entry = self._entries.get((server.key, *place[1:]))
        if entry is None or entry.failed or self._is_late(place, entry) or not _same_server(entry.server, server):
            return None
        if entry.asked < self._freshness.latest(server.key, place.principal):
            return None
        now = self._clock()
        age = now - entry.confirmed
        if age < FRESH or now < entry.snapshot.ends:
            return entry.snapshot
        if age >= HELD:
            return None
        self._start(place, entry, fetch)
        return entry.snapshot

    async def get(self, place: Place, fetch: Fetch, *, anew: bool = False) -> Snapshot:
        """The newest there is, asked for if need be, or in any case if `anew`. Raises nothing."""
        if not anew and (found := self.ready(place, fetch)) is not None:
            return found
        entry = self._entry(place)
        if self._is_late(place, entry):
            self._start(place, entry, fetch)
            return Snapshot(entry.snapshot.value, entry.snapshot.known, stale=True)
        with anyio.move_on_after(PATIENCE) as waiting:
            await self._answered(place, entry, fetch)
        # What was answered in the very moment when patience ended has been answered.
        entry.late = self._freshness.now if waiting.cancelled_caught and entry.running else None
        if waiting.cancelled_caught or entry.failed:
            return Snapshot(entry.snapshot.value, entry.snapshot.known, stale=True)
        return entry.snapshot

    def _is_late(self, place: Place, entry: _Entry) -> bool:
        """Whether it did not answer in time, and nothing was heard of it since."""
        return entry.late is not None and entry.late >= self._freshness.heard(place.server.key, place.principal)

    def _entry(self, place: Place) -> _Entry:
        server = place.server
        key = (server.key, *place[1:])
        entry = self._entries.get(key)
        if entry is None:
            last = self._last.get(key[:-1])
            entry = _Entry(server, Snapshot(last, known=last is not None, stale=False))
            self._entries.put(key, entry)
        elif not _same_server(entry.server, server):
            # Another definition is another server: what the one before listed is not served in its name.
            entry.server, entry.snapshot = server, Snapshot(None, known=False, stale=False)
            entry.late, entry.failed = None, False
            self._last.drop(key[:-1])
            self._freshness.changed(server.key)
        return entry

    async def _answered(self, place: Place, entry: _Entry, fetch: Fetch) -> None:
        """Return when a question was answered, or failed, that was asked after the latest change.

        That one from before it failed says nothing: the change may be that the server is back.
        """
        latest = self._freshness.latest(place.server.key, place.principal)
        while True:
            self._start(place, entry, fetch)
            began, done = entry.began, entry.done
            await done.wait()
            if began >= latest:
                return

    def _start(self, place: Place, entry: _Entry, fetch: Fetch) -> None:
        if not entry.running:
            entry.running, entry.done, entry.began = True, anyio.Event(), self._freshness.now
            self._tasks.start_soon(self._ask, place, entry, fetch)

    async def _ask(self, place: Place, entry: _Entry, fetch: Fetch) -> None:
        failed = True
        try:
            answer = await fetch()
            self._keep(place, entry, answer)
            failed, entry.late = False, None
        except ConnectNeeded as needed:
            if _same_server(entry.server, place.server):
                _keep_need(entry, needed)
            failed, entry.late = False, None
        except (PortkeyError, TimeoutError) as error:
            log.info("no fresh list from %s: %s", place.server.key, brief(error))
        except Exception:
            # Nobody awaits this task; whatever happens here may not take the others with it.
            log.exception("a list from %s failed unexpectedly", place.server.key)
        finally:
            entry.failed, entry.running = failed, False
            entry.done.set()

    def _keep(self, place: Place, entry: _Entry, answer: Answer) -> None:
        if not _same_server(entry.server, place.server):
            return  # the server is defined anew since it was asked
        value, now, weight = answer.value, self._clock(), 0
        key = (place.server.key, *place[1:])
        last = self._last.get(key[:-1])
        if last is not None and _alike(last, value):
            value = last
        else:
            text = dumps(value)
            if entry.snapshot.known and text == dumps(entry.snapshot.value):
                value = entry.snapshot.value
            elif last is not None and text == dumps(last):
                value = last
            weight = 0 if value is last else len(text)
            self._last.put(key[:-1], value, len(text))
        self._entries.put(key, entry, weight + len(place.party))
        ends = now + answer.ttl if answer.ttl else 0.0
        entry.snapshot = Snapshot(value, known=True, stale=False, ends=ends)
        entry.asked, entry.confirmed = entry.began, now


def _keep_need(entry: _Entry, needed: ConnectNeeded) -> None:
    """Remember what is missing, to be asked for anew each time: once it is there, nobody shall wait to see it."""
    if entry.snapshot.needs != needed:
        entry.snapshot = Snapshot(None, known=False, stale=False, needs=needed)
    entry.asked = -1


def _same_server(one: McpServer, other: McpServer) -> bool:
    return one is other or one == other


def _alike(one: Any, other: Any) -> bool:
    """Whether two lists hold the very same things: what an unchanged answer gives."""
    if not isinstance(one, Sequence) or not isinstance(other, Sequence):
        return one is other
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
