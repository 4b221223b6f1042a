"""Usage counters in the gateway's SQLite file, exact for every process that has it open.

One thread has a connection of its own. It takes everything that waits into one transaction, decides each in turn, and
wakes who asked when that is on the disk. So a crash, kill -9 or power loss loses nothing that was answered. It can keep
counts that were not: those of calls that were being decided when it came. Leases of a process that is gone end by
themselves, after `ledger.LEASE` seconds.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from secrets import token_hex
from sqlite3 import Error as SqliteError
from types import TracebackType
from typing import Any, Final, Self

import anyio
import anyio.to_thread

from portkey_mcp.errors import StoreDown
from portkey_mcp.model import Exhausted, Take, Taken
from portkey_mcp.storage.ledger import RENEW, Answer, Ask, Back, Ledger, Unsure

MOST: Final = 1000
"""Requests decided in one transaction; others on this file wait for its end."""

BUSY: Final = 5.0
"""Seconds to wait for another writer before the store counts as down."""

PATIENCE: Final = 0.002
"""Seconds that an event loop lets its requests wait before it gives way, and between doing so; most take a quarter."""

PAUSE: Final = 0.000_05
"""Seconds that a loop stands still to give way. A loop under load lets go of the interpreter's lock only for
microseconds, and a thread that wakes up for it comes too late, again and again: without a pause some requests took
seconds beside a loop that never rested, with it 20 ms (2026-11-24, two cores). It costs that loop five per cent, only
while somebody waits for longer than `PATIENCE`."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """One request and who waits for it. `taken` is what it took, as long as that may have to be given back."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    wants: Ask | Back
    abandoned: bool = False
    taken: Taken | None = None


@dataclass(frozen=True, slots=True)
class _Abandoned:
    """Nobody waits for this request any more: whatever it took is to be given back."""

    request: _Waiting


@dataclass(frozen=True, slots=True)
class _Stop:
    """Nothing comes after this."""


class SqliteCounter:
    """Fulfils `policy.limits.Counter`. `start` it, and `close` it when no call is under way; or use `async with`.

    `clock` is what leases end by, in seconds since the epoch; `busy` and `every` (how often leases are looked after
    when nobody asks) are in seconds.
    """

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.time, *, busy: float = BUSY, every: float = RENEW
    ) -> None:
        self._clock, self._every = clock, every
        self._ledger = Ledger(path, token_hex(8), busy)
        self._queue: SimpleQueue[_Waiting | _Abandoned | _Stop] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="portkey-counters", daemon=True)
        self._door = threading.Lock()
        self._is_open = False
        self._owed: list[Back] = []
        self._last: _Waiting | None = None
        self._yielding: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to answer. A counter is started once."""
        self._thread.start()
        self._is_open = True

    async def close(self) -> None:
        """Answer what was asked, end the leases that are left, and let go of the file. Later requests fail."""
        with self._door:
            if not self._is_open:
                return
            self._is_open = False
            self._queue.put(_Stop())
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def take(self, takes: Sequence[Take]) -> Taken | Exhausted:
        """Take all of these or none. Who is cancelled meanwhile has taken nothing.

        Raises:
            StoreDown: nothing was taken.
        """
        if not takes:
            return Taken((), ())
        request = self._put(Ask(tuple(takes)))
        try:
            taken: Taken | Exhausted = await request.future
        except (asyncio.CancelledError, GeneratorExit):
            # It may be decided already, or be on its way here: only the thread knows, and it comes to this afterwards.
            request.abandoned = True
            self._queue.put(_Abandoned(request))
            raise
        return taken

    async def give_back(self, taken: Taken, *, refund: bool) -> None:
        """End the leases; with `refund` count down too, never below 0. Once for what was taken.

        It is done though the caller is cancelled while it waits.

        Raises:
            StoreDown: not yet; it is tried again as long as this process lives, and never done twice.
        """
        if taken.leases or (refund and taken.takes):
            await self._put(Back(taken, refund)).future

    async def used(self, takes: Sequence[Take]) -> tuple[int, ...]:
        """What each of these counters stands at.

        Raises:
            StoreDown: that cannot be read.
        """
        if not takes:
            return ()
        used: tuple[int, ...] = await self._put(Ask(tuple(takes), counts=False)).future
        return used

    def _put(self, wants: Ask | Back) -> _Waiting:
        loop = asyncio.get_running_loop()
        request = _Waiting(loop, loop.create_future(), wants)
        with self._door:
            if not self._is_open:
                raise StoreDown("the counter is closed")
            self._queue.put(request)
        self._last = request
        if self._yielding is not loop:
            self._yielding = loop
            loop.call_later(PATIENCE, self._yield_to_thread, request)
        return request

    def _yield_to_thread(self, request: _Waiting) -> None:
        """Pause the loop if this request still waits, then look after the latest one, until none is left."""
        if not request.future.done():
            time.sleep(PAUSE)
        elif self._last is None or self._last.future.done() or self._last.loop is not request.loop:
            self._last = self._yielding = None
            return
        else:
            request = self._last
        request.loop.call_later(PATIENCE, self._yield_to_thread, request)

    # From here on: the thread.

    def _work(self) -> None:
        goes_on = True
        while goes_on:
            batch = self._drain()
            goes_on = not any(isinstance(found, _Stop) for found in batch)
            self._turn(batch)
        with suppress(SqliteError, OSError):  # leases end by themselves
            self._ledger.leave()
        self._ledger.close()

    def _drain(self) -> list[_Waiting | _Abandoned | _Stop]:
        """Everything that waits; nothing when nobody asked for a while."""
        batch: list[_Waiting | _Abandoned | _Stop] = []
        try:
            batch.append(self._queue.get(timeout=self._every))
            while len(batch) < MOST:
                batch.append(self._queue.get_nowait())
        except Empty:
            pass
        return batch

    def _turn(self, batch: Sequence[_Waiting | _Abandoned | _Stop]) -> None:
        now = self._clock()
        waiting = [found for found in batch if isinstance(found, _Waiting)]
        asking = [(one, one.wants) for one in waiting if isinstance(one.wants, Ask) and not one.abandoned]
        giving = [one for one in waiting if isinstance(one.wants, Back)]
        self._owed += [one.wants for one in giving if isinstance(one.wants, Back)]
        for found in batch:
            # A request in this very batch was not asked above, and has taken nothing.
            if isinstance(found, _Abandoned) and found.request.taken is not None:
                self._owed.append(Back(found.request.taken, refund=True))
        if not (asking or self._owed or self._ledger.must_renew(now)):
            return
        try:
            answers = self._ledger.settle(now, self._owed, [ask for _, ask in asking])
        except Unsure as error:
            # To refund once more what may be refunded already would let a call too many pass; to end a lease twice not.
            self._owed = [replace(back, refund=False) for back in self._owed]
            self._fail(waiting, error)
        except (SqliteError, OSError) as error:
            self._fail(waiting, error)
        except Exception as error:  # a mistake of ours: nobody may wait for ever, nor it come back with what is owed
            self._owed = []
            self._fail(waiting, error)
        else:
            self._owed = []
            self._wake([(one, None) for one in giving] + self._noted(asking, answers))

    def _noted(self, asking: Sequence[tuple[_Waiting, Ask]], answers: Sequence[Answer]) -> list[tuple[_Waiting, Any]]:
        for (one, _), answer in zip(asking, answers, strict=True):
            one.taken = answer if isinstance(answer, Taken) else None
        return [(one, answer) for (one, _), answer in zip(asking, answers, strict=True)]

    def _fail(self, waiting: Sequence[_Waiting], error: Exception) -> None:
        self._wake([(one, StoreDown(f"{type(error).__name__}: {error}")) for one in waiting])

    def _wake(self, answered: Sequence[tuple[_Waiting, Any]]) -> None:
        """Hand every answer to its loop, each loop being woken once."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, Any]]] = {}
        for one, answer in answered:
            by_loop.setdefault(one.loop, []).append((one, answer))
        for loop, group in by_loop.items():
            try:
                loop.call_soon_threadsafe(_deliver, group)
            except RuntimeError:  # the loop is closed, and with it everybody who waited there
                self._owed += [Back(one.taken, refund=True) for one, _ in group if one.taken is not None]


def _deliver(group: Sequence[tuple[_Waiting, Any]]) -> None:
    for one, answer in group:
        if one.future.done():
            continue
        if isinstance(answer, Exception):
            one.future.set_exception(answer)
        else:
            one.future.set_result(answer)
