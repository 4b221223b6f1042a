"""Which requests of a link are under way, and how closing the link ends them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from portkey_mcp.errors import UpstreamDown

OnEnd = Callable[[], None]
"""Told once that a link is over, however it came."""


def no_matter() -> None:
    """For links whose end nobody waits for."""


class Flights:
    """The requests in flight on one link. `busy` says how many; `ground` fails them all and lets no more start."""

    def __init__(self, server: str, on_end: OnEnd = no_matter) -> None:
        self._server, self._on_end = server, on_end
        self._scopes: set[asyncio.Timeout] = set()
        self.grounded = ""
        """Why nothing flies any more; empty while the link lives."""
        self.over = asyncio.Event()

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        return len(self._scopes)

    @asynccontextmanager
    async def flying(self) -> AsyncIterator[None]:
        """One request.

        Raises:
            UpstreamDown: the link was closed before (then nothing was sent) or while it flew.
        """
        if self.grounded:
            raise UpstreamDown(self._server, self.grounded)
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scopes.add(scope)
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            raise UpstreamDown(self._server, self.grounded, sent=True) from None
        finally:
            self._scopes.discard(scope)

    def ground(self, reason: str) -> None:
        """Fail everything in flight, at once. Only the first reason counts."""
        if self.grounded:
            return
        self.grounded = reason
        self.over.set()
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(now)
        self._on_end()
