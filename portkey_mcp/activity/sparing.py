"""Which acts are worth a record: the first of many alike. Pure, and bounded, since strangers choose how many there are.

A key that is used again by the same principal, from the same address, on the same day, is no news. What is refused to
nobody in particular comes as often as a stranger likes: of each address and act the first ones of a minute are kept,
and of all addresses together a fixed number, so that nobody can fill the disk. What somebody known did, and what was
done, is always kept.
"""

import ipaddress
from collections import Counter
from datetime import date, datetime
from typing import Final

from portkey_mcp.activity.acts import Act

MOST_USES: Final = 50_000
"""Uses of keys that are remembered as seen today; of more, some are recorded once more."""

REFUSALS: Final = 20
"""Refusals of strangers from one address, of one kind, that are kept each minute."""

REFUSED_KEYS: Final = 1
"""The same of keys and tokens: a program whose key ended tries again and again."""

ALL_REFUSALS: Final = 300
"""Refusals of strangers from everywhere that are kept each minute."""


class Sparing:
    """Remembers what was kept of late."""

    def __init__(self) -> None:
        self.left_out = 0
        """Refusals that were not kept."""
        self._day: date | None = None
        self._uses: set[tuple[str, str, str, str]] = set()
        self._minute = -1
        self._refused: Counter[tuple[str, str, str]] = Counter()

    def keeps(self, act: Act, now: datetime) -> bool:
        """Whether an act is to be kept; `now` is in UTC."""
        if act.act == "key_used" and act.outcome == "done":
            return act.who is None or self._is_first(act, now.date())
        if act.outcome == "refused" and act.who is None and not self._is_few(act, int(now.timestamp()) // 60):
            self.left_out += 1
            return False
        return True

    def _is_first(self, act: Act, day: date) -> bool:
        if day != self._day or len(self._uses) >= MOST_USES:
            self._day = day
            self._uses.clear()
        who = act.who
        use = (who.id, who.credential, who.client, act.address) if who is not None else ("", "", "", act.address)
        known = use in self._uses
        self._uses.add(use)
        return not known

    def _is_few(self, act: Act, minute: int) -> bool:
        if minute != self._minute:
            self._minute = minute
            self._refused.clear()
        alike = (act.act, act.workspace, network_of(act.address))
        most = REFUSED_KEYS if act.act == "key_used" else REFUSALS
        if self._refused.total() >= ALL_REFUSALS or self._refused[alike] >= most:
            return False
        self._refused[alike] += 1
        return True


def network_of(address: str) -> str:
    """Whose addresses count as one: of IPv6 the /64 that one subscriber has at least; empty for what is none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.IPv6Network((found.packed[:8] + bytes(8), 64)))
