"""Starts the gateway as a user does, in a process of its own, and stops it with the signal a service manager sends."""

import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import anyio
from anyio.abc import Process

READY = 120
"""Seconds a start may take before a test gives up; two busy cores are slow."""


@dataclass
class Gateway:
    """One that is ready: its origin, all that it said, and its process."""

    url: str
    banner: str
    process: Process

    def stop(self) -> None:
        """Tell it to end, as a service manager does."""
        self.process.terminate()


@asynccontextmanager
async def gateway(*arguments: object, env: dict[str, str] | None = None) -> AsyncIterator[Gateway]:
    """Run `portkey-mcp` with these arguments until the block ends; it must then end by itself, with exit code 0."""
    command = [sys.executable, "-m", "portkey_mcp", *map(str, arguments)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    async with await anyio.open_process(
        command, stdout=PIPE, stderr=None, env={**os.environ, "PATH": path, **(env or {})}
    ) as process:
        try:
            banner = await _banner(process)
            yield Gateway(re.findall(r"listens on (\S+)", banner)[0], banner, process)
            if process.returncode is None:
                process.terminate()
            with anyio.fail_after(READY):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()


async def _banner(process: Process) -> str:
    """What it says when it is ready; the last line is empty."""
    said = b""
    assert process.stdout
    with anyio.fail_after(READY):
        while not (b"listens on" in said and said.endswith(b"\n\n")):
            said += await process.stdout.receive()
    return said.decode()
