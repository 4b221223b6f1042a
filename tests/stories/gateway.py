"""The real gateway, in this process: the application of `app.build` under uvicorn on a port of its own.

It runs in the test's own event loop; nothing of it is replaced. A gateway in a process of its own is
`tests/cli/gateway.py`.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.types import ASGIApp

from portkey_mcp.app import build
from portkey_mcp.settings import load

READY = 30
"""Seconds a start or an end may take before a test gives up; two busy cores are slow."""


@dataclass(frozen=True)
class Gateway:
    """One that is ready. `url` is its origin; `config` the file it watches, None without one; `data` its directory."""

    url: str
    host: str
    port: int
    data: Path
    config: Path | None

    def at(self, *place: str) -> str:
        """The URL of an endpoint: `at("team", "files")`, `at("team")` for the hub, `at()` for the root hub."""
        return "/".join([self.url, *place, "mcp"])


@asynccontextmanager
async def gateway(document: str | None, data: Path, **settings: Any) -> AsyncIterator[Gateway]:
    """Run the gateway on `document`, the text of a `portkey.yaml`, until the block ends.

    `data` is a directory that need not exist; the file is written into it. None keeps the file that is there, or
    serves what the database of an earlier run holds. `settings` are those of `portkey_mcp.settings`, for example
    `auth="none"`, `max_body_bytes=1000`, or `port=…` to come back where an earlier one was.
    """
    data.mkdir(parents=True, exist_ok=True)
    config = data / "portkey.yaml"
    if document is not None:
        config.write_text(document)
    listener = socket.create_server(("127.0.0.1", settings.pop("port", 0)), backlog=2048)
    host, port = listener.getsockname()
    given = {"config": config if config.exists() else None, "data": data, "host": host, "port": port, **settings}
    async with serving(build(load(**given)), listener):
        yield Gateway(f"http://{host}:{port}", host, port, data, given["config"])


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve any ASGI application until the block ends; yields its origin."""
    listener = listener or socket.create_server(("127.0.0.1", 0), backlog=2048)
    host, port = listener.getsockname()
    server = _Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run_on, listener)
        try:
            with anyio.fail_after(READY):
                await server.settled.wait()
            assert server.started, "the application did not start; its exception follows or was logged"
            yield f"http://{host}:{port}"
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True), anyio.fail_after(READY):
                await server.ended.wait()


class _Server(uvicorn.Server):
    """uvicorn as a task of somebody else: no signals, and events for having started and having ended."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled, self.ended = anyio.Event(), anyio.Event()

    async def run_on(self, listener: socket.socket) -> None:
        """Serve on this socket until `should_exit`, and close it."""
        try:
            await self._serve(sockets=[listener])
        except asyncio.CancelledError:
            pass  # what uvicorn ends with when a stream outlives its grace
        finally:
            listener.close()
            self.settled.set()
            self.ended.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()
