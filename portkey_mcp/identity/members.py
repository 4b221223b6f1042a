"""Rows of people and of what they are in workspaces: the steps of one transaction, which `People` drives."""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Literal, get_args

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Conflict, Mistake
from portkey_mcp.identity.tables import GroupMemberRow, MembershipRow, PersonRow
from portkey_mcp.model import DeclaredMember, Role, email_problem, folded_email, label_problem

PersonOrigin = Literal["file", "cli", "dashboard", "api", "invitation", "self", "sso"]
"""Who made a person or a membership. What single sign-on made, it also changes and takes away. `self`: a person who
made their account by an invitation that was for anybody, so that nobody knows whether their address is theirs."""


async def find(session: AsyncSession, email: str) -> PersonRow | None:
    """The person with an e-mail address, however it is spelt; None where there is none."""
    found: PersonRow | None = await session.scalar(select(PersonRow).filter_by(folded=folded_email(email)))
    return found


async def known(session: AsyncSession, email: str) -> PersonRow:
    """The person with an e-mail address.

    Raises:
        Mistake: there is none.
    """
    row = await find(session, email)
    if row is None:
        raise Mistake(f"there is no person {email!r}; `portkey-mcp people list` says whom there is")
    return row


async def member(session: AsyncSession, email: str, workspace: str) -> tuple[PersonRow, MembershipRow]:
    """A person, and what they are in a workspace.

    Raises:
        Mistake: there is no such person, or they are no member of it.
    """
    person = await known(session, email)
    membership = await session.get(MembershipRow, (workspace, person.id))
    if membership is None:
        raise Mistake(
            f"{person.email} is no member of workspace {workspace!r}; "
            f"`portkey-mcp people add {person.email} --workspace {workspace}` makes them one"
        )
    return person, membership


def refuse_managed(person: PersonRow, membership: MembershipRow) -> None:
    """Refuse to change by hand what a file or single sign-on says.

    Raises:
        Conflict: one of them manages this membership.
    """
    if membership.origin == "sso":
        raise Conflict(
            f"what {person.email} is in workspace {membership.workspace!r} is decided by the groups of their identity "
            "provider; change `join` in the configuration file, or take them out and add them by hand"
        )
    if membership.origin == "file":
        raise Conflict(
            f"what {person.email} is in workspace {membership.workspace!r} is managed by the configuration file; "
            "change it there"
        )


def new_person(email: str, name: str, origin: PersonOrigin) -> PersonRow:
    """A person without a password, not stored yet.

    Raises:
        Mistake: the e-mail address or the name cannot be one.
    """
    if problem := email_problem(email) or (label_problem(name, "name of a person") if name else ""):
        raise Mistake(problem)
    return PersonRow(
        id=f"person:{secrets.token_hex(8)}",
        email=email,
        folded=folded_email(email),
        name=name,
        password="",
        origin=origin,
        created=datetime.now(UTC),
        disabled=None,
    )


def checked_role(role: str) -> str:
    """The role itself.

    Raises:
        Mistake: there is none of that name.
    """
    if role not in get_args(Role):
        raise Mistake(f"there is no role {role!r}; expected one of {', '.join(get_args(Role))}")
    return role


async def join(
    session: AsyncSession, person: PersonRow, workspace: str, role: str, groups: Iterable[str], origin: PersonOrigin
) -> None:
    """Make a person a member of a workspace.

    Raises:
        Mistake: a group's name or the role cannot be one.
        sqlalchemy.exc.IntegrityError: there is no such workspace.
    """
    session.add(MembershipRow(workspace=workspace, person=person.id, role=checked_role(role), origin=origin))
    await session.flush()
    await regroup(session, workspace, person.id, groups)


async def regroup(session: AsyncSession, workspace: str, person: str, groups: Iterable[str]) -> None:
    """Put a member into exactly these groups.

    Raises:
        Mistake: one of them cannot be the name of a group.
    """
    wanted = set(groups)
    for name in sorted(wanted):
        if problem := label_problem(name, "name of a group"):
            raise Mistake(problem)
    await session.execute(delete(GroupMemberRow).filter_by(workspace=workspace, person=person))
    session.add_all(GroupMemberRow(workspace=workspace, person=person, name=name) for name in sorted(wanted))
    await session.flush()


async def declare(session: AsyncSession, declared: Iterable[DeclaredMember]) -> Collection[str]:
    """Make the members that a file manages equal to the declared ones; returns the workspaces with others.

    Members by single sign-on keep no workspace, and are the file's where it declares them, too. A person whom only the
    file made goes when no membership is left to them; anybody else stays.

    Raises:
        Mistake: one of them was made a member by hand, or something about them cannot be.
    """
    wanted = {(one.workspace, folded_email(one.email)): one for one in declared}
    people = {row.folded: row for row in await session.scalars(select(PersonRow))}
    emails = {row.id: row.folded for row in people.values()}
    memberships = {(row.workspace, emails[row.person]): row for row in await session.scalars(select(MembershipRow))}
    for place, row in memberships.items():
        if row.origin == "file" and place not in wanted:
            await session.delete(row)
    await _declare_people(session, wanted.values(), people)
    await session.flush()
    for (workspace, folded), one in wanted.items():
        membership = memberships.get((workspace, folded))
        if membership is None:
            await join(session, people[folded], workspace, one.role, one.groups, "file")
        elif membership.origin not in ("file", "sso"):
            raise Mistake(
                f"workspace {workspace!r}: {one.email} was made a member by hand; take them out with "
                f"`portkey-mcp people remove {one.email} --workspace {workspace}`, or out of the file"
            )
        else:
            membership.role, membership.origin = checked_role(one.role), "file"
            await regroup(session, workspace, membership.person, one.groups)
    await session.flush()
    await _forget_left(session, people.values())
    return {row.workspace for row in memberships.values() if row.origin not in ("file", "sso")}


async def _declare_people(
    session: AsyncSession, wanted: Iterable[DeclaredMember], people: dict[str, PersonRow]
) -> None:
    """Make whom there is not, and call whom the file made as the file does now."""
    named: dict[str, list[DeclaredMember]] = defaultdict(list)
    for one in wanted:
        named[folded_email(one.email)].append(one)
    for folded, several in named.items():
        name = next((one.name for one in several if one.name), "")
        fresh = new_person(several[0].email, name, "file")
        if folded not in people:
            people[folded] = fresh
            session.add(fresh)
        elif people[folded].origin == "file":
            people[folded].email, people[folded].name = fresh.email, name
        elif name and not people[folded].name:
            people[folded].name = name


async def _forget_left(session: AsyncSession, people: Iterable[PersonRow]) -> None:
    members = set(await session.scalars(select(MembershipRow.person).distinct()))
    for row in people:
        if row.origin == "file" and row.id not in members:
            await session.delete(row)
    await session.flush()
