"""Takes note of calls as they end: never in the way of one, never a reason to fail. `Writing` says how."""

from datetime import datetime
from typing import Final, NamedTuple

from portkey_mcp.activity.tables import CallRow
from portkey_mcp.activity.writing import WRITE_EVERY, Kind, Writing, instant, storable
from portkey_mcp.storage.database import Database
from portkey_mcp.wire import dumps

MOST_WAITING: Final = 10_000
"""Notes that wait to be written: three seconds of the busiest gateway, a few megabytes. The newest are worth most."""

KEPT_DAYS: Final = 30

LONGEST_NAME: Final = 1024
"""Characters of a name that are kept: it is the caller's to choose. No pattern of a policy is longer."""


class CallRecord(NamedTuple):
    """One request that used something: who, what, and how it ended; the columns of `CallRow`.

    `at` is when it began. `name` is the upstream's own, as policy decides on it: a tool's or prompt's name, or a URI.
    """

    at: datetime
    workspace: str
    principal: str
    principal_name: str
    kind: str
    role: str
    groups: tuple[str, ...]
    client: str
    address: str
    server: str
    method: str
    name: str
    outcome: str
    error: str
    duration_ms: float
    upstream_ms: float
    trace_id: str


_GROUPS: Final = CallRecord._fields.index("groups")


class Record(Writing[CallRecord]):
    """The record of calls that one process writes."""

    def __init__(
        self,
        database: Database,
        *,
        kept_days: int = KEPT_DAYS,
        every: float = WRITE_EVERY,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        super().__init__(
            database, Kind(CallRow, CallRecord._fields, "calls", kept_days, most_waiting, lost="oldest"), every
        )

    def note(self, call: CallRecord) -> None:
        """Take note of a call. Only remembers it: takes a microsecond, and cannot fail."""
        if len(call.name) > LONGEST_NAME:
            call = call._replace(name=call.name[:LONGEST_NAME])
        self.wait(call)

    def values(self, note: CallRecord) -> tuple[object, ...]:
        row = (instant(note.at), *note[1:_GROUPS], dumps(list(note.groups)).decode(), *note[_GROUPS + 1 :])
        return tuple(storable(value) if isinstance(value, str) else value for value in row)
