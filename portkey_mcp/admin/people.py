"""Members of a workspace over the API: whom there is, and who is what.

Every member sees names and roles; all that is known of others, and every change, is for owners and admins. Nobody
changes somebody above them, and a workspace keeps an owner; see `identity.memberships`.
"""

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, Field

from portkey_mcp.admin.acting import acting
from portkey_mcp.admin.desk import Asker, Asking, Body
from portkey_mcp.admin.visiting import Services
from portkey_mcp.identity.people import Person
from portkey_mcp.model import Role, folded_email

PersonPath = Annotated[str, Path(description="The member's id or e-mail address.")]
Groups = Annotated[list[str], Field(max_length=100, description="Groups of this workspace.")]
NO_GROUPS: Groups = []


class NewMember(Body):
    """Whoever is to be a member. `name` is for an account that is made: nobody renames one that there is."""

    email: str
    name: str = ""
    role: Role = "member"
    groups: Groups = NO_GROUPS


class Change(Body):
    """What is to be otherwise; null leaves it as it is. `groups` are all that the member is to be in."""

    role: Role | None = None
    groups: Groups | None = None


class Member(BaseModel):
    """A member. All but id, name and role is null where it is somebody else's and you are no owner or admin.

    `managed`: a configuration file or single sign-on says it, and it changes there only. `disabled`: since when they
    are kept out.
    """

    id: str
    name: str
    role: Role
    email: str | None = None
    groups: list[str] | None = None
    managed: bool | None = None
    has_password: bool | None = None
    created: datetime | None = None
    disabled: datetime | None = None


class PeopleDesk:
    """Answers requests about members."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._memberships = services.identity.memberships

    async def list_people(self, asker: Asking) -> list[Member]:
        """The members, by e-mail address: for owners and admins with all that is known, for others names and roles."""
        people = await self._services.identity.people.all(asker.workspace)
        return [_told(asker, one) for one in people]

    async def add_person(self, asker: Asking, body: NewMember) -> Member:
        """Make somebody a member, with an account if they have none. Takes the role owner or admin.

        An account that is made has no password: the person comes by a provider, or somebody sets one. To let people
        choose their own, invite them.
        """
        with acting(self._services.note, asker, "member", folded_email(body.email), how="added", role=body.role):
            asker.must_rule("add people")
            made, is_new = await self._memberships.add(
                asker.workspace, body.email, by=asker.role, name=body.name, role=body.role, groups=body.groups
            )
        if is_new:
            with acting(self._services.note, asker, "person", folded_email(body.email), how="made"):
                pass
        return _told(asker, made)

    async def change_person(self, asker: Asking, person: PersonPath, body: Change) -> Member:
        """Give a member another role or other groups. Takes the role owner or admin, and one not below theirs.

        409 where a configuration file manages them, or the workspace would have no owner.
        """
        detail = {"role": body.role or "", "groups": "" if body.groups is None else ", ".join(body.groups)}
        with acting(self._services.note, asker, "member", folded_email(person), how="changed", **detail):
            asker.must_rule("change people")
            changed = await self._memberships.change(
                asker.workspace, person, by=asker.role, role=body.role, groups=body.groups
            )
        return _told(asker, changed)

    async def remove_person(self, asker: Asking, person: PersonPath) -> Member:
        """Take a member out of the workspace, with their keys there; their account stays. As for a change."""
        with acting(self._services.note, asker, "member", folded_email(person), how="removed"):
            asker.must_rule("remove people")
            gone = await self._memberships.end(asker.workspace, person, by=asker.role)
        return _told(asker, gone)


def _told(asker: Asker, person: Person) -> Member:
    membership = next(one for one in person.memberships if one.workspace == asker.workspace)
    member = Member(id=person.id, name=person.name or person.email, role=membership.role)
    if asker.rules or person.id == asker.principal.id:
        member.email, member.groups = person.email, list(membership.groups)
        member.managed, member.has_password = membership.origin in ("file", "sso"), person.has_password
        member.created, member.disabled = person.created, person.disabled
    return member
