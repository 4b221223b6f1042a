"""How much a call takes of which limits, and what is said when one is used up. Pure; the counting is a `Counter`'s.

    charges = charges_of(terms, visit, thing, zone, now)
    answer = await counter.take([charge.take for charge in charges])

All limits of a call are taken in one step or none is. When counts cannot be had, the call is refused (fail closed),
unless the workspace's `on_store_error` says otherwise, which is the caller's to look at.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, Literal, Protocol
from zoneinfo import ZoneInfo

from portkey_mcp.errors import Refused
from portkey_mcp.model import Exhausted, Take, Taken, Visit
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.match import URI_KINDS, plainest
from portkey_mcp.policy.parts import Limit
from portkey_mcp.policy.terms import Counted, Terms
from portkey_mcp.policy.windows import window
from portkey_mcp.policy.wording import limit_text, thing_text
from portkey_mcp.wire import Json, dumps

Unit = Literal["calls", "cost", "concurrent"]

DIGEST: Final = 16
"""Bytes of a counter's key: nobody finds two limits with the same one, and a row stays short."""

SOON: Final = 1.0
"""Seconds after which to try again where a call under way has to end first; nobody knows when that is."""

STORE_PAUSE: Final = 5.0
"""Seconds after which to try again when counts cannot be had: as long as a writer waits for the store's lock."""

_LONGEST_NAME: Final = 200
"""Characters of a thing's name that a text repeats: a URI may have any number."""


class Counter(Protocol):
    """Counts what was taken, exactly, for every process on one store.

    All methods raise `errors.StoreDown` when the store cannot be read or written; then nothing was taken.
    """

    async def take(self, takes: Sequence[Take]) -> Taken | Exhausted:
        """Take all of these or none."""

    async def give_back(self, taken: Taken, *, refund: bool) -> None:
        """End the call's leases; with `refund` also count down what it took. Called once for what was taken."""

    async def used(self, takes: Sequence[Take]) -> tuple[int, ...]:
        """What each of these counters stands at; takes nothing."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One limit, and the step of its counter that a call makes."""

    counted: Counted
    take: Take


def charges_of(terms: Terms, visit: Visit, thing: Thing, zone: str, now: datetime) -> tuple[Charge, ...]:
    """What one call takes. `zone` is the workspace's; `now` has a zone, any.

    A call that costs nothing takes nothing of limits of `cost`. Of limits with one and the same count the smallest
    holds.
    """
    charges: dict[str, Charge] = {}
    for counted in terms.limits:
        limit = counted.limit
        cost = terms.cost if limit.cost is not None else 1
        if not cost:
            continue
        key = _key(counted, visit, thing)
        other = charges.get(key)
        if other is not None and other.take.limit <= limit.amount:
            continue
        # What all workspaces share can only begin for all of them at once.
        starts, ends = window(limit.per, ZoneInfo("UTC" if _is_shared(limit) else zone), now) if limit.per else (0, 0)
        charges[key] = Charge(counted, Take(key, starts, ends, cost, limit.amount))
    return tuple(charges.values())


def left_of(charges: Sequence[Charge], used: Sequence[int], zone: str, now: datetime) -> list[Json]:
    """What is left, as JSON: `used` in the order of `charges`. `opensAt` is when its window ends.

    A window that has ended since says nothing of what is left now, and is not told.
    """
    counts = zip(charges, used, strict=True)
    return [
        _left(charge, count, ZoneInfo(zone))
        for charge, count in counts
        if charge.take.concurrent or charge.take.ends > now.timestamp()
    ]


def refusal(charges: Sequence[Charge], exhausted: Exhausted, thing: Thing, zone: str, now: datetime) -> Refused:
    """What the caller is told; `thing` by the name it knows. Nothing was counted."""
    by_key = {charge.take.key: charge for charge in charges}
    used = dict(zip((take.key for take in exhausted.takes), exhausted.used, strict=True))
    gone = [by_key[key] for key in used]
    said = " ".join(_said(charge, used[charge.take.key], _called(thing)) for charge in gone)
    data = {"limits": [_left(charge, used[charge.take.key], ZoneInfo(zone)) for charge in gone]}
    if any(_never_opens(charge.take) for charge in gone):
        text = "Waiting does not help: do not retry. An administrator of the workspace can change its policy."
        return Refused("limit", f"{said} {text}", data)
    opens = max(charge.take.ends for charge in gone)
    if not opens:
        return Refused("limit", f"{said} Try again when one has ended.", data, retry_after=SOON)
    wait = max(1, math.ceil(opens - now.timestamp()))
    them = "It opens" if len(gone) == 1 else "All of them are open"
    text = f"{them} again at {_moment(opens, ZoneInfo(zone))}, in {_length(wait)}. Do not retry before then."
    return Refused("limit", f"{said} {text}", data, retry_after=float(wait))


def store_refusal(thing: Thing) -> Refused:
    """What the caller is told when nobody can count: without a count no limit can be kept, so the call is not made."""
    text = (
        f"Usage limits cannot be counted just now, so this call of {_called(thing)} was not made "
        "(the workspace's policy denies then). Try again in a moment."
    )
    return Refused("store", text, retry_after=STORE_PAUSE)


def _key(counted: Counted, visit: Visit, thing: Thing) -> str:
    """Names a count. The amount is not in it: a limit that is raised keeps what was used."""
    limit, principal, slug = counted.limit, visit.principal, visit.endpoint.workspace.slug
    # Another spelling of a URI is no other resource.
    name = plainest(thing.name) if thing.kind in URI_KINDS else thing.name
    values: dict[str, Any] = {
        "user": principal.id,
        "key": principal.credential or principal.id,
        "tool": [thing.server, thing.kind, name],
        "server": thing.server,
        "workspace": slug,
        "all": "",
    }
    subjects = sorted((subject, values[subject]) for subject in set(limit.each))
    whole = ["" if "all" in limit.each else slug, counted.place, _unit(limit), limit.per, subjects]
    return blake2b(dumps(whole), digest_size=DIGEST).hexdigest()


def _unit(limit: Limit) -> Unit:
    return "calls" if limit.calls is not None else "cost" if limit.cost is not None else "concurrent"


def _is_shared(limit: Limit) -> bool:
    return "all" in limit.each


def _left(charge: Charge, used: int, zone: ZoneInfo) -> Json:
    limit, amount = charge.counted.limit, charge.take.limit
    told: Json = {"limit": amount, "unit": _unit(limit)}
    if limit.per is not None:
        told["per"] = limit.per
    told |= {"each": list(limit.each), "used": used, "left": max(0, amount - used)}
    if limit.per is not None:
        told["opensAt"] = _moment(charge.take.ends, zone)
    return told


def _said(charge: Charge, used: int, called: str) -> str:
    """One limit that does not allow the call, in a sentence."""
    take, limit = charge.take, charge.counted.limit
    amount = limit_text(limit)
    if _never_opens(take):
        if take.limit == 0:
            return f"The limit of {amount} never opens for {called}."
        return (
            f"One call of {called} costs {take.cost}, more than the whole limit of {amount}, which never opens for it."
        )
    if take.concurrent:
        return f"The limit of {amount} is used up for {called}: {used} {_are(used)} under way already."
    if used < take.limit:
        return f"The limit of {amount} leaves too little for {called}: {used} used, and one call costs {take.cost}."
    return f"The limit of {amount} is used up for {called} ({used} used)."


def _never_opens(take: Take) -> bool:
    return take.cost > take.limit


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _called(thing: Thing) -> str:
    """The thing as a policy names it, so that people find the rule."""
    name = thing.name if len(thing.name) <= _LONGEST_NAME else f"{thing.name[:_LONGEST_NAME]}…"
    return thing_text(thing._replace(name=name))


def _moment(seconds: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone).isoformat()


def _length(seconds: int) -> str:
    """A wait in words, rounded up: below two of a unit the smaller one is told."""
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{math.ceil(seconds / size)} {unit}s"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
