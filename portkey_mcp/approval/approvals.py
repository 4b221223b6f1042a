"""Approvals of single calls: a person is asked, decides once, and exactly that call may run once.

A grant is bound to principal, workspace, server, thing and the exact params; whoever decides is named in the record.
Knows neither how a person is asked nor who may decide. Fails closed: what the store cannot say or keep is `StoreDown`,
never a yes.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, cast

from sqlalchemy import case, delete, literal, or_, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.approval.question import accepted, named, question, shown
from portkey_mcp.approval.record import Approval, Asked, State, Via, digest
from portkey_mcp.approval.tables import ApprovalRow
from portkey_mcp.errors import NotFound, Refused, StoreDown
from portkey_mcp.model import Visit
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.match import Kind
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.storage.database import Database
from portkey_mcp.storage.resealing import Sealed
from portkey_mcp.storage.tables import Instant
from portkey_mcp.wire import Json, dumps, loads

__all__ = ["Approvals", "Asked", "accepted", "question"]

LIFE: Final = timedelta(minutes=10)
"""How long a question waits for a person, and then a decision for the call: to read, think, and let call again."""

KEPT: Final = timedelta(days=30)
"""How long the record of a decision is kept."""

MOST_OPEN: Final = 50
"""Questions one principal may have open; one more, and the oldest is dropped: a model in a loop fills no disk."""

WRONG_KEYS: Final = 5
"""Wrong keys for one approval; with the last of them it is denied."""

ID_BYTES: Final = 24
"""192 bits: who has the link was given it."""

FULL: Final = 200_000
"""Characters of arguments that are kept for the page; longer values are cut, and it says so."""

SEAL: Final = "approval"


def _now() -> datetime:
    return datetime.now(UTC)


class Approvals:
    """All approvals of the gateway. Several on one database see the same ones."""

    def __init__(self, database: Database, keyring: KeyRing, now: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._keyring = keyring
        self._now = now

    def digest(self, visit: Visit, thing: Thing, params: Json) -> str:
        """What an approval of this call is bound to; see `record.digest`."""
        return digest(visit, thing, params)

    async def ask(self, visit: Visit, thing: Thing, params: Json, via: Via, told: Json | None = None) -> Asked:
        """Open a question about one call. A call that is asked about on a page already gets that same question.

        `told` are the params as people may see them, where that is not all of them.

        Raises:
            StoreDown: it cannot be kept.
        """
        now, told = self._now(), params if told is None else told
        row = self._row(visit, thing, params, via, now)
        row.sealed = self._seal(row.id, named(visit.principal.name), shown(told), shown(told, FULL), 0)
        async with self._writing() as session:
            waiting = select(ApprovalRow).where(ApprovalRow.state == "asked", ApprovalRow.expires > now)
            if via == "page":
                same = await session.scalar(waiting.filter_by(digest=row.digest, via="page"))
                if same is not None:
                    return Asked(same.id, same.expires)
            mine = waiting.filter_by(principal=row.principal).order_by(ApprovalRow.created.desc())
            for dropped in await session.scalars(mine.offset(MOST_OPEN - 1)):
                await session.delete(dropped)
            session.add(row)
        return Asked(row.id, row.expires)

    async def read(self, ident: str) -> Approval | None:
        """One approval with its arguments; None when there is none, or what was asked cannot be read any more.

        Raises:
            StoreDown: nobody can say.
        """
        async with self._reading() as session:
            row = await session.get(ApprovalRow, ident)
        if row is None:
            return None
        try:
            return self._opened(row)
        except Unsealable:
            return None

    def is_open(self, approval: Approval) -> bool:
        """Whether it still waits for a decision."""
        return approval.state == "asked" and approval.expires > self._now()

    async def decide(self, ident: str, approve: bool, by: str) -> None:
        """Grant or deny an open question, once; `by` is the id of the principal who decides.

        A grant is good for as long again as the question was, and so is a denial on a page, for `claim` to tell; one
        that answers an elicitation is known to who asked.

        Raises:
            NotFound: there is none.
            Refused: it was decided already, or has expired.
            StoreDown: the decision cannot be kept.
        """
        now = self._now()
        later = now + LIFE
        good = case(
            (ApprovalRow.via == "page", literal(later, Instant)), else_=literal(later if approve else now, Instant)
        )
        values = {"state": "granted" if approve else "denied", "decided_by": by, "decided_at": now}
        async with self._writing() as session:
            decided = await session.scalar(
                update(ApprovalRow)
                .where(ApprovalRow.id == ident, ApprovalRow.state == "asked", ApprovalRow.expires > now)
                .values(**values, expires=good, sealed="")
                .returning(ApprovalRow.id)
            )
            if decided is None:
                raise _too_late(await session.get(ApprovalRow, ident))

    async def wrong_key(self, ident: str) -> int:
        """Count a key that may not decide; returns how many more may be tried. With the last one it is denied.

        Raises:
            StoreDown: it cannot be counted.
        """
        now = self._now()
        async with self._writing() as session:
            row = await session.get(ApprovalRow, ident)
            if row is None or row.state != "asked":
                return 0
            approval = self._opened(row)
            left = max(0, WRONG_KEYS - approval.wrong - 1)
            row.sealed = self._seal(row.id, approval.who, approval.short, approval.full, approval.wrong + 1)
            if not left:
                row.state, row.decided_by, row.decided_at = "denied", "too many wrong keys", now
                row.expires, row.sealed = now + LIFE, ""
        return left

    async def claim(self, visit: Visit, thing: Thing, params: Json) -> Literal["granted", "denied"] | None:
        """Use up what was decided about this very call; None when nothing was, and a person is to be asked.

        The latest decision counts. Of several that claim at once, one gets it; a denial is told once, too.

        Raises:
            StoreDown: nobody can say, so the call may not run.
        """
        now = self._now()
        decided = ApprovalRow.state.in_(("granted", "denied"))
        async with self._writing() as session:
            row = await session.scalar(
                select(ApprovalRow)
                .where(ApprovalRow.digest == digest(visit, thing, params), decided, ApprovalRow.expires > now)
                .order_by(ApprovalRow.decided_at.desc())
                .limit(1)
            )
            if row is None:
                return None
            change: dict[str, Any] = {"state": "used"} if row.state == "granted" else {"expires": now}
            won = await session.scalar(
                update(ApprovalRow)
                .where(ApprovalRow.id == row.id, ApprovalRow.state == row.state, ApprovalRow.expires > now)
                .values(**change)
                .returning(ApprovalRow.id)
                .execution_options(synchronize_session=False)
            )
        if won is None:
            return None
        return "granted" if row.state == "granted" else "denied"

    async def grant_and_use(self, visit: Visit, thing: Thing, params: Json, by: str, via: Via) -> None:
        """Record a grant that was given in place and is used with that.

        Raises:
            StoreDown: it cannot be recorded, so the call may not run.
        """
        await self._record(visit, thing, params, by, via, "used")

    async def record_denied(self, visit: Visit, thing: Thing, params: Json, by: str, via: Via) -> None:
        """Record a denial that was given in place; `claim` does not tell of it again.

        Raises:
            StoreDown: it cannot be recorded.
        """
        await self._record(visit, thing, params, by, via, "denied")

    async def recent(self, workspace: str, most: int = 100, *, principal: str | None = None) -> list[Approval]:
        """The latest approvals of a workspace, or of one principal there, newest first, without arguments.

        Raises:
            StoreDown: they cannot be read.
        """
        query = select(ApprovalRow).filter_by(workspace=workspace).order_by(ApprovalRow.created.desc()).limit(most)
        if principal is not None:
            query = query.filter_by(principal=principal)
        async with self._reading() as session:
            return [_shown(row) for row in await session.scalars(query)]

    async def tidy(self) -> None:
        """Forget the arguments of what has expired, and after 30 days all of it.

        Raises:
            StoreDown: it cannot be written; to be tried again later.
        """
        now = self._now()
        over = or_(ApprovalRow.state.in_(("denied", "used")), ApprovalRow.expires <= now)
        async with self._writing() as session:
            await session.execute(delete(ApprovalRow).where(ApprovalRow.expires < now - KEPT))
            await session.execute(update(ApprovalRow).where(over, ApprovalRow.sealed != "").values(sealed=""))

    async def _record(self, visit: Visit, thing: Thing, params: Json, by: str, via: Via, state: State) -> None:
        now = self._now()
        row = self._row(visit, thing, params, via, now)
        row.state, row.decided_by, row.decided_at, row.expires = state, by, now, now
        async with self._writing() as session:
            session.add(row)

    def _row(self, visit: Visit, thing: Thing, params: Json, via: Via, now: datetime) -> ApprovalRow:
        return ApprovalRow(
            id=secrets.token_urlsafe(ID_BYTES),
            workspace=visit.endpoint.workspace.slug,
            principal=visit.principal.id,
            server=thing.server,
            kind=thing.kind,
            name=named(thing.name),  # for people; the digest binds to the name itself
            digest=digest(visit, thing, params),
            sealed="",
            state="asked",
            via=via,
            created=now,
            expires=now + LIFE,
            decided_by="",
            decided_at=None,
        )

    def _seal(self, ident: str, who: str, short: str, full: str, wrong: int) -> str:
        return self._keyring.seal(dumps([who, short, "" if full == short else full, wrong]), _bind(ident))

    def _opened(self, row: ApprovalRow) -> Approval:
        if not row.sealed:
            return _shown(row)
        who, short, full, wrong = loads(self._keyring.open(row.sealed, _bind(row.id)))
        return replace(_shown(row), who=who, short=short, full=full or short, wrong=wrong)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        with _told():
            async with self._database.write(announce=False) as session:
                yield session

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncSession]:
        with _told():
            async with self._database.read() as session:
                yield session


@contextmanager
def _told() -> Iterator[None]:
    """Tell of a store that fails as `StoreDown`, with the driver's own words and without a statement's values."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        why = error.orig if isinstance(error, DBAPIError) else type(error).__name__
        raise StoreDown(f"approvals cannot be read or written: {why}") from None


def _bind(ident: str) -> str:
    return f"{SEAL}:{ident}"


def _binding(row: ApprovalRow) -> str:
    return _bind(row.id)


SEALED: Final = (Sealed(ApprovalRow, _binding),)
"""What this room keeps sealed."""


def _too_late(row: ApprovalRow | None) -> NotFound | Refused:
    if row is None:
        return NotFound("There is no such approval. Call again; that asks anew.")
    if row.state == "asked":
        return Refused("approval", "This approval has expired. Call again; that asks anew.")
    how = "denied" if row.state == "denied" else "approved"
    return Refused("approval", f"This call was {how} already, and is decided once. Call again; that asks anew.")


def _shown(row: ApprovalRow) -> Approval:
    return Approval(
        id=row.id,
        workspace=row.workspace,
        principal=row.principal,
        who=row.principal,
        thing=Thing(cast(Kind, row.kind), row.server, row.name),
        state=cast(State, row.state),
        via=cast(Via, row.via),
        created=row.created,
        expires=row.expires,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )
