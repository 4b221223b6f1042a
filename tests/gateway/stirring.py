"""Waiting for a condition instead of for a time."""

from collections.abc import Callable

import anyio

PATIENCE = 60
"""Seconds after which a condition that does not come true fails the test; two busy cores may be slow."""


class Stirring:
    """Something that changes. `until` waits for a condition on it; whoever changes it calls `stir`."""

    def __init__(self) -> None:
        self._stirred = anyio.Event()

    def stir(self) -> None:
        """Say that something has changed."""
        self._stirred.set()
        self._stirred = anyio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once the condition holds; TimeoutError when it never does."""
        with anyio.fail_after(PATIENCE):
            while not condition():
                await self._stirred.wait()
