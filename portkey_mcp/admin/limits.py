"""What is left of every limit that applies to somebody: each count once, with the things that it counts."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from portkey_mcp.admin.desk import Asking
from portkey_mcp.admin.explain import Address, As
from portkey_mcp.admin.visiting import Services, Visitor, existing, terms_of, visitor
from portkey_mcp.policy.limits import Charge, Unit, charges_of, left_of
from portkey_mcp.policy.parts import Subject, Window
from portkey_mcp.policy.wording import thing_of, thing_text

MOST_NAMED = 20
"""Things that are named beside one count."""

MOST_ASKED = 50
"""Things that one request may ask about beside those that are known."""

Things = Annotated[
    list[str] | None,
    Query(
        max_length=MOST_ASKED,
        description="Further things to ask about, as `resource:server/uri`: of tools alone it is known what there is.",
    ),
]


class Left(BaseModel):
    """What is left of one limit: `left` of `limit` in this window, until `opensAt` (null: where calls end).

    `match` and `for` are those of its rule, `each` says who has a count of their own. `things` are some of those
    that are counted together, at most 20.
    """

    model_config = ConfigDict(populate_by_name=True)

    match: tuple[str, ...]
    for_: Annotated[dict[str, Any] | None, Field(alias="for")]
    limit: int
    unit: Unit
    per: Window | None = None
    each: tuple[Subject, ...]
    used: int
    left: int
    opens_at: Annotated[datetime | None, Field(alias="opensAt")] = None
    things: list[str]


@dataclass(slots=True)
class _Count:
    """One count, and what it counts."""

    charge: Charge
    things: list[str] = field(default_factory=list)


class LimitsDesk:
    """Answers how much is left."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def read_limits(
        self,
        asker: Asking,
        thing: Things = None,
        as_: As = None,
        address: Address = None,
    ) -> list[Left]:
        """What is left of every limit that applies to the known tools that exist for you, and to each `thing`.

        A limit with a count for each tool is told once for each. To ask for an API key takes the role owner or admin.
        """
        about = await visitor(self._services, asker, as_, address)
        now, zone = datetime.now(UTC), about.rules.policy.time_zone
        counts: dict[str, _Count] = {}
        known = await existing(self._services, about)
        further = [(one, terms) for one in map(thing_of, thing or ()) if (terms := terms_of(about, one)) is not None]
        for one, terms in dict(known + further).items():
            for charge in charges_of(terms, about.visit, one, zone, now):
                counts.setdefault(charge.take.key, _Count(charge)).things.append(thing_text(one))
        used = await self._services.counter.used([count.charge.take for count in counts.values()])
        return [
            _left(about, count, said)
            for count, number in zip(counts.values(), used, strict=True)
            for said in left_of([count.charge], [number], zone, now)
        ]


def _left(about: Visitor, count: _Count, said: dict[str, Any]) -> Left:
    rule = about.rules.policy.rules[count.charge.counted.rule]
    whom = rule.for_.model_dump(mode="json", exclude_none=True) if rule.for_ is not None else None
    return Left(match=rule.match, for_=whom, **said, things=count.things[:MOST_NAMED])
