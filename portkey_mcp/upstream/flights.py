"""Which requests of a link are under way, and how closing the link ends them."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from portkey_mcp.errors import UpstreamDown

OnEnd = Callable[[], None]
"""Told once that a link is over, however it came."""


def no_matter() -> None:
    """For links whose end nobody waits for."""


class Flights:
    """The requests in flight on one link. `busy` says how many; `ground` fails them all and lets no more start."""

    def __init__(self, server: str, on_end: OnEnd = no_matter) -> None:
        self.server, self._on_end = server, on_end
        self.scopes: set[asyncio.Timeout] = set()
        self.grounded = ""
        """Why nothing flies any more; empty while the link lives."""
        self.over = asyncio.Event()

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        return len(self.scopes)

    def flying(self) -> "_Flight":
        """One request, as an asynchronous context manager.

        Raises:
            UpstreamDown: the link was closed before (then nothing was sent) or while it flew.
        """
        return _Flight(self)

    def ground(self, reason: str) -> None:
        """Fail everything in flight, at once. Only the first reason counts."""
        if self.grounded:
            return
        self.grounded = reason
        self.over.set()
        now = asyncio.get_running_loop().time()
        for scope in self.scopes:
            if not scope.expired():
                scope.reschedule(now)
        self._on_end()


class _Flight:
    """See `Flights.flying`; a class, since a generator would cost each call several times as much."""

    __slots__ = ("_flights", "_scope")

    def __init__(self, flights: Flights) -> None:
        self._flights = flights
        self._scope = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        if self._flights.grounded:
            raise UpstreamDown(self._flights.server, self._flights.grounded)
        await self._scope.__aenter__()
        self._flights.scopes.add(self._scope)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flights.scopes.discard(self._scope)
        try:
            await self._scope.__aexit__(kind, error, trace)
        except TimeoutError:
            raise UpstreamDown(self._flights.server, self._flights.grounded, sent=True) from None
