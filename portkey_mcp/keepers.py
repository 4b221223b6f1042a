"""What keeps things in the database, all of it, for the composition root: made, tidied and written out together."""

from dataclasses import dataclass, replace
from typing import Final

from portkey_mcp.activity.acts import Act
from portkey_mcp.activity.audit import Audit
from portkey_mcp.activity.record import Record
from portkey_mcp.approval import approvals
from portkey_mcp.approval.approvals import Approvals
from portkey_mcp.identity.authenticate import Identity
from portkey_mcp.identity.sessions import BrowserSessions
from portkey_mcp.model import Directory
from portkey_mcp.oauth.server import OAuthServer
from portkey_mcp.registry import registry
from portkey_mcp.registry.definitions import Definitions
from portkey_mcp.registry.policies import Policies
from portkey_mcp.registry.registry import Registry
from portkey_mcp.sealing import KeyRing
from portkey_mcp.storage.database import Database
from portkey_mcp.storage.resealing import Sealed
from portkey_mcp.vault import resealing
from portkey_mcp.vault.connection import Place
from portkey_mcp.vault.vault import Vault

SEALED: Final[tuple[Sealed, ...]] = (*registry.SEALED, *approvals.SEALED, *resealing.SEALED)
"""Everything that rests sealed in the database, for whoever changes keys."""


@dataclass(frozen=True)
class Keepers:
    """What keeps things in the database, each for its own tables."""

    registry: Registry
    identity: Identity
    sessions: BrowserSessions
    definitions: Definitions
    policies: Policies
    approvals: Approvals
    record: Record
    audit: Audit
    oauth: OAuthServer
    vault: Vault

    @classmethod
    def of(
        cls,
        database: Database,
        keyring: KeyRing,
        registry: Registry,
        identity: Identity,
        audit: Audit,
        oauth: OAuthServer,
        vault: Vault,
    ) -> "Keepers":
        return cls(
            registry,
            identity,
            BrowserSessions(database),
            Definitions(database),
            Policies(database),
            Approvals(database, keyring),
            Record(database),
            audit,
            oauth,
            vault,
        )

    async def directory(self) -> Directory:
        """What is registered, and how far its tools were reviewed, as it is now."""
        await self.definitions.refresh()
        found, reviewed = await self.registry.directory(), self.definitions.version
        workspaces = {slug: replace(one, reviewed=reviewed) for slug, one in found.workspaces.items()}
        return replace(found, workspaces=workspaces)

    async def record_use(self) -> None:
        """Write when keys and grants were last used and browsers last seen."""
        await self.identity.record_use()
        await self.oauth.tokens.record_use()
        await self.sessions.record_use()

    async def tidy(self) -> None:
        """Forget what is over."""
        await self.approvals.tidy()
        await self.sessions.tidy()
        await self.identity.invitations.tidy()
        await self.oauth.tidy()
        await self.vault.tidy({person.id for person in await self.identity.people.all()})

    def account_ended(self, place: Place, why: str) -> None:
        """Take note that an account at a server ended by itself."""
        act, where = "connection_ended", place.workspace
        self.audit.note(Act(act, actor=place.subject, workspace=where, subject=place.server, detail={"why": why}))

    async def flush(self) -> None:
        """Write what waits, at the end; first what cannot fail."""
        await self.audit.flush()
        await self.record.flush()
        await self.record_use()
        await self.definitions.flush()
