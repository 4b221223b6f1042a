"""Who somebody is here whom an identity provider knows, and what their groups there make them in workspaces.

People are found by issuer and subject, never by e-mail address alone: addresses are given away again, and not every
provider makes sure whose they are. Each sign-in applies the provider's rules anew, to memberships of origin `sso` only;
what a file or a person at the command line decided stays. Fails closed, with words for whoever signs in.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, get_args

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Forbidden, StoreDown
from portkey_mcp.identity import members
from portkey_mcp.identity.claims import Subject
from portkey_mcp.identity.people import People
from portkey_mcp.identity.tables import GroupMemberRow, LoginRow, MembershipRow, PersonRow
from portkey_mcp.model import Principal, Role
from portkey_mcp.storage.database import Database
from portkey_mcp.trust import Provider

ROLES: Final[tuple[Role, ...]] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Change:
    """What a sign-in changed in one workspace: the role somebody has now and their groups; None: no member any more."""

    workspace: str
    role: Role | None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entered:
    """Who signed in. `made` says that the account is new, `linked` that one that was there got this login."""

    principal: Principal
    made: bool = False
    linked: bool = False
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """What somebody is to be in a workspace."""

    role: Role
    groups: frozenset[str]


class Logins:
    """Knows which subject of which issuer is which person."""

    def __init__(self, database: Database, people: People) -> None:
        self._database = database
        self._people = people

    async def enter(self, provider: Provider, subject: Subject) -> Entered:
        """Who that is; made or linked, where this is the first time, and with the memberships that are theirs now.

        What is taken away is gone when this returns; in other processes as soon as they see the new revision.

        Raises:
            Forbidden: they may not sign in; `str()` says why, for them.
            StoreDown: nobody can say.
        """
        _check_domain(provider, subject)
        with _told():
            # Most sign-ins change nothing. Announced, each would make every gateway read everybody anew.
            async with self._database.write(announce=False) as session:
                row, made, linked = await _person(session, provider, subject)
                changes = await _settle(session, row, wanted(provider, subject.groups))
                claimed = list(subject.groups)
                is_other = made or linked or bool(changes) or row.claimed != claimed
                row.claimed = claimed
            if is_other:
                async with self._database.write():
                    pass
            if is_other or self._people.principal(row.id) is None:
                await self._people.refresh()
        principal = self._people.principal(row.id)
        if principal is None:
            raise Forbidden("This account is gone, or was disabled just now.")
        return Entered(principal, made, linked, tuple(changes))

    async def asserted(self, issuer: str, subject: str, email: str) -> Principal | None:
        """Whom an enterprise's provider means that is trusted to say so: whose login that is, or whose address.

        `email` is one that the provider made sure of, or empty. None: nobody here, or somebody who is kept out.

        Raises:
            StoreDown: nobody can say.
        """
        with _told():
            async with self._database.read() as session:
                login = await session.get(LoginRow, (issuer, subject))
                row = None if login is None else await session.get(PersonRow, login.person)
                if row is None and email:
                    row = await members.find(session, email)
                    row = None if row is None or row.origin == "self" else row
            if not self._people.is_read:
                await self._people.refresh()
        return None if row is None else self._people.principal(row.id)


def wanted(provider: Provider, claimed: Iterable[str]) -> Mapping[str, _Place]:
    """What these groups of the provider's make somebody, by workspace: of several roles the one that may do most."""
    has, found = set(claimed), dict[str, _Place]()
    for rule in provider.join:
        if rule.claimed and has.isdisjoint(rule.claimed):
            continue
        before = found.get(rule.workspace, _Place(rule.role, frozenset()))
        role = min(before.role, rule.role, key=ROLES.index)
        found[rule.workspace] = _Place(role, before.groups | set(rule.groups))
    return found


def _check_domain(provider: Provider, subject: Subject) -> None:
    """Refuse whose address is of no domain that is let in: the whole domain, as the provider vouches for it."""
    if not provider.domains:
        return
    if not subject.email or not subject.verified:
        raise Forbidden(
            f"{provider.name} does not vouch for an e-mail address of yours, and only addresses of certain domains "
            "are let in here."
        )
    domain = subject.email.rpartition("@")[2]
    # Only plain letters: to lower case, other ones can become these.
    if not domain.isascii() or domain.lower() not in provider.domains:
        raise Forbidden(f"Addresses of {domain} are not let in here.")


async def _person(session: AsyncSession, provider: Provider, subject: Subject) -> tuple[PersonRow, bool, bool]:
    """Whose login that is, whether they are new, and whether the login is new for somebody who was there."""
    now = datetime.now(UTC)
    login = await session.get(LoginRow, (subject.issuer, subject.subject))
    if login is not None:
        row = await session.get(PersonRow, login.person)
        assert row is not None  # a login goes with its person
        _refuse_disabled(row)
        login.last_used = now
        return row, False, False
    row = await _by_email(session, provider, subject)
    made = row is None
    if row is None:
        if not provider.create:
            raise Forbidden(f"Nobody here has the address {subject.email}, and new accounts are made by hand only.")
        row = members.new_person(subject.email, subject.name, "sso")
        row.claimed = []
        session.add(row)
        await session.flush()
    session.add(LoginRow(issuer=subject.issuer, subject=subject.subject, person=row.id, created=now, last_used=now))
    await session.flush()
    return row, made, not made


async def _by_email(session: AsyncSession, provider: Provider, subject: Subject) -> PersonRow | None:
    """The person who may be given this login, or None where there is none with that address.

    Rules name people by their address, so nobody gets one here that the provider did not make sure of.
    """
    if not subject.email or not subject.verified:
        raise Forbidden(
            f"{provider.name} does not say that your e-mail address is verified; without that nobody can tell who you "
            "are here."
        )
    row = await members.find(session, subject.email)
    if row is None:
        return None
    _refuse_disabled(row)
    if row.origin == "self":  # whoever claimed this address early would come in with the login of whose it is
        raise Forbidden(
            f"Here somebody made an account with the address {subject.email}, and nobody made sure that it is theirs. "
            "Whoever runs this gateway can remove that person; then you can sign in."
        )
    same = subject.email == row.email or (subject.email.isascii() and row.email.isascii())
    taken = select(LoginRow.subject).filter_by(issuer=subject.issuer, person=row.id).limit(1)
    if not same or await session.scalar(taken) is not None:
        raise Forbidden(
            f"Here the address {subject.email} belongs to another account of {provider.name}. Whoever runs this "
            "gateway can remove that person; then you can sign in."
        )
    return row


def _refuse_disabled(row: PersonRow) -> None:
    if row.disabled is not None:
        raise Forbidden("Your account here is disabled.")


async def _settle(session: AsyncSession, person: PersonRow, places: Mapping[str, _Place]) -> list[Change]:
    """Make the memberships that sign-ins manage equal to these; returns what that changed."""
    rows = (await session.scalars(select(MembershipRow).filter_by(person=person.id))).all()
    changes = []
    for row in rows:
        if row.origin == "sso" and row.workspace not in places:
            await session.delete(row)
            changes.append(Change(row.workspace, None))
    await session.flush()
    is_in = {row.workspace: row for row in rows}
    for workspace, place in places.items():
        there = is_in.get(workspace)
        if there is None:
            changed = await _joined(session, person, workspace, place)
        else:
            changed = there.origin == "sso" and await _changed(session, there, place)
        if changed:
            changes.append(Change(workspace, place.role, tuple(sorted(place.groups))))
    return changes


async def _joined(session: AsyncSession, person: PersonRow, workspace: str, place: _Place) -> bool:
    """Make somebody a member, unless the workspace is gone."""
    try:
        async with session.begin_nested():
            await members.join(session, person, workspace, place.role, place.groups, "sso")
    except IntegrityError:
        return False
    return True


async def _changed(session: AsyncSession, row: MembershipRow, place: _Place) -> bool:
    """Give a member another role and other groups, where they are other ones."""
    mine = select(GroupMemberRow.name).filter_by(workspace=row.workspace, person=row.person)
    groups = set(await session.scalars(mine))
    if row.role == place.role and groups == place.groups:
        return False
    row.role = place.role
    await members.regroup(session, row.workspace, row.person, place.groups)
    return True


@contextmanager
def _told() -> Iterator[None]:
    """Tell of a store that fails as `StoreDown`."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreDown(f"logins cannot be read or written: {type(error).__name__}") from None
