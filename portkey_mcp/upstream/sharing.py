"""One run of some work for all who want its result, whoever of them gives up waiting."""

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from portkey_mcp.errors import ConnectNeeded, UpstreamDown, UpstreamError
from portkey_mcp.upstream.tasks import Spawn

T = TypeVar("T")


class Shared(Generic[T]):
    """A result, anything but None, that is made on first demand and kept until `forget`.

    A failure is told to all who waited, and not kept.
    """

    __slots__ = ("_future", "_make", "_spawn", "value")

    def __init__(self, spawn: Spawn, make: Callable[[], Awaitable[T]]) -> None:
        self._spawn, self._make = spawn, make
        self._future: asyncio.Future[T] | None = None
        self.value: T | None = None
        """The result, None while there is none."""

    @property
    def in_progress(self) -> bool:
        """Whether it is being made just now."""
        return self._future is not None and not self._future.done()

    def forget(self) -> None:
        """Make it again on the next demand; whoever waits now still gets what is being made."""
        self._future = self.value = None

    async def get(self) -> T:
        """The result; waits while it is being made. Raises what making it raised."""
        if self.value is not None:
            return self.value
        if self._future is None:
            self._future = asyncio.get_running_loop().create_future()
            task = self._spawn(self._run(self._future))
            # Where the work was cancelled before it could set a result, nobody may wait for ever.
            task.add_done_callback(functools.partial(_cancel, self._future))
        future = self._future
        if not future.done():
            await asyncio.wait([future])
        if future.cancelled():
            raise UpstreamDown("", "the gateway is shutting down")
        error = future.exception()
        if isinstance(error, (UpstreamDown, UpstreamError, ConnectNeeded)):
            # Every waiter raises its own copy: one exception raised in several tasks would collect all their traces.
            raise dataclasses.replace(error) from error.__cause__
        return future.result()

    async def _run(self, future: "asyncio.Future[T]") -> None:
        try:
            result = await self._make()
        except Exception as error:
            if self._future is future:
                self._future = None
            future.set_exception(error)
            future.exception()  # marks it as seen: perhaps nobody waits any more
        else:
            if self._future is future:
                self.value, self._future = result, None
            future.set_result(result)


def _cancel(future: "asyncio.Future[T]", _: object) -> None:
    future.cancel()
