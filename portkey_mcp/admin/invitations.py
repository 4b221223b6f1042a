"""Invitations over the API: links by which people join the workspace. For owners and admins alone, to read too."""

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, Field

from portkey_mcp.admin.acting import acting
from portkey_mcp.admin.desk import Asking, Body
from portkey_mcp.admin.people import NO_GROUPS, Groups
from portkey_mcp.admin.visiting import Services
from portkey_mcp.errors import Forbidden, NotFound
from portkey_mcp.identity.invitations import DAYS, MOST_DAYS, Invitation
from portkey_mcp.model import Role, outranks

Ident = Annotated[str, Path(description="Of the invitation.")]


class NewInvitation(Body):
    """Whom to invite: with `email` nobody else may use it; without, whoever opens the link first."""

    email: str = ""
    role: Role = "member"
    groups: Groups = NO_GROUPS
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = DAYS


class Invited(BaseModel):
    """An invitation that can still be used. `inviter` is the id of whoever made it; empty: from the command line."""

    id: str
    email: str
    role: Role
    groups: list[str]
    inviter: str
    created: datetime
    expires: datetime


class Made(Invited):
    """One that was just made, with its link: the only time that it is seen."""

    link: str


class InvitationsDesk:
    """Answers requests about invitations."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._invitations = services.identity.invitations

    async def list_invitations(self, asker: Asking) -> list[Invited]:
        """The invitations that can still be used, the latest first. Takes the role owner or admin."""
        asker.must_rule("see invitations")
        return [Invited(**_facts(one)) for one in await self._invitations.all(asker.workspace)]

    async def invite(self, asker: Asking, body: NewInvitation) -> Made:
        """Make a link by which one person joins. Takes the role owner or admin; nobody gives a role above their own.

        It is good once, and for as long as you could make it.
        """
        with acting(self._services.note, asker, "invitation", body.email, how="made", role=body.role):
            asker.must_rule("invite people")
            if outranks(body.role, asker.role):
                raise Forbidden(f"To give the role {body.role} takes that role; yours is {asker.role}.")
            token, made = await self._invitations.invite(
                asker.workspace,
                body.role,
                email=body.email,
                groups=body.groups,
                days=body.days,
                inviter=asker.principal.id,
            )
        return Made(**_facts(made), link=self._services.addresses.invitation(token))

    async def take_invitation_back(self, asker: Asking, ident: Ident) -> Invited:
        """Make an invitation worth nothing, at once. Takes the role owner or admin, and one not below what it gives."""
        with acting(self._services.note, asker, "invitation", ident, how="taken back"):
            asker.must_rule("take invitations back")
            found = next((one for one in await self._invitations.all(asker.workspace) if one.id == ident), None)
            if found is None:
                raise NotFound("There is no such invitation here that could still be used.")
            if outranks(found.role, asker.role):
                raise Forbidden(f"This invitation gives the role {found.role}; yours is {asker.role}.")
            await self._invitations.take_back(ident)
        return Invited(**_facts(found))


def _facts(one: Invitation) -> dict[str, object]:
    return {name: getattr(one, name) for name in Invited.model_fields if name != "groups"} | {
        "groups": list(one.groups)
    }
