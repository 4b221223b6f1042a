"""Things kept as long as there is room: so many, and so many bytes; the longest unused go first. Pure."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


class Shelf(Generic[Kept]):
    """At most `most` things of at most `most_bytes` in all. What alone weighs more is not kept."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._kept: OrderedDict[Hashable, tuple[Kept, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: Hashable) -> Kept | None:
        """What is kept under the key, which counts as a use of it."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, kept: Kept, weight: int = 0) -> None:
        """Keep something of `weight` bytes, in the place of what was there."""
        self.drop(key)
        self._kept[key] = kept, weight
        self._weight += weight
        while self._weight > self._most_bytes or len(self._kept) > self._most:
            _, (_, least) = self._kept.popitem(last=False)
            self._weight -= least

    def drop(self, key: Hashable) -> None:
        """Keep nothing under the key."""
        _, weight = self._kept.pop(key, (None, 0))
        self._weight -= weight
