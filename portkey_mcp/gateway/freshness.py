"""When something happened that may have changed a server's lists: it said so, was called, or is another one now; and
when a server was heard of.

Pure. Moments are counted, not timed: what was asked for at a moment before a change is older than the change.
"""

from collections import OrderedDict
from typing import Final

LIST_CHANGED: Final = frozenset(
    {
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
    }
)


class Freshness:
    """The latest change of each server, for everybody and for single principals. One per process."""

    MOST: Final = 100_000
    """Changes remembered, and as many signs of life. When the longest past change is forgotten, everything from before
    it counts as old.
    """

    def __init__(self) -> None:
        self._changes: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._forgotten = 0
        self._signs: OrderedDict[tuple[str, str], int] = OrderedDict()
        self.now = 0
        """The present moment, to be noted when a list is asked for."""

    def changed(self, server: str, principal: str = "") -> None:
        """Note that a server's lists (by its key) may have changed, for one principal or for everybody."""
        self.now += 1
        place = (server, principal)
        self._changes[place] = self.now
        self._changes.move_to_end(place)
        if len(self._changes) > self.MOST:
            _, self._forgotten = self._changes.popitem(last=False)

    def latest(self, server: str, principal: str) -> int:
        """The moment of the latest change for this principal; a list asked for before it is old."""
        changes = self._changes
        return max(self._forgotten, changes.get((server, ""), 0), changes.get((server, principal), 0))

    def spoke(self, server: str, principal: str) -> None:
        """Note that a server answered this principal, or told it something: it may be waited for again."""
        self.now += 1
        place = (server, principal)
        self._signs[place] = self.now
        self._signs.move_to_end(place)
        if len(self._signs) > self.MOST:
            self._signs.popitem(last=False)

    def heard(self, server: str, principal: str) -> int:
        """The moment of the latest sign of life that this principal had; 0 when none is remembered."""
        return self._signs.get((server, principal), 0)
