"""What commands work on: the database of `--data`, after taking over the file of `--config` as `serve` would."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from portkey_mcp.activity.acts import Act
from portkey_mcp.activity.audit import Audit
from portkey_mcp.cli.who import whoever
from portkey_mcp.errors import Mistake
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.model import McpServer, Workspace
from portkey_mcp.registry.policies import Policies
from portkey_mcp.registry.provisioning import Provisioning
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.settings import Settings
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Trust


@dataclass(frozen=True, slots=True)
class Stores:
    """The rooms that a command asks."""

    registry: Registry
    identity: Identity
    policies: Policies
    database: Database
    """For the rooms that only some commands ask."""
    audit: Audit
    keyring: KeyRing
    """For what is kept sealed."""
    trust: Trust
    """What the file says of whom the gateway trusts."""

    def note(self, act: Act) -> None:
        """Take note of an act: of whoever runs the command, unless it says whose. Written when the command ends."""
        self.audit.note(act if act.who or act.actor else replace(act, who=whoever()))

    async def workspace(self, slug: str) -> Workspace:
        """A workspace.

        Raises:
            Mistake: there is none.
        """
        workspaces = (await self.registry.directory()).workspaces
        if slug not in workspaces:
            raise Mistake(f"there is no workspace {slug!r}; known are: {', '.join(workspaces) or 'none'}")
        return workspaces[slug]

    async def server(self, slug: str, name: str) -> McpServer:
        """A server of a workspace.

        Raises:
            Mistake: there is none.
        """
        servers = (await self.workspace(slug)).servers
        if name not in servers:
            raise Mistake(f"workspace {slug!r} has no server {name!r}; known are: {', '.join(servers) or 'none'}")
        return servers[name]


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Stores]:
    """Open the database, migrated, and close it at the end.

    Raises:
        Mistake: the file or the data directory is wrong.
    """
    database = await Database.open(settings.data)
    try:
        keyring = KeyRing.of(settings.data, settings.secret_keys.get_secret_value())
        registry, identity = Registry(database, keyring), Identity(database)
        provisioning = Provisioning(registry, identity)
        if settings.config is not None:
            await provisioning.apply(settings.config)
        audit = Audit(database)
        try:
            yield Stores(registry, identity, Policies(database), database, audit, keyring, provisioning.trust)
        finally:
            await audit.flush()
    finally:
        await database.close()
