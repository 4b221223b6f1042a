"""Upstream servers as processes of their own, which a test may kill, stop and start again."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio.abc import Process

ROOT = Path(__file__).parent.parent.parent
LIVELY = "tests.stories.programs.lively"
CONFORMANCE = "tests.conformance.upstream"

READY = 120
"""Seconds a start may take before a test gives up; two busy cores are slow."""


def stdio(name: str, *arguments: object, **more: Any) -> dict[str, Any]:
    """How `portkey.yaml` names the lively server over stdio."""
    command = [sys.executable, "-m", LIVELY, name, *map(str, arguments)]
    return {"command": command, "cwd": str(ROOT), **more}


class Upstream:
    """A program that serves over HTTP. `url` stays the same when it is started again."""

    def __init__(self, module: str, arguments: tuple[object, ...]) -> None:
        self._module, self._arguments = module, arguments
        self.url = ""
        self.process: Process | None = None

    async def start(self) -> None:
        """Start it, at the port it had before, and return when it accepts connections."""
        port = urlsplit(self.url).port if self.url else 0
        command = [sys.executable, "-m", self._module, *map(str, self._arguments), "--port", str(port)]
        self.process = await anyio.open_process(command, cwd=ROOT, stdout=PIPE, stderr=None)
        assert self.process.stdout is not None
        said = b""
        with anyio.fail_after(READY):
            while b"\n" not in said:
                said += await self.process.stdout.receive()
        self.url = said.decode().split()[1]

    async def kill(self) -> None:
        """End it the hard way; returns when it is gone."""
        if self.process is not None:
            self.process.kill()
            await self.process.aclose()
            self.process = None


@asynccontextmanager
async def running(module: str, *arguments: object) -> AsyncIterator[Upstream]:
    """Run a program over HTTP until the block ends."""
    upstream = Upstream(module, arguments)
    try:
        await upstream.start()
        yield upstream
    finally:
        with anyio.CancelScope(shield=True):
            await upstream.kill()


@asynccontextmanager
async def lively(name: str, *arguments: object) -> AsyncIterator[Upstream]:
    """Run the lively server over HTTP until the block ends."""
    async with running(LIVELY, name, *arguments) as upstream:
        yield upstream
