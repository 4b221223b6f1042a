"""What tests of counters share: steps by hand, a clock that is moved by hand, and processes that take."""

import contextlib
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import astuple
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from portkey_mcp.model import Take, Taken
from portkey_mcp.storage.counters import SqliteCounter

PROGRAM = Path(__file__).parent / "taking.py"
LATER = 4_000_000_000
"""When the windows of these tests end, by the clock of the system: never."""


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def window(key: str, limit: int, *, cost: int = 1, starts: int = 900_000) -> Take:
    return Take(key, starts, LATER, cost, limit)


def at_once(key: str, limit: int) -> Take:
    return Take(key, 0, 0, 1, limit)


def stored(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


async def taken(counter: SqliteCounter, *takes: Take) -> Taken:
    found = await counter.take(takes)
    assert isinstance(found, Taken)
    return found


@asynccontextmanager
async def process(path: Path, workers: int, attempts: int, *takes: Take) -> AsyncIterator[tuple[Process, Any]]:
    """A process that takes, once it is given a line; and its output."""
    command = [sys.executable, str(PROGRAM), str(path), str(workers), str(attempts), json.dumps([*map(astuple, takes)])]
    async with await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None) as opened:
        assert opened.stdout is not None
        output = BufferedByteReceiveStream(opened.stdout)
        try:
            assert await output.receive_until(b"\n", 100) == b"ready"
            yield opened, output
        finally:
            with contextlib.suppress(ProcessLookupError):
                opened.kill()


async def go(opened: Process) -> None:
    assert opened.stdin is not None
    await opened.stdin.send(b"\n")


async def lines(output: Any, until: int = 10**9) -> list[str]:
    """What comes until the end, or until there are so many lines."""
    found: list[str] = []
    with contextlib.suppress(anyio.EndOfStream, anyio.IncompleteRead):
        while len(found) < until:
            found.append((await output.receive_until(b"\n", 100)).decode())
    return found
