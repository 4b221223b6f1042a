"""Acts that matter to the security of a workspace, page by page, for its owners and admins.

Acts of other workspaces, and those of the gateway as a whole (people who sign in), are not told here.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import AwareDatetime, BaseModel

from portkey_mcp.activity.acts import ACTS
from portkey_mcp.activity.audit import LARGEST_PAGE, Noted, Wanted
from portkey_mcp.admin.desk import Asking
from portkey_mcp.admin.visiting import Services

FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Moments that are asked for; nearer to the ends of time there is no other offset."""

LATEST_ID = 2**63 - 1
"""No row of any store has a larger one."""


class ActTold(BaseModel):
    """One act. `actor` is the id of who did it, empty where nobody knows: then `actor_name` is what they said.

    `subject` is whom or what it is about, `why` the reason of a refusal, `client` the OAuth client.
    """

    id: int
    at: datetime
    act: str
    outcome: Literal["done", "refused"]
    actor: str
    actor_name: str
    address: str
    subject: str
    why: str
    client: str
    detail: dict[str, str]


class Acts(BaseModel):
    """Some of them, the newest first; `next` is the `before` of the next page, null where there is none."""

    acts: list[ActTold]
    next: int | None


Named = Annotated[str | None, Query(description=f"Only these: one of {', '.join(ACTS)}.", max_length=50)]
Who = Annotated[str | None, Query(description="Only those of this id, e-mail address or name.", max_length=300)]
Outcome = Annotated[Literal["done", "refused"] | None, Query(description="Only those that ended so.")]
Since = Annotated[
    AwareDatetime | None, Query(description="Only those since then, with an offset to UTC.", ge=FIRST, le=LAST)
]
Before = Annotated[int | None, Query(description="`next` of the page before.", ge=1, le=LATEST_ID)]
Limit = Annotated[int, Query(description="How many at most.", ge=1, le=LARGEST_PAGE)]


class AuditDesk:
    """Answers requests about acts."""

    def __init__(self, services: Services) -> None:
        self._audit = services.audit

    async def list_acts(
        self,
        asker: Asking,
        act: Named = None,
        who: Who = None,
        outcome: Outcome = None,
        since: Since = None,
        before: Before = None,
        limit: Limit = 100,
    ) -> Acts:
        """What was done in this workspace that matters to its security, the newest first: who, from where, and why not.

        Takes the role owner or admin. What is done comes about a second later.
        """
        asker.must_rule("read the audit")
        wanted = Wanted(asker.workspace, act, who, outcome, None if since is None else since.astimezone(UTC))
        found = await self._audit.recent(wanted, before=before, limit=limit)
        following = found[-1].id if len(found) == limit else None
        return Acts(acts=[_told(one) for one in found], next=following)


def _told(one: Noted) -> ActTold:
    return ActTold.model_validate({name: getattr(one, name) for name in ActTold.model_fields})
