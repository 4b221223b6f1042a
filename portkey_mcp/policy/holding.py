"""Whether the condition of a call holds: the one place that says what an expression gets to see. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from portkey_mcp.model import Visit
from portkey_mcp.policy.decide import Rules, Thing
from portkey_mcp.policy.terms import Terms


def condition_holds(
    rules: Rules,
    terms: Terms,
    visit: Visit,
    thing: Thing,
    *,
    args: Mapping[str, Any],
    annotations: Mapping[str, Any],
    now: datetime,
) -> bool:
    """Whether `terms.when` is true for this call; without a condition it is. A stranger's never is.

    `annotations` are the tool's own, empty where they are not known; `now` has a zone, any.
    """
    who = rules.who(visit)
    if who is None:
        return False
    if terms.when is None:
        return True
    principal = {
        "id": who.id,
        "name": visit.principal.name,
        "kind": visit.principal.kind,
        "role": who.role,
        "groups": list(who.groups),
        "client": who.client,
    }
    tool = {"server": thing.server, "name": thing.name, "kind": thing.kind, "annotations": dict(annotations)}
    return terms.when.holds(args, principal, tool, now.astimezone(ZoneInfo(rules.policy.time_zone)))
