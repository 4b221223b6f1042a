"""What is known of the definitions that servers offer: a digest each, and what was decided about it. Pure.

A *definition* is a tool as its server describes it, the whole object. Nothing here holds one, only its SHA-256.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from portkey_mcp.policy.document import ServerPolicy
from portkey_mcp.wire import Json

State = Literal["allowed", "pending", "refused"]

LARGEST: Final = 256 * 1024
"""Bytes of one definition. Schemas of large tools have some ten thousand; nobody reviews more than this."""

LONGEST_NAME: Final = 1024
"""Characters of a tool's name; eight times what the protocol advises."""

MOST: Final = 5_000
"""Definitions known of one server: some hundred tools in ten versions each. All that a hostile one can occupy."""

MOST_PENDING: Final = 2_000
"""Definitions of one server that wait for a person."""

MOST_VERSIONS: Final = 100
"""Versions of one tool in one state that nobody decided about; older ones are forgotten, and are new when they return.

Those that wait and those that were let through are counted apart, so that no flood of one pushes out the other."""

_ENCODE: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_NONE: Final[dict[str, State]] = {}


def canonical(tool: Json) -> bytes:
    """A definition in the one spelling that is hashed: members sorted, no spaces, ASCII with escapes."""
    return _ENCODE(tool).encode("ascii")


def digest_of(tool: Json) -> str:
    """The SHA-256 of a definition, in hexadecimal.

    Over everything the upstream gave: name, title, description, both schemas, annotations, icons, `_meta` and whatever
    else stands there, since a model reads it or a client acts on it. Only the order of members does not count.
    """
    return hashlib.sha256(canonical(tool)).hexdigest()


def first_state(held: ServerPolicy, others: Collection[State]) -> State:
    """What a definition is when it is first seen; `others` are the states of the tool's other definitions.

    A tool none of whose definitions was ever let through is still a new one, however often it changes: else a server
    would get past a review by offering it twice.
    """
    if "allowed" in others:
        return "pending" if held.pin else "allowed"
    reviewed = held.new_tools == "review" or (held.pin and bool(others))
    return "pending" if reviewed else "allowed"


def must_be_allowed(held: ServerPolicy) -> bool:
    """Whether policy lets only those definitions pass that are known and allowed."""
    return held.pin or held.new_tools == "review"


class Place(NamedTuple):
    """What names one definition."""

    workspace: str
    server: str
    name: str
    digest: str

    @property
    def server_key(self) -> str:
        """`workspace/server`, as `McpServer.key`."""
        return f"{self.workspace}/{self.server}"


@dataclass(slots=True)
class Known:
    """The states of one server's definitions: by the tool's name, then by digest."""

    tools: dict[str, dict[str, State]] = field(default_factory=dict)
    counts: Counter[State] = field(default_factory=Counter)

    def states(self, name: str) -> dict[str, State]:
        """Of one tool's definitions, by digest; not to be changed."""
        return self.tools.get(name, _NONE)

    def put(self, name: str, digest: str, state: State) -> bool:
        """Note a state; False when it was known."""
        states = self.tools.setdefault(name, {})
        before = states.get(digest)
        if before == state:
            return False
        if before is not None:
            self.counts[before] -= 1
        states[digest] = state
        self.counts[state] += 1
        return True

    def drop(self, name: str, digest: str) -> bool:
        """Forget a definition; False when there was nothing to forget."""
        states = self.tools.get(name, {})
        before = states.pop(digest, None)
        if before is None:
            return False
        self.counts[before] -= 1
        if not states:
            del self.tools[name]
        return True

    def admits(self, held: ServerPolicy, name: str, digest: str) -> bool:
        """Whether this definition may be seen and used. Fails closed: where one must be allowed, an unknown one is not.

        What was refused stays out whatever the policy says.
        """
        state = self.tools.get(name, _NONE).get(digest)
        return state == "allowed" or (state != "refused" and not must_be_allowed(held))

    def no_room(self, state: State, name: str, size: int) -> str:
        """Why a definition cannot be noted, a sentence for the log; empty when it can."""
        if len(name) > LONGEST_NAME or not _is_text(name):
            return f"a tool's name is longer than {LONGEST_NAME} characters, or no Unicode text"
        if size > LARGEST:
            return f"the definition of {name!r} is larger than {LARGEST // 1024} KiB, which nobody can review"
        if self.counts.total() >= MOST:
            return f"it has offered {MOST} definitions of tools; further ones are not noted"
        if state == "pending" and self.counts["pending"] >= MOST_PENDING:
            return f"{MOST_PENDING} definitions of its tools wait for a person; further ones are not noted"
        return ""


def surplus(versions: Collection[tuple[str, State, bool]]) -> Iterator[str]:
    """The digests of a tool's versions that are too many; given the oldest first, with whether a person decided."""
    for state in ("allowed", "pending"):
        undecided = [digest for digest, its, decided in versions if its == state and not decided]
        yield from undecided[:-MOST_VERSIONS]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: no database takes it
        return False
    return True
