"""Accounts at servers: which are connected and how they are, and disconnecting one. Never what is in them.

Members see and disconnect their own, owners and admins all of the workspace. Of one that is not theirs to see, members
learn not even that there is one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import Path
from pydantic import BaseModel

from portkey_mcp.activity.acts import Act
from portkey_mcp.admin.desk import Asker, Asking
from portkey_mcp.admin.visiting import Services
from portkey_mcp.errors import NotFound
from portkey_mcp.vault.connection import Connection

SHARED: Final = "workspace"
"""What is said in the place of a person of the account that all of a workspace share."""

Server = Annotated[str, Path(description="Name of the server.")]
Subject = Annotated[str, Path(description="Whose account: `subject` or `subject_id` of the list.")]


class Account(BaseModel):
    """One account. `subject` is whose it is: an e-mail address, `workspace` for the one that all share, or else an id.

    `issuer` is the authorization server that gave it; empty for what a person entered. `why` says why it ended.
    `wanted` are scopes that the server asked for and the account lacks. `expires` is when what is kept now does; where
    it can be refreshed, it is.
    """

    server: str
    subject: str
    subject_id: str
    issuer: str
    scopes: list[str]
    wanted: list[str]
    state: Literal["good", "ended"]
    why: str
    connected_by: str
    created: datetime
    refreshed: datetime | None
    expires: datetime | None


class Removed(BaseModel):
    """What was disconnected. `revoked`: whether it was ended at its issuer, too; null: nothing had to be."""

    removed: str
    revoked: bool | None


class ConnectionsDesk:
    """Answers requests about connections."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def list_connections(self, asker: Asking) -> list[Account]:
        """The accounts at the workspace's servers, by server; members see their own."""
        names = self._names(asker.workspace)
        return [account_of(one, names) for one in await self._visible(asker)]

    async def remove_connection(self, asker: Asking, server: Server, subject: Subject) -> Removed:
        """Disconnect an account: it is forgotten at once, and revoked at its issuer if that can be done."""
        names = self._names(asker.workspace)
        told = [(one, account_of(one, names)) for one in await self._visible(asker)]
        found = next(
            (one for one, said in told if said.server == server and subject in (said.subject, said.subject_id)), None
        )
        connecting = self._services.connecting
        ended = None if found is None or connecting is None else await connecting.disconnect(found.place)
        if ended is None:
            raise NotFound("There is no such account here, or it is not yours to see.")
        act = Act("disconnect", asker.principal, "", asker.address, asker.workspace, server)
        self._services.note(act)
        return Removed(removed=f"{server}/{subject}", revoked=ended.revoked)

    async def _visible(self, asker: Asker) -> list[Connection]:
        if self._services.connecting is None:
            return []
        found = await self._services.connecting.connections.of_workspace(asker.workspace)
        return [one for one in found if asker.rules or one.place.subject == asker.principal.id]

    def _names(self, workspace: str) -> Mapping[str, str]:
        return {one.id: one.email for one in self._services.identity.people.members(workspace)}


def account_of(connection: Connection, names: Mapping[str, str]) -> Account:
    """A connection as it may be told; `names` are e-mail addresses by the ids of people."""
    place, credential = connection.place, connection.credential
    return Account(
        server=place.server,
        subject=names.get(place.subject, place.subject) or SHARED,
        subject_id=place.subject,
        issuer=credential.issuer,
        scopes=list(credential.scopes),
        wanted=list(connection.wanted),
        state=connection.state,
        why=connection.why,
        connected_by=names.get(connection.connected_by, connection.connected_by),
        created=connection.created,
        refreshed=connection.refreshed,
        expires=None if credential.tokens is None else credential.tokens.expires,
    )
