"""Calls that people are asked about: which there are, what one would send, and the decision.

Members are told of their own calls, owners and admins of all; who may decide is `may_decide`, as on the page. Of a call
that is not theirs to see, members learn not even that there is one.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel

from portkey_mcp.admin.desk import Asker, Asking, Body
from portkey_mcp.admin.visiting import Services
from portkey_mcp.approval.record import Approval, Via, may_decide
from portkey_mcp.errors import Conflict, NotFound
from portkey_mcp.policy.wording import thing_text

MOST = 100
"""Approvals in one answer."""

Ident = Annotated[str, Path(description="Of the approval.")]


class Decision(Body):
    """What is to become of the call."""

    decision: Literal["approve", "deny"]


class Asked(BaseModel):
    """One call that a person is, or was, asked about. `who` made it; names are those of API keys while they exist."""

    id: str
    at: datetime
    who: str
    what: str
    state: Literal["asked", "granted", "denied", "used", "expired"]
    via: Via
    expires: datetime
    decided_by: str
    decided_at: datetime | None


class Question(Asked):
    """One call with what it would send, as long as that is kept; hidden characters are written as `\\u{…}`."""

    arguments: str


class ApprovalsDesk:
    """Answers requests about approvals."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._approvals = services.approvals

    async def list_approvals(self, asker: Asking) -> list[Asked]:
        """The latest calls that people were asked about, the newest first, at most 100; members see their own."""
        mine = None if asker.rules else asker.principal.id
        recent = await self._approvals.recent(asker.workspace, MOST, principal=mine)
        names, now = await self._names(asker), datetime.now(UTC)
        return [_told(one, names, now) for one in recent]

    async def read_approval(self, asker: Asking, ident: Ident) -> Question:
        """One call, with the arguments that it would send: read them before you decide."""
        return await self._question(asker, ident)

    async def decide_approval(self, asker: Asking, ident: Ident, body: Decision) -> Question:
        """Let a call run once, with exactly these arguments, or deny it.

        By the principal that made the call, or an owner or admin. 409 where it was decided already, or has expired: the
        call is to be made again, which asks anew.
        """
        question = await self._question(asker, ident)
        if question.state == "expired":
            raise Conflict("this approval has expired; let the call be made again, which asks anew")
        await self._approvals.decide(ident, body.decision == "approve", asker.principal.id)
        return await self._question(asker, ident)

    async def _question(self, asker: Asker, ident: str) -> Question:
        found = await self._approvals.read(ident)
        if found is None or found.workspace != asker.workspace or not may_decide(asker.principal, found):
            raise NotFound("There is no such approval here: the id is incomplete or old, or it is not yours to see.")
        told = _told(found, await self._names(asker), datetime.now(UTC))
        return Question(**told.model_dump(), arguments=found.full or found.short)

    async def _names(self, asker: Asker) -> dict[str, str]:
        """Names of those who may be told of."""
        if not asker.rules:
            return {asker.principal.id: asker.principal.name}
        return {key.id: key.name for key in await self._services.identity.list_keys(asker.workspace)}


def _told(one: Approval, names: dict[str, str], now: datetime) -> Asked:
    return Asked(
        id=one.id,
        at=one.created,
        who=names.get(one.principal, one.who),
        what=thing_text(one.thing),
        state="expired" if one.state == "asked" and one.expires <= now else one.state,
        via=one.via,
        expires=one.expires,
        decided_by=names.get(one.decided_by, one.decided_by),
        decided_at=one.decided_at,
    )
