"""Equal JSON objects as one: what many sessions say or hear alike, kept once."""

from portkey_mcp.wire import Json, dumps

MOST = 256
"""Objects known; the oldest are forgotten first, and then kept once more by whoever brings them again."""

LARGEST = 16 * 1024
"""Bytes of JSON of an object that is shared; a larger one is rare, and keeping its text would cost as much."""


class Alike:
    """The objects seen lately, by their JSON. Who takes one may not change it."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, Json] = {}

    def one(self, value: Json) -> Json:
        """The first object that was written like this one, members in the same order; this one where it is new."""
        text = dumps(value)
        if len(text) > LARGEST:
            return value
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = value
            if len(self._known) > MOST:
                del self._known[next(iter(self._known))]
        return known
