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
from portkey_mcp.activity.audit import Audit
from portkey_mcp.addresses import Addresses
from portkey_mcp.admin import api as admin
from portkey_mcp.dashboard import accounts, approve, apps, connect, consent, front, join, sign_in, sso
from portkey_mcp.dashboard.pages import Site
from portkey_mcp.dashboard.signed_in import SignedIn
from portkey_mcp.egress import Egress
from portkey_mcp.gateway.admission import Admission
from portkey_mcp.gateway.asking import Asking
from portkey_mcp.gateway.bridge.parked import Parking
from portkey_mcp.gateway.caller import address_of
from portkey_mcp.gateway.changes import Changes
from portkey_mcp.gateway.corridor import Corridor
from portkey_mcp.gateway.entrance import Entrance
from portkey_mcp.gateway.exchange import Exchange
from portkey_mcp.gateway.gate import Gate
from portkey_mcp.gateway.means import Means
from portkey_mcp.gateway.schemas import Schemas
from portkey_mcp.gateway.session import Sessions
from portkey_mcp.gateway.snapshots import Snapshots
from portkey_mcp.gateway.wanting import Wanting
from portkey_mcp.gateway.witness import Witness
from portkey_mcp.identity.authenticate import LOCAL_ADMIN, Identity
from portkey_mcp.identity.discovery import Discovery
from portkey_mcp.identity.fetching import Fetching
from portkey_mcp.identity.foreign import ForeignTokens
from portkey_mcp.identity.jwks import KeySets
from portkey_mcp.identity.oidc import SingleSignOn
from portkey_mcp.identity.pending import PendingSignIns
from portkey_mcp.keepers import Keepers
from portkey_mcp.model import Directory, McpServer, Principal
from portkey_mcp.oauth import endpoints, published_keys
from portkey_mcp.oauth.authorizing import Authorizing
from portkey_mcp.oauth.documents import ClientDocuments
from portkey_mcp.oauth.enterprise import Enterprises
from portkey_mcp.oauth.server import OAuthServer
from portkey_mcp.proof import Auth
from portkey_mcp.registry.provisioning import Provisioning
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.settings import Settings, refuse_open_gateway
from portkey_mcp.storage.counters import SqliteCounter
from portkey_mcp.storage.database import Database
from portkey_mcp.telemetry import setup as telemetry
from portkey_mcp.upstream.pool import LinkPool
from portkey_mcp.vault.vault import Around, Vault

log = logging.getLogger(__name__)

BEGIN_ANEW: Final = 1.0
"""Seconds before work that failed is begun anew: soon enough for a change to be seen, rare enough for a log."""

TIDY_EVERY: Final = 600.0
"""Seconds between two looks for approvals that are over."""

LOOK_EVERY: Final = 0.5
"""Seconds between two looks for what other processes changed: who is removed there is out here within a second."""

RECORD_EVERY: Final = 60.0
"""Seconds between two writings of when keys were last used; what a crash may lose."""


@dataclass
class _Running:
    """What exists while the gateway runs. `entrance` is None before it is ready and after it has ended."""

    directory: Directory = field(default_factory=Directory)
    entrance: Entrance | None = None
    changes: Changes = field(default_factory=Changes)
    first_link: str = ""
    egress: Egress = field(default_factory=Egress)


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

    @property
    def first_link(self) -> str:
        """Where the first person makes their account, once; empty where nobody has to, or somebody is there already."""
        return self._running.first_link

    def end_streams(self) -> None:
        """Before stopping: standing streams, which never end by themselves, end in good order. Calls go on."""
        self._running.changes.close()


def build(settings: Settings, egress: Egress | None = None) -> Gateway:
    """The gateway. Nothing is opened before its lifespan begins. `egress` is another one in tests."""
    running = _Running(egress=egress or Egress())

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
async def _gateway(settings: Settings, running: _Running, control: FastAPI) -> AsyncIterator[None]:
    """Open everything in order, and close it in reverse."""
    database = await Database.open(settings.data)
    keyring = KeyRing.of(settings.data, settings.secret_keys.get_secret_value())
    registry, identity = Registry(database, keyring), Identity(database)
    provisioning = Provisioning(registry, identity)
    keys, audit, tracing = KeySets(Fetching()), Audit(database), telemetry.start(__version__)
    keepers: Keepers | None = None
    try:
        if settings.config is not None:
            declared = await provisioning.apply(settings.config)
            settings = settings.completed(public_url=declared.public_url, auth=declared.auth)
        refuse_open_gateway(settings)
        oauth = _oauth(settings, database, identity, provisioning, running, audit)
        identity.accept(ForeignTokens(lambda: provisioning.trust, Fetching(), keys).verify)  # last: it asks others
        vault, single = _vault(database, keyring, registry, provisioning, running, oauth, Discovery(Fetching()))
        keepers = Keepers.of(database, keyring, registry, identity, audit, oauth, vault)
        async with (
            SqliteCounter(database.path) as counter,
            anyio.create_task_group() as refreshing,
            LinkPool(registry.resolve, vault.accounts(refreshing)) as links,
            anyio.create_task_group() as tasks,
        ):
            parking = Parking(keyring, tasks)
            means = Means(
                links=links,
                keyring=keyring,
                parking=parking,
                schemas=Schemas(),
                spans=tracing.spans,
                timeout=settings.call_timeout_seconds,
                gate=Gate(counter, _asking(settings, keepers, keyring), resumes=parking.resumes),
                pins=keepers.definitions,
                wanting=Wanting(running.changes),
                note=keepers.record.note,
            )
            exchange = Exchange(
                Corridor(means, Snapshots(tasks, means.catalogue.freshness)),
                Sessions(keyring, settings.session_days),
                running.changes,
                tasks,
                max_body=settings.max_body_bytes,
            )
            running.directory = await keepers.directory()
            running.first_link = await join.first_link(identity, provisioning.trust, oauth.addresses, settings.auth)
            _mount(settings, running, control, exchange, keepers, counter, keyring, keys, single)
            vault.when_changed(tasks, links.forget_account)
            vault.connections.ended = keepers.account_ended
            for work in _beside(settings, provisioning, keepers, links, running):
                tasks.start_soon(_lasting, work)
            yield
            running.entrance = None
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            if keepers is not None:
                await keepers.flush()
            await database.close()
            await anyio.to_thread.run_sync(tracing.close)


def _asking(settings: Settings, keepers: Keepers, keyring: KeyRing) -> Asking:
    """Who puts calls before people."""
    return Asking(keepers.approvals, keyring, partial(approve.page_url, settings.base_url))


def _oauth(
    settings: Settings,
    database: Database,
    identity: Identity,
    provisioning: Provisioning,
    running: _Running,
    audit: Audit,
) -> OAuthServer:
    """The OAuth server, whose tokens `identity` then knows."""
    made = OAuthServer.of(
        database,
        identity.people,
        ClientDocuments(running.egress, terms=lambda: provisioning.trust.terms),
        Addresses(settings.base_url),
        trust=lambda: provisioning.trust,
        directory=lambda: running.directory,
        address_of=partial(address_of, trusted=settings.proxies),
        note=audit.note,
    )
    identity.accept(made.tokens.verify)
    return made


def _vault(
    database: Database,
    keyring: KeyRing,
    registry: Registry,
    provisioning: Provisioning,
    running: _Running,
    oauth: OAuthServer,
    providers: Discovery,
) -> tuple[Vault, SingleSignOn]:
    """What keeps people's accounts at servers, and the single sign-on that some of them come from."""

    async def resolved(server: McpServer) -> tuple[str, Auth | None]:
        return (await registry.resolve(server)).url, await registry.resolved_auth(server)

    single = SingleSignOn(PendingSignIns(keyring), discovery=providers)
    around = Around(oauth.directory, resolved, lambda: provisioning.trust, providers.metadata, single.renew)
    return Vault(database, keyring, running.egress, oauth.addresses, around), single


def _beside(
    settings: Settings, provisioning: Provisioning, keepers: Keepers, links: LinkPool, running: _Running
) -> list[Callable[[], Awaitable[None]]]:
    """What goes on beside the calls, without end."""
    return [
        *([] if settings.config is None else [partial(provisioning.watch, settings.config)]),
        partial(_follow, keepers, links, running),
        partial(_record_use, keepers),
        partial(_tidy, keepers),
        keepers.definitions.run,
        keepers.record.run,
        keepers.audit.run,
    ]


def _mount(
    settings: Settings,
    running: _Running,
    control: FastAPI,
    exchange: Exchange,
    keepers: Keepers,
    counter: SqliteCounter,
    keyring: KeyRing,
    keys: KeySets,
    single: SingleSignOn,
) -> None:
    """Put every surface in its place; from then on requests are served."""
    is_open = settings.auth == "none"
    authenticate = _local if is_open else keepers.identity.authenticate

    oauth = keepers.oauth
    site = Site(oauth.addresses, oauth.directory, LOCAL_ADMIN if is_open else None, oauth.address_of)
    vault, logins = keepers.vault, keepers.identity.logins
    signed_in = SignedIn(keepers.sessions, keepers.identity, site.origin, vault.sign_ins.forget)
    control.include_router(approve.router(site, keepers.approvals, authenticate, signed_in))
    control.include_router(sign_in.router(site, signed_in, keepers.identity, oauth.trust, oauth.note))
    control.include_router(sso.router(site, signed_in, logins, single, oauth.trust, oauth.note, vault.sign_ins.keep))
    control.include_router(join.router(site, signed_in, keepers.identity, oauth.trust, oauth.note))
    connecting = vault.connecting
    control.include_router(connect.router(site, signed_in, connecting, vault.links, oauth.note))
    control.include_router(accounts.router(site, signed_in, connecting, oauth.note))
    control.include_router(front.router(site, signed_in, oauth.grants, connecting))
    control.include_router(apps.router(site, signed_in, oauth))
    control.include_router(published_keys.router(oauth, vault.signing.published))
    if not is_open:
        control.include_router(consent.router(site, signed_in, Authorizing(oauth, connecting.next_step), keyring))
        control.include_router(endpoints.router(oauth, Enterprises(oauth, logins, keys).exchange))
    services = admin.Services(
        keepers.registry,
        keepers.identity,
        keepers.policies,
        keepers.definitions,
        keepers.approvals,
        counter,
        keepers.audit,
        oauth.grants,
        oauth.addresses,
        oauth.note,
        connecting,
    )
    control.include_router(
        admin.router(services, authenticate, oauth.directory, site.origin, oauth.address_of, oauth.note)
    )
    running.entrance = Entrance(
        exchange,
        Admission(authenticate),
        oauth.directory,
        _hosts(settings),
        control,
        settings.proxies,
        oauth.addresses,
        signs_in=not is_open,
        witness=Witness(oauth.note),
    )


async def _lasting(work: Callable[[], Awaitable[None]]) -> None:
    """Run what shall never end; when it fails (a full disk, a locked file) it is begun anew, and calls go on."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("something that runs beside the calls failed; it is begun anew in %g s", BEGIN_ANEW)
        await anyio.sleep(BEGIN_ANEW)


async def _record_use(keepers: Keepers) -> None:
    """Write now and then when keys were last used and browsers last seen."""
    while True:
        await anyio.sleep(RECORD_EVERY)
        await keepers.record_use()


async def _tidy(keepers: Keepers) -> None:
    """Forget now and then what is over."""
    while True:
        await keepers.tidy()
        await anyio.sleep(TIDY_EVERY)


async def _follow(keepers: Keepers, links: LinkPool, running: _Running) -> None:
    """Serve from what is registered now, whoever changed it: this process, its files, or the command line."""
    async for _ in keepers.registry.revisions(LOOK_EVERY):
        keepers.sessions.forget()
        keepers.oauth.tokens.forget()
        keepers.vault.forget()
        before, after = running.directory, await keepers.directory()
        await keepers.identity.refresh()
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
