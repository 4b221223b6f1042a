"""Which requests of a link are under way, and how closing the link ends them."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from portkey_mcp.cut import Cuttable, WasCut
from portkey_mcp.errors import UpstreamDown

OnEnd = Callable[[], None]
"""Told once that a link is over, however it came."""


def no_matter() -> None:
    """For links whose end nobody waits for."""


class Flights:
    """The requests in flight on one link. `busy` says how many; `ground` fails them all and lets no more start."""

    # There are thousands of links, most of them idle: an empty set and an event would be half a kilobyte and more each.
    __slots__ = ("_on_end", "_over", "grounded", "server", "under_way")

    def __init__(self, server: str, on_end: OnEnd = no_matter) -> None:
        self.server, self._on_end = server, on_end
        self.under_way: set[Cuttable] | None = None
        self.grounded = ""
        """Why nothing flies any more; empty while the link lives."""
        self._over: asyncio.Event | None = None

    @property
    def over(self) -> asyncio.Event:
        """Set once nothing flies any more."""
        if self._over is None:
            self._over = asyncio.Event()
            if self.grounded:
                self._over.set()
        return self._over

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        return len(self.under_way) if self.under_way is not None else 0

    def flying(self) -> "_Flight":
        """One request, as a context manager around all that is awaited for it.

        Raises:
            UpstreamDown: the link was closed before (then nothing was sent) or while it flew.
        """
        return _Flight(self)

    def ground(self, reason: str) -> None:
        """Fail everything in flight, at once. Only the first reason counts."""
        if self.grounded:
            return
        self.grounded = reason
        if self._over is not None:
            self._over.set()
        loop = asyncio.get_running_loop()
        for flight in self.under_way or ():
            # Later, since a request may ground its own link: it ends by its own error, and nothing is left to cut.
            loop.call_soon(flight.cut)
        self._on_end()


class _Flight(Cuttable):
    """See `Flights.flying`; a class, since a generator would cost each call several times as much."""

    __slots__ = ("_flights",)

    def __init__(self, flights: Flights) -> None:
        super().__init__()
        self._flights = flights

    def __enter__(self) -> "_Flight":
        flights = self._flights
        if flights.grounded:
            raise UpstreamDown(flights.server, flights.grounded)
        if flights.under_way is None:
            flights.under_way = {self}
        else:
            flights.under_way.add(self)
        super().__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        under_way = self._flights.under_way
        if under_way is not None:
            under_way.discard(self)
            if not under_way:
                self._flights.under_way = None
        try:
            super().__exit__(kind, error, at)
        except WasCut:
            raise UpstreamDown(self._flights.server, self._flights.grounded, sent=True) from None
