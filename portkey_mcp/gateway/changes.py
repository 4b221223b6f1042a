"""News that what is registered, or who may enter, is no longer what it was."""

from collections.abc import Awaitable, Callable

import anyio

from portkey_mcp.errors import Refusal
from portkey_mcp.model import Visit

Again = Callable[[], Awaitable[Visit]]
"""Admits the same request once more, as things are now; raises a Refusal when it would be turned away."""


class Changes:
    """Wakes whoever serves for longer than one answer. One per process."""

    def __init__(self) -> None:
        self._told = anyio.Event()
        self._closing = False

    def close(self) -> None:
        """The gateway is about to stop: whoever serves without end shall end, now and from now on."""
        self._closing = True
        self.tell()

    def tell(self) -> None:
        """Say that something changed."""
        self._told.set()
        self._told = anyio.Event()

    async def told(self) -> None:
        """Return once something changed, from now on."""
        await self._told.wait()

    async def outdated(self, visit: Visit, again: Again) -> Visit | None:
        """Return once this visit is not what admission would grant any more: another workspace, role, or none.

        Gives what it grants now, None where it refuses or the gateway stops.
        """
        while not self._closing:
            told = self._told
            try:
                now = await again()
            except Refusal:
                return None
            if now != visit:
                return now
            await told.wait()
        return None
