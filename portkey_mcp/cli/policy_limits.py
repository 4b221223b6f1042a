"""Limits of a policy that are used up already, before it is saved: what was counted is kept when a number changes."""

from collections.abc import Sequence
from datetime import UTC, datetime

from portkey_mcp.cli.stores import Stores
from portkey_mcp.errors import StoreDown
from portkey_mcp.model import Visit
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.document import Policy
from portkey_mcp.policy.limits import Charge, charges_of, left_of
from portkey_mcp.policy.wording import limit_text
from portkey_mcp.storage.counters import SqliteCounter


async def used_up(stores: Stores, policy: Policy, visits: Sequence[Visit], things: Sequence[Thing]) -> list[str]:
    """A line for each count that leaves nothing under this policy, for those who are known; each count once."""
    rules, now, zone = Rules(policy), datetime.now(UTC), policy.time_zone
    found: dict[str, tuple[Charge, Visit]] = {}
    for visit in visits:
        for thing in things:
            decision = rules.decide(visit, thing)
            if isinstance(decision, Allow) and decision.terms.limits:
                for charge in charges_of(decision.terms, visit, thing, zone, now):
                    found.setdefault(charge.take.key, (charge, visit))
    charges = [charge for charge, _ in found.values() if not charge.take.concurrent and charge.take.limit]
    if not charges:
        return []
    try:
        async with SqliteCounter(stores.database.path) as counter:
            used = await counter.used([charge.take for charge in charges])
    except StoreDown:
        return ["what is used of the limits cannot be told just now"]
    return [
        _line(charge, found[charge.take.key][1], count, left_of([charge], [count], zone, now))
        for charge, count in zip(charges, used, strict=True)
        if count >= charge.take.limit
    ]


def _line(charge: Charge, visit: Visit, used: int, told: Sequence[dict[str, object]]) -> str:
    limit = charge.counted.limit
    whose = f" by {visit.principal.name}" if {"user", "key"} & set(limit.each) else ""
    opens = f"; it opens again at {told[0]['opensAt']}" if told else ""
    rule = charge.counted.rule + 1
    return f"rule {rule}: the limit of {limit_text(limit)} is used up already{whose} ({used:,} used){opens}"
