"""Invitations: a link that makes whoever opens it first a member of a workspace, or the first person of all.

A link holds a random value of 256 bits and the database its SHA-256. It is good once, for a few days, for one e-mail
address where it names one, and for as long as whoever invited could still do so. It never opens an account that there
is: whoever has one proves that first, and joins with it. Knows neither passwords, which come hashed, nor pages.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.errors import Conflict, Forbidden, Mistake, NotFound
from portkey_mcp.identity import members
from portkey_mcp.identity.people import People
from portkey_mcp.identity.tables import ApiKeyRow, InvitationRow, MembershipRow, PersonRow
from portkey_mcp.model import Role, email_problem, folded_email, label_problem, outranks
from portkey_mcp.storage.database import Database

DAYS: Final = 7
MOST_DAYS: Final = 90
"""How long an invitation is good, if not said otherwise, and at most."""

FIRST_FOR: Final = timedelta(days=1)
"""How long the link for the first person is good; the next start makes another one."""

RANDOM_BYTES: Final = 32
TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
"""What a value of ours looks like; for anything else the database is not asked."""

GONE: Final = "This invitation is not good any more: it was used, taken back, or has expired. Ask for another one."


@dataclass(frozen=True, slots=True)
class Invitation:
    """What may be shown of an invitation. `workspace` empty: it makes the first person; `email` empty: for anybody.

    `inviter` is the id of whoever invites, empty for whoever runs the gateway.
    """

    id: str
    workspace: str
    email: str
    role: Role
    groups: tuple[str, ...]
    inviter: str
    created: datetime
    expires: datetime

    def is_for(self, email: str) -> bool:
        """Whether somebody with this e-mail address may use it."""
        return not self.email or folded_email(self.email) == folded_email(email)


def _now() -> datetime:
    return datetime.now(UTC)


class Invitations:
    """Makes, lists, takes back and redeems invitations of `people`."""

    def __init__(self, database: Database, people: People, now: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._people = people
        self._now = now

    async def invite(
        self,
        workspace: str,
        role: Role = "member",
        *,
        email: str = "",
        groups: Iterable[str] = (),
        days: int = DAYS,
        inviter: str = "",
    ) -> tuple[str, Invitation]:
        """Make an invitation; returns the value for its link, the only time that it is seen.

        Whether the inviter may do so is the caller's to see to.

        Raises:
            Mistake: no such workspace or role, an address or group that cannot be one, or a member already.
        """
        wanted = sorted(set(groups))
        problems = [label_problem(name, "name of a group") for name in wanted]
        if problem := next(filter(None, [email_problem(email) if email else "", *problems]), ""):
            raise Mistake(problem)
        if not 1 <= days <= MOST_DAYS:
            raise Mistake(f"an invitation is good for 1 to {MOST_DAYS} days, not {days}")
        row, token = self._row(workspace, members.checked_role(role), timedelta(days=days))
        row.email, row.groups, row.inviter = email, wanted, inviter
        try:
            async with self._database.write(announce=False) as session:
                person = await members.find(session, email) if email else None
                place = None if person is None else (workspace, person.id)
                if person is not None and await session.get(MembershipRow, place) is not None:
                    raise Conflict(f"{person.email} is a member of workspace {workspace!r} already")
                session.add(row)
        except IntegrityError:
            raise Mistake(f"there is no workspace {workspace!r}") from None
        return token, _shown(row)

    async def first(self) -> str:
        """Make the invitation of the first person, in the place of any earlier one; returns the value for its link."""
        await self.end_first()
        row, token = self._row(None, "owner", FIRST_FOR)
        async with self._database.write(announce=False) as session:
            session.add(row)
        return token

    async def end_first(self) -> None:
        """Make the invitation of the first person worth nothing, if there is one."""
        async with self._database.write(announce=False) as session:
            await session.execute(delete(InvitationRow).filter_by(workspace=None))

    async def all(self, workspace: str | None = None) -> list[Invitation]:
        """The invitations into workspaces, or into one, that can still be used, the latest first."""
        query = select(InvitationRow).filter_by(used=None).where(InvitationRow.workspace.is_not(None))
        if workspace is not None:
            query = query.filter_by(workspace=workspace)
        async with self._database.read() as session:
            rows = await session.scalars(query.order_by(InvitationRow.created.desc(), InvitationRow.id))
            return [_shown(row) for row in rows if await self._is_good(session, row)]

    async def take_back(self, ident: str) -> Invitation:
        """Make an invitation worth nothing.

        Raises:
            Mistake: there is none of this id that could still be used.
        """
        async with self._database.write(announce=False) as session:
            row = await session.get(InvitationRow, ident)
            if row is None or row.used is not None:
                raise Mistake(
                    f"there is no invitation {ident!r}; `portkey-mcp people invitations` says which there are"
                )
            await session.delete(row)
        return _shown(row)

    async def find(self, token: str) -> Invitation | None:
        """The invitation of a link; None where that is none, or worth nothing any more."""
        async with self._database.read() as session:
            row = await self._find(session, token)
        return None if row is None else _shown(row)

    async def join(self, token: str, person: str) -> Invitation:
        """Make a person that there is a member, and the invitation worth nothing.

        Raises:
            NotFound: the invitation is worth nothing, or the person is gone.
            Forbidden: it is for another e-mail address.
            Conflict: they are a member already; the invitation stays.
        """
        async with self._database.write() as session:
            row, found = await self._find(session, token), await session.get(PersonRow, person)
            if row is None or row.workspace is None or found is None or found.disabled is not None:
                raise NotFound(GONE)
            if not _shown(row).is_for(found.email):
                raise Forbidden("This invitation is for another e-mail address than yours.")
            if await session.get(MembershipRow, (row.workspace, person)):
                raise Conflict("You are a member of this workspace already.")
            await members.join(session, found, row.workspace, row.role, row.groups, "invitation")
            row.used = self._now()
        await self._people.refresh()
        return _shown(row)

    async def make(
        self, token: str, *, email: str, name: str, password: str, workspaces: Collection[str] = ()
    ) -> tuple[str, Invitation]:
        """Make an account for whoever has the link, and it a member; returns the person's id.

        `password` is a hash. The first person becomes owner of all `workspaces`, which are those there are.

        Raises:
            NotFound: the invitation is worth nothing.
            Forbidden: it is for another e-mail address.
            Conflict: there is an account with this address; it is not touched, and the invitation stays.
            Mistake: the address or the name cannot be one.
        """
        person = members.new_person(email.strip(), name, "invitation")
        person.password = password
        async with self._database.write() as session:
            row = await self._find(session, token)
            if row is None:
                raise NotFound(GONE)
            if not _shown(row).is_for(email):
                raise Forbidden("This invitation is for another e-mail address.")
            if await members.find(session, email):
                raise Conflict(
                    "There is an account with this e-mail address already. Sign in, and open this link again."
                )
            person.origin = "invitation" if row.email else "self"
            session.add(person)
            await session.flush()
            for workspace in sorted(workspaces) if row.workspace is None else [row.workspace]:
                await members.join(session, person, workspace, row.role, row.groups, "invitation")
            row.used = self._now()
        await self._people.refresh()
        return person.id, _shown(row)

    async def tidy(self) -> None:
        """Forget those that have expired."""
        async with self._database.write(announce=False) as session:
            await session.execute(delete(InvitationRow).where(InvitationRow.expires <= self._now()))

    def _row(self, workspace: str | None, role: str, good_for: timedelta) -> tuple[InvitationRow, str]:
        token, now = secrets.token_urlsafe(RANDOM_BYTES), self._now()
        row = InvitationRow(
            id=f"invitation:{secrets.token_hex(8)}",
            digest=_digest(token),
            workspace=workspace,
            email="",
            role=role,
            groups=[],
            inviter="",
            created=now,
            expires=now + good_for,
            used=None,
        )
        return row, token

    async def _find(self, session: AsyncSession, token: str) -> InvitationRow | None:
        if not TOKEN.fullmatch(token):
            return None
        row = await session.scalar(select(InvitationRow).filter_by(digest=_digest(token)))
        return row if row is not None and await self._is_good(session, row) else None

    async def _is_good(self, session: AsyncSession, row: InvitationRow) -> bool:
        if row.used is not None or row.expires <= self._now():
            return False
        if row.workspace is None:
            return await session.scalar(select(PersonRow.id).limit(1)) is None
        return await _stands_behind(session, row, self._now())


async def _stands_behind(session: AsyncSession, row: InvitationRow, now: datetime) -> bool:
    """Whether whoever invited is still there, and could still give this role.

    Of service accounts that an external issuer vouches for, and of the local admin, nothing is stored: once was enough.
    """
    role: str | None = "owner"
    if row.inviter.startswith("person:"):
        person = await session.get(PersonRow, row.inviter)
        membership = await session.get(MembershipRow, (row.workspace, row.inviter))
        role = membership.role if membership is not None and person is not None and person.disabled is None else None
    elif row.inviter.startswith("key:"):
        key = await session.get(ApiKeyRow, row.inviter)
        is_good = key is not None and key.workspace == row.workspace and (key.expires is None or key.expires > now)
        role = key.role if key is not None and is_good else None
    return role in ("owner", "admin") and not outranks(cast(Role, row.role), cast(Role, role))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _shown(row: InvitationRow) -> Invitation:
    return Invitation(
        id=row.id,
        workspace=row.workspace or "",
        email=row.email,
        role=cast(Role, row.role),
        groups=tuple(row.groups),
        inviter=row.inviter,
        created=row.created,
        expires=row.expires,
    )
