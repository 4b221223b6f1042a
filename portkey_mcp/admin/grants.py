"""Apps that people let in: which there are, and ending one. Members see and end their own, owners and admins all.

Of an app that is not theirs to see, members learn not even that there is one.
"""

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import BaseModel

from portkey_mcp.activity.acts import Act
from portkey_mcp.admin.desk import Asker, Asking
from portkey_mcp.admin.visiting import Services
from portkey_mcp.errors import NotFound
from portkey_mcp.oauth.grants import Grant

Ident = Annotated[str, Path(description="Of the grant.")]


class App(BaseModel):
    """One grant. `app` is what the client calls itself; `reach` is `workspace` or `workspace/server`."""

    id: str
    person: str
    app: str
    client_id: str
    sends_back_to: str
    reach: str
    scopes: list[str]
    created: datetime
    last_used: datetime | None


class Ended(BaseModel):
    """The grant that has ended."""

    ended: str


class GrantsDesk:
    """Answers requests about grants."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._grants = services.grants

    async def list_grants(self, asker: Asking) -> list[App]:
        """What apps may do in the workspace, the newest first; members see what they allowed themselves."""
        names = {one.id: one.email for one in self._services.identity.people.members(asker.workspace)}
        return [_told(one, names) for one in await self._visible(asker)]

    async def end_grant(self, asker: Asking, ident: Ident) -> Ended:
        """End an app's access: all its tokens at that place end at once, everywhere."""
        found = next((one for one in await self._visible(asker) if one.id == ident), None)
        if found is None:
            raise NotFound("There is no such grant here, or it is not yours to see.")
        granted = found.granted
        await self._grants.withdraw(granted.person, ident)
        act = Act(
            "revoke", asker.principal, "", asker.address, asker.workspace, granted.client_name, client=granted.client
        )
        self._services.note(act)
        return Ended(ended=ident)

    async def _visible(self, asker: Asker) -> list[Grant]:
        whose = None if asker.rules else asker.principal.id
        return await self._grants.of_workspace(asker.workspace, whose)


def _told(grant: Grant, names: dict[str, str]) -> App:
    granted = grant.granted
    return App(
        id=grant.id,
        person=names.get(granted.person, granted.person),
        app=granted.client_name,
        client_id=granted.client,
        sends_back_to=granted.redirect_host,
        reach=granted.reach,
        scopes=list(granted.scopes),
        created=grant.created,
        last_used=grant.last_used,
    )
