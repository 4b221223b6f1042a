"""A process that takes from the counters of a database, for tests that need several, or need one to be killed.

    python taking.py DATABASE WORKERS ATTEMPTS TAKES

TAKES is JSON, a list of [key, starts, ends, cost, limit]. It prints `ready`, waits for a line, then `WORKERS` take
again and again, `ATTEMPTS` altogether (0: without end). After each answer it prints what the first counter stands at,
or `-` when the limits are used up. What is taken is not given back.
"""

import json
import os
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import anyio

from portkey_mcp.model import Take, Taken
from portkey_mcp.storage.counters import SqliteCounter


async def work(counter: SqliteCounter, takes: list[Take], attempts: Iterator[int]) -> None:
    for _ in attempts:
        found = await counter.take(takes)
        line = str(found.used[0]) if isinstance(found, Taken) else "-"
        os.write(1, f"{line}\n".encode())


async def main(path: Path, workers: int, most: int, takes: list[Take]) -> None:
    attempts = iter(range(most)) if most else count()
    async with SqliteCounter(path, busy=60) as counter:
        await counter.used(takes)
        os.write(1, b"ready\n")
        await anyio.to_thread.run_sync(sys.stdin.readline)
        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(work, counter, takes, attempts)


if __name__ == "__main__":
    database, workers, most, given = sys.argv[1:]
    anyio.run(main, Path(database), int(workers), int(most), [Take(*take) for take in json.loads(given)])
