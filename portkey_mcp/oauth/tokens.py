"""Whose access token it is: asked with every call, and answered from memory.

A token that was found is believed for half a minute without asking the database again, unless something was revoked
meanwhile: then all are looked up anew. Who the person is, and what they may do, is as `People` has it at the moment.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from portkey_mcp.errors import StoreDown, Unauthenticated
from portkey_mcp.identity.people import People
from portkey_mcp.model import Principal
from portkey_mcp.oauth.client import digest_of
from portkey_mcp.oauth.grants import Grants
from portkey_mcp.oauth.issuing import ACCESS, Good, Issuing
from portkey_mcp.trust import SCOPES

KNOWN_FOR: Final = timedelta(seconds=30)
MOST_KNOWN: Final = 10_000
"""Tokens held in memory; one more, and all are looked up again."""

OVER: Final = "This access token is not good here: it has expired, or was revoked. Refresh it, or sign in again."
GONE: Final = "The person who allowed this is no member here any more, or is kept out."


@dataclass(slots=True)
class _Known:
    """A token that was found. `principal` is who comes with it, made of `owner` as they were then."""

    good: Good
    believed: datetime
    owner: Principal | None = None
    principal: Principal | None = None


def _now() -> datetime:
    return datetime.now(UTC)


class Tokens:
    """Verifies access tokens. Several on one database see the same ones, and each forgets when the revision changes."""

    def __init__(self, issuing: Issuing, grants: Grants, people: People, now: Callable[[], datetime] = _now) -> None:
        self._issuing = issuing
        self._grants = grants
        self._people = people
        self._now = now
        self._known: dict[str, _Known] = {}
        self._used: dict[str, datetime] = {}
        self._round = 0

    async def verify(self, credential: str) -> Principal | None:
        """Who comes with this access token; None when it is none of this gateway's.

        The same token gives the same object for as long as nothing about it changes.

        Raises:
            Unauthenticated: it has expired, was revoked, or its person is kept out.
            StoreDown: nobody can say.
        """
        if not credential.startswith(ACCESS):
            return None
        now, digest = self._now(), digest_of(credential)
        known = self._known.get(digest)
        if known is None or known.believed <= now:
            known = await self._look(credential, digest, now)
        if known is None or known.good.expires <= now:
            raise Unauthenticated(OVER)
        owner = await self.owner(known.good)
        if owner is not known.owner or known.principal is None:
            known.owner, known.principal = owner, _narrowed(owner, known.good)
        if known.principal is None:
            raise Unauthenticated(GONE)
        self._used[known.good.grant.id] = now
        return known.principal

    async def owner(self, good: Good) -> Principal | None:
        """The person who granted a token, as they are now; None where they are gone or kept out.

        Raises:
            StoreDown: nobody was read yet, and nobody can be.
        """
        if not self._people.is_read:
            try:
                await self._people.refresh()
            except (SQLAlchemyError, OSError) as error:
                raise StoreDown(f"people cannot be read: {type(error).__name__}") from None
        return self._people.principal(good.grant.granted.person)

    def forget(self) -> None:
        """Believe nothing that is held in memory; to be called when the database's revision has changed."""
        self._round += 1
        for known in self._known.values():
            known.believed = datetime.min.replace(tzinfo=UTC)

    async def record_use(self) -> None:
        """Write when grants were last used; to be called now and then and at the end, never per call.

        Raises:
            StoreDown: it cannot be written.
        """
        used, self._used = self._used, {}
        if used:
            await self._grants.record_use(used)

    async def _look(self, credential: str, digest: str, now: datetime) -> _Known | None:
        """Ask the database. Where something was ended meanwhile, the answer is not kept: it may be that of before."""
        begun, before = self._round, self._known.get(digest)
        good = await self._issuing.read(credential)
        if good is None or good.kind != "access":
            self._known.pop(digest, None)
            return None
        known = _Known(good, now + KNOWN_FOR)
        if before is not None and _same(before.good, good):
            known.owner, known.principal = before.owner, before.principal
        if self._round == begun:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[digest] = known
        return known


def _same(one: Good, other: Good) -> bool:
    """Whether the same principal comes of both; when the grant was last used makes no difference."""
    return (one.grant.id, one.grant.granted, one.scopes) == (other.grant.id, other.grant.granted, other.scopes)


def _narrowed(owner: Principal | None, good: Good) -> Principal | None:
    """A person as they come with a token: in its one workspace, and for what it was granted."""
    granted = good.grant.granted
    role = None if owner is None else owner.role_in(granted.workspace)
    if owner is None or role is None:
        return None
    return replace(
        owner,
        workspaces={granted.workspace: role},
        own_groups={granted.workspace: owner.groups_in(granted.workspace)},
        groups=(),
        client=granted.client,
        credential=good.grant.id,
        reach=granted.reach,
        scopes=tuple(scope for scope in good.scopes if scope in SCOPES),
    )
