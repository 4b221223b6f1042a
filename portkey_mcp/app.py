"""The composition root: builds every object by hand, mounts every surface, owns the one lifespan. No behaviour."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import anyio
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from portkey_mcp import __version__
from portkey_mcp.gateway.admission import Admission
from portkey_mcp.gateway.bridge.parked import Parking
from portkey_mcp.gateway.changes import Changes
from portkey_mcp.gateway.corridor import Corridor
from portkey_mcp.gateway.entrance import Entrance
from portkey_mcp.gateway.exchange import Exchange
from portkey_mcp.gateway.lane import Means
from portkey_mcp.gateway.schemas import Schemas
from portkey_mcp.gateway.session import Sessions
from portkey_mcp.gateway.snapshots import Snapshots
from portkey_mcp.identity.authenticate import LOCAL_ADMIN, Identity
from portkey_mcp.model import Directory, Principal
from portkey_mcp.registry.provisioning import Provisioning
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.settings import Settings, refuse_open_gateway
from portkey_mcp.storage.database import Database
from portkey_mcp.telemetry import setup as telemetry
from portkey_mcp.upstream.pool import LinkPool

log = logging.getLogger(__name__)

BEGIN_ANEW: Final = 1.0
"""Seconds before work that failed is begun anew: soon enough for a change to be seen, rare enough for a log."""

RECORD_EVERY: Final = 60.0
"""Seconds between two writings of when keys were last used; what a crash may lose."""


@dataclass
class _Running:
    """What exists while the gateway runs. `entrance` is None before it is ready and after it has ended."""

    directory: Directory = field(default_factory=Directory)
    entrance: Entrance | None = None
    changes: Changes = field(default_factory=Changes)


@dataclass
class Gateway:
    """The gateway as an ASGI application. `failure` is why it could not start, or stop, where it could not."""

    _running: _Running
    _control: ASGIApp
    failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        entrance = self._running.entrance
        if entrance is None or scope["type"] != "http":
            await self._live(scope, receive, send)
        else:
            await entrance(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._control(scope, receive, send)
        except Exception as error:
            self.failure = error  # servers only log what goes wrong in a lifespan
            raise

    def end_streams(self) -> None:
        """Before stopping: standing streams, which never end by themselves, end in good order. Calls go on."""
        self._running.changes.close()


def build(settings: Settings) -> Gateway:
    """The gateway. Nothing is opened before its lifespan begins."""
    running = _Running()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with _gateway(settings, running, control):
            yield

    control = FastAPI(title="portkey-mcp", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    control.router.lifespan_context = lifespan

    @control.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @control.get("/readyz")
    async def readyz() -> JSONResponse:
        ready = running.entrance is not None
        return JSONResponse({"status": "ok" if ready else "starting"}, 200 if ready else 503)

    return Gateway(running, control)


@asynccontextmanager
async def _gateway(settings: Settings, running: _Running, control: ASGIApp) -> AsyncIterator[None]:
    """Open everything in order, and close it in reverse."""
    database = await Database.open(settings.data)
    keyring = KeyRing.of(settings.data, settings.secret_keys.get_secret_value())
    registry, identity = Registry(database, keyring), Identity(database)
    provisioning = Provisioning(registry, identity)
    tracing = telemetry.start(__version__)
    try:
        if settings.config is not None:
            declared = await provisioning.apply(settings.config)
            settings = settings.completed(public_url=declared.public_url, auth=declared.auth)
        refuse_open_gateway(settings)
        async with LinkPool(resolve=registry.resolve) as links, anyio.create_task_group() as tasks:
            means = Means(
                links=links,
                keyring=keyring,
                parking=Parking(keyring, tasks),
                schemas=Schemas(),
                spans=tracing.spans,
                timeout=settings.call_timeout_seconds,
            )
            exchange = Exchange(
                Corridor(means, Snapshots(tasks, means.catalogue.freshness)),
                Sessions(keyring, settings.session_days),
                running.changes,
                tasks,
                max_body=settings.max_body_bytes,
            )
            authenticate = _local if settings.auth == "none" else identity.authenticate
            running.directory = await registry.directory()
            running.entrance = Entrance(
                exchange, Admission(authenticate), lambda: running.directory, _hosts(settings), control
            )
            tasks.start_soon(_lasting, partial(_follow, registry, identity, links, running))
            tasks.start_soon(_lasting, partial(_record_use, identity))
            if settings.config is not None:
                tasks.start_soon(_lasting, partial(provisioning.watch, settings.config))
            yield
            running.entrance = None
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await identity.record_use()
            await database.close()
            await anyio.to_thread.run_sync(tracing.close)


async def _lasting(work: Callable[[], Awaitable[None]]) -> None:
    """Run what shall never end; when it fails (a full disk, a locked file) it is begun anew, and calls go on."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("something that runs beside the calls failed; it is begun anew in %g s", BEGIN_ANEW)
        await anyio.sleep(BEGIN_ANEW)


async def _record_use(identity: Identity) -> None:
    """Write now and then when keys were last used."""
    while True:
        await anyio.sleep(RECORD_EVERY)
        await identity.record_use()


async def _follow(registry: Registry, identity: Identity, links: LinkPool, running: _Running) -> None:
    """Serve from what is registered now, whoever changed it: this process, its files, or the command line."""
    async for _ in registry.revisions():
        before, after = running.directory, await registry.directory()
        await identity.refresh()
        running.directory = after
        for slug, workspace in before.workspaces.items():
            now = after.workspaces.get(slug)
            for name, server in workspace.servers.items():
                if now is None or now.servers.get(name) != server:
                    await links.forget(server.key)
        running.changes.tell()


async def _local(_: Mapping[str, str]) -> Principal:
    """Everybody, under `auth: none`."""
    return LOCAL_ADMIN


def _hosts(settings: Settings) -> set[str]:
    """The names this gateway answers to: where it listens, and where clients are told to find it."""
    return {host for host in (settings.host, urlsplit(settings.base_url).hostname) if host}
