"""The real gateway, in this process: the application of `app.build` under uvicorn on a port of its own.

It runs in the test's own event loop; nothing of it is replaced. A gateway in a process of its own is
`tests/cli/gateway.py`.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from portkey_mcp.app import build
from portkey_mcp.egress import Egress
from portkey_mcp.settings import load

READY = 120
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
async def gateway(
    document: str | None, data: Path, *, egress: Egress | None = None, **settings: Any
) -> AsyncIterator[Gateway]:
    """Run the gateway on `document`, the text of a `portkey.yaml`, until the block ends.

    `data` is a directory that need not exist; the file is written into it. None keeps the file that is there, or
    serves what the database of an earlier run holds. `settings` are those of `portkey_mcp.settings`, for example
    `auth="none"`, `max_body_bytes=1000`, or `port=…` to come back where an earlier one was. `egress` asks the outside.
    """
    config = _written(document, data)
    listener = socket.create_server(("127.0.0.1", settings.pop("port", 0)), backlog=2048)
    host, port = listener.getsockname()
    given = {"config": config, "data": data, "host": host, "port": port, **settings}
    async with serving(build(load(**given), egress), listener):
        yield Gateway(f"http://{host}:{port}", host, port, data, config)


def _written(document: str | None, data: Path) -> Path | None:
    data.mkdir(parents=True, exist_ok=True)
    config = data / "portkey.yaml"
    if document is not None:
        config.write_text(document)
    return config if config.exists() else None


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve any ASGI application until the block ends; yields its origin.

    Raises:
        Exception: what the application raised when it started, or while it served: none may escape it.
    """
    listener = listener or socket.create_server(("127.0.0.1", 0), backlog=2048)
    host, port = listener.getsockname()
    watched = _Watched(app)
    config = uvicorn.Config(
        watched,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run_on, listener)
        try:
            with anyio.fail_after(READY):
                await server.settled.wait()
            if server.started:
                yield f"http://{host}:{port}"
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True), anyio.fail_after(READY):
                await server.ended.wait()
    if watched.failures:
        raise watched.failures[0]


class _Watched:
    """An application, and whatever escaped from it, which uvicorn would only log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failures: list[Exception] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            self.failures.append(error)
            raise


class _Server(uvicorn.Server):
    """uvicorn as a task of somebody else: no signals, and events for having started (or not) and having ended."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled, self.ended = anyio.Event(), anyio.Event()

    async def run_on(self, listener: socket.socket) -> None:
        """Serve on this socket until `should_exit`, and close it."""
        try:
            await self._serve(sockets=[listener])
        except SystemExit:
            pass  # it did not start; why is in the application's failures
        finally:
            listener.close()
            self.settled.set()
            self.ended.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()
