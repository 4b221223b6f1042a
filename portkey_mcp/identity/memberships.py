"""What members of a workspace may do to each other: each step in one transaction with the question whether they may.

Owner, admin, member, viewer: only owners and admins change who is what, nobody what is above them, and a workspace that
has an owner keeps one. The command line is not bound by it: whoever has the machine has all.
"""

from collections.abc import Collection, Iterable
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Conflict, Forbidden, NotFound
from portkey_mcp.identity import members
from portkey_mcp.identity.people import People, Person
from portkey_mcp.identity.tables import MembershipRow, PersonRow
from portkey_mcp.model import Role, outranks
from portkey_mcp.storage.database import Database


class Memberships:
    """Adds, changes and ends memberships of `people`, in the name of somebody with a role. People are named by e-mail
    address or id.
    """

    def __init__(self, database: Database, people: People) -> None:
        self._database = database
        self._people = people

    async def add(
        self, workspace: str, email: str, *, by: Role, name: str = "", role: Role = "member", groups: Iterable[str] = ()
    ) -> tuple[Person, bool]:
        """Make a person a member; says also whether an account was made for them, which has no password.

        `name` is for an account that is made: one that there is keeps its own, which is not this workspace's to change.

        Raises:
            Forbidden: the role is above that of whoever does so.
            Conflict: they are a member already.
            Mistake: the address, name, role or a group cannot be one.
        """
        _refuse_above(role, by, "give the role")
        async with self._database.write() as session:
            row = await members.find(session, email)
            is_new = row is None
            if row is None:
                row = members.new_person(email.strip(), name, "api")
                session.add(row)
                await session.flush()
            elif await session.get(MembershipRow, (workspace, row.id)) is not None:
                raise Conflict(f"{row.email} is a member of workspace {workspace!r} already")
            await members.join(session, row, workspace, role, groups, "api")
        await self._people.refresh()
        return await self._member(workspace, row.id), is_new

    async def change(
        self,
        workspace: str,
        named: str,
        *,
        by: Role,
        role: Role | None = None,
        groups: Collection[str] | None = None,
    ) -> Person:
        """Give a member another role, put them into exactly these groups, or both; None leaves it as it is.

        Raises:
            NotFound: there is no such member.
            Forbidden: what they are, or were to be, is above whoever does so.
            Conflict: a file or single sign-on manages it, or they are the last owner.
            Mistake: a group's name cannot be one.
        """
        async with self._database.write() as session:
            person, membership = await self._theirs(session, workspace, named, by)
            members.refuse_managed(person, membership)
            if role is not None and role != membership.role:
                _refuse_above(role, by, "give the role")
                await _refuse_last_owner(session, membership)
                membership.role = members.checked_role(role)
            if groups is not None:
                await members.regroup(session, workspace, person.id, groups)
        await self._people.refresh()
        return await self._member(workspace, person.id)

    async def end(self, workspace: str, named: str, *, by: Role) -> Person:
        """Take a member out of the workspace, with their keys there; returns what they were.

        Raises:
            NotFound: there is no such member.
            Forbidden: they are above whoever does so.
            Conflict: a file manages it, or they are the last owner.
        """
        before = await self._member(workspace, named)
        async with self._database.write() as session:
            person, membership = await self._theirs(session, workspace, named, by)
            if membership.origin != "sso":  # who leaves all the same comes again with the next sign-in, if at all
                members.refuse_managed(person, membership)
            await _refuse_last_owner(session, membership)
            await session.delete(membership)
        await self._people.refresh()
        return before

    async def _member(self, workspace: str, named: str) -> Person:
        everybody = await self._people.all(workspace)
        found = next((one for one in everybody if one.is_called(named)), None)
        if found is None:
            raise _nobody(workspace)
        return found

    async def _theirs(
        self, session: AsyncSession, workspace: str, named: str, by: Role
    ) -> tuple[PersonRow, MembershipRow]:
        person = await session.get(PersonRow, named) or await members.find(session, named)
        membership = None if person is None else await session.get(MembershipRow, (workspace, person.id))
        if person is None or membership is None:
            raise _nobody(workspace)
        _refuse_above(cast(Role, membership.role), by, "change who has the role")
        return person, membership


def _refuse_above(role: Role, by: Role, what: str) -> None:
    """Refuse what is above somebody.

    Raises:
        Forbidden: in words.
        Mistake: there is no such role.
    """
    members.checked_role(role)
    if outranks(role, by):
        raise Forbidden(f"To {what} {role} takes that role; yours is {by}.")


async def _refuse_last_owner(session: AsyncSession, membership: MembershipRow) -> None:
    """Refuse to leave a workspace without an owner who may come in."""
    if membership.role != "owner":
        return
    others = (
        select(func.count())
        .select_from(MembershipRow)
        .join(PersonRow, PersonRow.id == MembershipRow.person)
        .where(
            MembershipRow.workspace == membership.workspace,
            MembershipRow.role == "owner",
            MembershipRow.person != membership.person,
            PersonRow.disabled.is_(None),
        )
    )
    if not await session.scalar(others):
        raise Conflict(f"workspace {membership.workspace!r} would have no owner; make somebody else one first")


def _nobody(workspace: str) -> NotFound:
    return NotFound(f"Workspace {workspace!r} has no such member.")
