"""Last good catalogues: what a hub lists of a server that is down, late or slow.

A list is always asked for anew; the answer is waited for only while the server has earned it. One that does not
answer in time delays nobody again until it does: its last good list is served, and its question goes on beside.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from portkey_mcp.errors import PortkeyError, brief

log = logging.getLogger(__name__)

PATIENCE: Final = 2.0
"""Seconds a list waits for a server that has not been late before."""

REMEMBERED: Final = 10_000
"""Lists kept per process; the longest unused go first."""

Fetch = Callable[[], Awaitable[Any]]
Key = tuple[str, ...]


@dataclass(slots=True)
class _Entry:
    value: Any = None
    known: bool = False
    late: bool = False
    running: bool = False
    done: anyio.Event = field(default_factory=anyio.Event)
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A list as far as it is known. `known` False: never seen yet. `stale`: not from just now."""

    value: Any
    known: bool
    stale: bool


class Snapshots:
    """Keeps what lists looked like. `tasks` is the group that questions run in when nobody waits for them."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    async def get(self, key: Key, fetch: Fetch) -> Snapshot:
        """Ask again, wait as long as that is worth it, and give the newest there is. Raises nothing."""
        entry = self._entries.setdefault(key, _Entry())
        self._entries.move_to_end(key)
        if len(self._entries) > REMEMBERED:
            self._entries.popitem(last=False)
        if not entry.running:
            entry.running, entry.done = True, anyio.Event()
            self._tasks.start_soon(self._ask, key, entry, fetch)
        asked = entry.done
        if not entry.late:
            with anyio.move_on_after(PATIENCE):
                await asked.wait()
            entry.late = not asked.is_set()
        return Snapshot(entry.value, entry.known, stale=not asked.is_set() or entry.failed)

    async def _ask(self, key: Key, entry: _Entry, fetch: Fetch) -> None:
        entry.failed = True
        try:
            entry.value = await fetch()
            entry.known, entry.failed, entry.late = True, False, False
        except (PortkeyError, TimeoutError) as error:
            log.info("no fresh list from %s: %s", "/".join(key[:2]), brief(error))
        except Exception:
            # Nobody awaits this task; whatever happens here may not take the others with it.
            log.exception("a list from %s failed unexpectedly", "/".join(key[:2]))
        finally:
            entry.running = False
            entry.done.set()
