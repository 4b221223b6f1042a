"""The one owner of every task behind the back seam: links live longer than the requests that opened them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
"""Starts a coroutine beside the caller; see `Tasks.spawn`."""


class Tasks:
    """A task group that outlives any one failure. Leaving it cancels what still runs and waits for its end."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._over = False

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        for task in self._running:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run it to its end, or until the group is left. An error in it is logged and hurts nothing else.

        Raises:
            RuntimeError: the group was left already.
        """
        guarded = _guarded(work)
        try:
            task = self._group.create_task(guarded)
        except RuntimeError:
            guarded.close()
            work.close()
            raise
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # Cancelled before its first step, the work would never have been awaited; closing it says so was meant.
        task.add_done_callback(lambda _: work.close())
        if self._over:
            task.cancel()
        return task


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("a background task of an upstream link failed")
