"""Beside a call that takes its time: is its client still there, and is its line kept alive?"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from anyio.abc import TaskGroup
from starlette.types import Receive

from portkey_mcp.gateway.reply import KEEP_ALIVE, Reply

log = logging.getLogger(__name__)

WATCH_AFTER: Final = 0.05
"""Seconds a call may take before anybody looks whether its client is still there. Most are answered sooner, and cost
a timer instead of a task."""

BEATS: Final = 10
"""How often the pulse looks for silent lines within `KEEP_ALIVE`: so much later may a comment come."""

TOGETHER: Final = 16
"""Lines that one task keeps alive: it costs more than what it writes, and a client that does not read stops it."""


class Pulse:
    """Keeps silent lines alive: one timer for all replies of a process that are under way. `tasks` runs the writing.

    Owns the tasks of the watches, which are asyncio's own: one of anyio's, with its scope, costs several times as much,
    and a thousand slow calls have a thousand. They end with their calls.
    """

    def __init__(self, tasks: TaskGroup, every: float | None = None) -> None:
        self.tasks = tasks
        self._every = KEEP_ALIVE if every is None else every
        self._replies: set[Reply] = set()
        self._watching: set[asyncio.Task[None]] = set()
        self._beating = False

    def add(self, reply: Reply) -> None:
        """From now on, say something whenever this reply has been silent for long."""
        self._replies.add(reply)
        if not self._beating:
            self._set()

    def discard(self, reply: Reply) -> None:
        """The reply is given, or given up."""
        self._replies.discard(reply)

    def watch(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a watch, until it ends or whoever began it cancels it."""
        task = asyncio.get_running_loop().create_task(work)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return task

    def _set(self) -> None:
        self._beating = True
        asyncio.get_running_loop().call_later(self._every / BEATS, self._beat)

    def _beat(self) -> None:
        self._beating = False
        if self.tasks.cancel_scope.cancel_called:
            return
        silent = asyncio.get_running_loop().time() - self._every
        due = [reply for reply in self._replies if reply.spoke_at <= silent]
        for start in range(0, len(due), TOGETHER):
            self.tasks.start_soon(_keep_alive, due[start : start + TOGETHER])
        if self._replies:
            self._set()


async def _keep_alive(replies: Sequence[Reply]) -> None:
    for reply in replies:
        try:
            await reply.keep_alive()
        except Exception:
            # The task is its own owner: whatever happens here may not take other calls with it.
            log.exception("a silent line could not be kept alive")


class Watch:
    """Notices a client leaving, and has its line kept alive meanwhile; `stop` it when the answer is there."""

    __slots__ = ("_leaves", "_pulse", "_receive", "_reply", "_task", "_timer")

    def __init__(self, pulse: Pulse, receive: Receive, reply: Reply, leaves: Callable[[], None]) -> None:
        self._pulse, self._receive, self._reply, self._leaves = pulse, receive, reply, leaves
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._begin)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            self._pulse.discard(self._reply)

    def _begin(self) -> None:
        self._task = self._pulse.watch(self._watch())
        self._pulse.add(self._reply)

    async def _watch(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self._leaves()
        except Exception:
            log.exception("a client can no longer be watched")
