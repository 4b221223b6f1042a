"""How long Claude would have waited: its budget is 10 seconds for discovery, registration and token (oauth.md K10)."""

from typing import Final, NamedTuple

from portkey_mcp.doctor.finding import Finding, bad, doubtful, good, skipped

BUDGET: Final = 10.0
"""Seconds for all of them together."""
TIGHT: Final = 5.0
"""Seconds from which on a slow day may be too much."""


class Spent(NamedTuple):
    """One request that Claude would have waited for."""

    what: str
    seconds: float


def judged(spent: list[Spent]) -> Finding:
    """Whether they fit, and which was the slowest."""
    if not spent:
        return skipped("speed", "nothing was answered that Claude would wait for")
    total, slowest = sum(one.seconds for one in spent), max(spent, key=lambda one: one.seconds)
    requests = f"{len(spent)} request{'s' if len(spent) > 1 else ''}"
    what = (
        f"{requests} took {total:.1f} of the {BUDGET:.0f} seconds that Claude waits for; the slowest was "
        f"{slowest.what} with {slowest.seconds:.1f}"
    )
    mend = f"make {slowest.what} faster: look at what it asks others for, and at cold starts"
    if total > BUDGET:
        return bad("speed", what, mend, total)
    return doubtful("speed", what, mend, total) if total > TIGHT else good("speed", what, total)
