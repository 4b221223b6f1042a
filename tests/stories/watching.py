"""Processes of somebody else, whose end is waited for without asking again and again. Linux only."""

import os
from pathlib import Path

import anyio
import pytest

from tests.stories.hearing import PATIENCE

watching = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="the end of a foreign process is seen on Linux only"
)
"""For tests that use `Watched`."""


class Watched:
    """A process of somebody else, whose end can be waited for."""

    def __init__(self, pid: int) -> None:
        self._handle = os.pidfd_open(pid)

    async def gone(self) -> None:
        try:
            with anyio.fail_after(PATIENCE):
                await anyio.wait_readable(self._handle)
        finally:
            os.close(self._handle)


def parent_of(pid: int) -> int:
    """The process that started it: of a stdio server, what stands between the gateway and the server."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])
