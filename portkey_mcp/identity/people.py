"""People: local accounts, what they are in each workspace, and the groups they are in there.

Who somebody is is answered from memory, so that a call costs no database read; `refresh` reads it anew whenever the
database has changed, in every process. Whoever was removed or disabled is nobody from then on, and with them goes all
that was theirs. Passwords are `identity/passwords.py`'s.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import anyio
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Mistake
from portkey_mcp.identity import members
from portkey_mcp.identity.members import PersonOrigin
from portkey_mcp.identity.tables import GroupMemberRow, MembershipRow, PersonRow
from portkey_mcp.model import DeclaredMember, Principal, Role, folded_email, label_problem
from portkey_mcp.storage.database import Database


@dataclass(frozen=True, slots=True)
class Membership:
    """What a person is in one workspace. `origin` says who manages it."""

    workspace: str
    role: Role
    groups: tuple[str, ...]
    origin: PersonOrigin


@dataclass(frozen=True, slots=True)
class Person:
    """What may be shown of a person. `disabled` is since when they are kept out, None for who is not."""

    id: str
    email: str
    name: str
    origin: PersonOrigin
    created: datetime
    disabled: datetime | None
    has_password: bool
    memberships: tuple[Membership, ...]
    claimed: tuple[str, ...] = ()
    """The groups that their identity provider named at the last sign-in."""

    def is_called(self, named: str) -> bool:
        """Whether this is their id or e-mail address, however that is written."""
        return named == self.id or folded_email(named) == folded_email(self.email)


class People:
    """Adds, changes, lists and removes people, and says who they are."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._principals: Mapping[str, Principal] = {}
        self._ids: Mapping[str, str] = {}
        self._one_refresh = anyio.Lock()
        self.is_read = False
        """Whether `refresh` was called yet."""

    def principal(self, person: str) -> Principal | None:
        """The person with this id, as `refresh` found them last; None for one who is gone or disabled."""
        return self._principals.get(person)

    def members(self, workspace: str) -> list[Principal]:
        """The members of a workspace who are not disabled, as `refresh` found them last, by name."""
        found = [one for one in self._principals.values() if one.role_in(workspace) is not None]
        return sorted(found, key=lambda one: (one.name, one.id))

    def named(self, email: str) -> Principal | None:
        """The person with this e-mail address or id, as `refresh` found them last."""
        return self._principals.get(self._ids.get(folded_email(email), email))

    async def refresh(self) -> None:
        """Read everybody anew; to be called when the database's revision has changed."""
        async with self._one_refresh:  # or one that began to read earlier could have the last word
            people = await self.all()
            self._ids = {folded_email(person.email): person.id for person in people}
            self.is_read = True
            self._principals = {person.id: _principal(person) for person in people if person.disabled is None}

    async def is_empty(self) -> bool:
        """Whether there is no person at all."""
        async with self._database.read() as session:
            return await session.scalar(select(PersonRow.id).limit(1)) is None

    async def all(self, workspace: str | None = None) -> list[Person]:
        """All people, or the members of one workspace with what they are there, by e-mail address."""
        query = select(MembershipRow).order_by(MembershipRow.workspace)
        if workspace is not None:
            query = query.filter_by(workspace=workspace)
        async with self._database.read() as session:
            rows = (await session.scalars(select(PersonRow).order_by(PersonRow.folded))).all()
            memberships = (await session.scalars(query)).all()
            groups = (await session.scalars(select(GroupMemberRow).order_by(GroupMemberRow.name))).all()
        names: dict[tuple[str, str], list[str]] = {}
        for group in groups:
            names.setdefault((group.workspace, group.person), []).append(group.name)
        of: dict[str, list[Membership]] = {}
        for row in memberships:
            own = tuple(names.get((row.workspace, row.person), ()))
            one = Membership(row.workspace, cast(Role, row.role), own, cast(PersonOrigin, row.origin))
            of.setdefault(row.person, []).append(one)
        return [_shown(row, of.get(row.id, ())) for row in rows if workspace is None or row.id in of]

    async def add(
        self,
        email: str,
        name: str = "",
        *,
        workspace: str | None = None,
        role: Role = "member",
        groups: Iterable[str] = (),
        password: str = "",
    ) -> str:
        """Make a person, or with `workspace` make one that there is a member of it; returns the person's id.

        `password` is a hash, as `Passwords.hashed` makes it; a person that there is keeps theirs and is given none.

        Raises:
            Mistake: the person is there already, or a member already; there is no such workspace; something is wrong.
        """
        if name and (problem := label_problem(name, "name of a person")):
            raise Mistake(problem)
        try:
            async with self._database.write() as session:
                row = await members.find(session, email)
                if row is None:
                    row = members.new_person(email, name, "cli")
                    row.password = password
                    session.add(row)
                    await session.flush()
                else:
                    await _refuse_again(session, row, workspace, password)
                    row.name = name or row.name
                if workspace is not None:
                    await members.join(session, row, workspace, role, groups, "cli")
        except IntegrityError:
            raise Mistake(f"there is no workspace {workspace!r}") from None
        await self.refresh()
        return row.id

    async def set_role(self, email: str, workspace: str, role: Role) -> None:
        """Give a member of a workspace another role there.

        Raises:
            Mistake: no such person, member or role, or a file or single sign-on manages it.
        """
        async with self._database.write() as session:
            person, membership = await members.member(session, email, workspace)
            members.refuse_managed(person, membership)
            membership.role = members.checked_role(role)
        await self.refresh()

    async def set_groups(
        self, email: str, workspace: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> tuple[str, ...]:
        """Put a member of a workspace into groups there, and take them out of others; returns those they are in now.

        Raises:
            Mistake: no such person, member or group to leave, a group's name cannot be one, or something manages it.
        """
        async with self._database.write() as session:
            person, membership = await members.member(session, email, workspace)
            members.refuse_managed(person, membership)
            place = {"workspace": workspace, "person": person.id}
            before = set(await session.scalars(select(GroupMemberRow.name).filter_by(**place)))
            for name in remove:
                if name not in before:
                    raise Mistake(f"{person.email} is in no group {name!r} of workspace {workspace!r}")
            after = sorted((before | set(add)) - set(remove))
            await members.regroup(session, workspace, person.id, after)
        await self.refresh()
        return tuple(after)

    async def leave(self, email: str, workspace: str) -> None:
        """Take a person out of a workspace; their keys there end. Single sign-on may make them a member again.

        Raises:
            Mistake: no such person or member, or a file manages it.
        """
        async with self._database.write() as session:
            person, membership = await members.member(session, email, workspace)
            if membership.origin != "sso":
                members.refuse_managed(person, membership)
            await session.delete(membership)
        await self.refresh()

    async def remove(self, email: str) -> None:
        """Remove a person and all that is theirs; here at once, in other processes when they see the new revision.

        Raises:
            Mistake: no such person, or a file makes them a member somewhere.
        """
        async with self._database.write() as session:
            person = await members.known(session, email)
            for membership in await session.scalars(select(MembershipRow).filter_by(person=person.id)):
                if membership.origin == "file":
                    raise Mistake(
                        f"{person.email} is a member of workspace {membership.workspace!r} by the configuration file; "
                        f"remove them there, or keep them out with `portkey-mcp people disable {person.email}`"
                    )
            await session.execute(delete(PersonRow).filter_by(id=person.id))
        await self.refresh()

    async def disable(self, email: str) -> None:
        """Keep a person out until `enable`, whoever manages them; nothing of theirs is lost. Takes hold as `remove`.

        Raises:
            Mistake: no such person.
        """
        async with self._database.write() as session:
            person = await members.known(session, email)
            person.disabled = person.disabled or datetime.now(UTC)
        await self.refresh()

    async def enable(self, email: str) -> None:
        """Let a person in again.

        Raises:
            Mistake: no such person.
        """
        async with self._database.write() as session:
            (await members.known(session, email)).disabled = None
        await self.refresh()

    async def provision(self, session: AsyncSession, declared: Iterable[DeclaredMember]) -> Collection[str]:
        """Take over the members a file declares, in the caller's transaction; see `members.declare`.

        Returns the workspaces that hold members made by hand. `refresh` is due once the transaction is committed.
        """
        return await members.declare(session, declared)


async def _refuse_again(session: AsyncSession, row: PersonRow, workspace: str | None, password: str) -> None:
    """Refuse to make again what there is."""
    if workspace is None:
        raise Mistake(f"there is a person {row.email!r} already")
    if await session.get(MembershipRow, (workspace, row.id)):
        raise Mistake(
            f"{row.email} is a member of workspace {workspace!r} already; "
            "`portkey-mcp people role` and `people group` change what they are there"
        )
    if password:
        raise Mistake(f"there is a person {row.email!r} already; set their password with `portkey-mcp people password`")


def _shown(row: PersonRow, memberships: Iterable[Membership]) -> Person:
    return Person(
        id=row.id,
        email=row.email,
        name=row.name,
        origin=cast(PersonOrigin, row.origin),
        created=row.created,
        disabled=row.disabled,
        has_password=bool(row.password),
        memberships=tuple(memberships),
        claimed=tuple(row.claimed),
    )


def _principal(person: Person) -> Principal:
    return Principal(
        id=person.id,
        name=person.name or person.email,
        kind="person",
        workspaces={one.workspace: one.role for one in person.memberships},
        groups=person.claimed,
        own_groups={one.workspace: one.groups for one in person.memberships if one.groups},
        email=folded_email(person.email),
    )
