"""What people are shown of definitions, and which one they mean. Values and queries; nothing here decides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from sqlalchemy import ColumnElement, and_, select

from portkey_mcp.errors import Mistake
from portkey_mcp.registry.known import State
from portkey_mcp.registry.tables import DefinitionRow, ServerRow
from portkey_mcp.wire import Json

SHORTEST: Final = 8
"""Characters of a digest that name it; several that begin alike must be told apart by more."""

NAMED: Final = 5
"""Digests that a message lists."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A definition that waits for a person: of a tool that is new, or of one that was let through in another form."""

    server: str
    name: str
    what: Literal["new", "changed"]
    since: datetime
    digest: str


@dataclass(frozen=True, slots=True)
class DefinitionVersion:
    """One definition of a tool, as its server gave it. `decided_by` is empty where policy decided, and no person."""

    server: str
    name: str
    digest: str
    state: State
    first_seen: datetime
    decided_by: str
    decided_at: datetime | None
    definition: Json


def registered(workspace: str) -> ColumnElement[bool]:
    """Only definitions of servers that a workspace has; those of a removed one rest until it comes back."""
    servers = select(ServerRow.name).where(ServerRow.workspace == workspace)
    return and_(DefinitionRow.workspace == workspace, DefinitionRow.server.in_(servers))


def waiting(rows: Iterable[Sequence[Any]]) -> list[Waiting]:
    """Those of these rows (server, name, digest, state, first seen) that wait."""
    rows = list(rows)
    let_through = {(server, name) for server, name, _, state, _ in rows if state == "allowed"}
    return [
        Waiting(server, name, "changed" if (server, name) in let_through else "new", first_seen, digest)
        for server, name, digest, state, first_seen in rows
        if state == "pending"
    ]


def version(row: DefinitionRow) -> DefinitionVersion:
    """What a row says."""
    return DefinitionVersion(
        row.server,
        row.name,
        row.digest,
        cast(State, row.state),
        row.first_seen,
        row.decided_by,
        row.decided_at,
        row.definition,
    )


def baseline(versions: Iterable[DefinitionVersion], of: DefinitionVersion) -> DefinitionVersion | None:
    """What a version is compared with: the one let through last beside it; None when there is none."""
    allowed = [one for one in versions if one.state == "allowed" and one.digest != of.digest]
    return max(allowed, key=lambda one: one.decided_at or one.first_seen, default=None)


def chosen(rows: Sequence[DefinitionRow], tool: str, digest: str | None, approve: bool) -> Sequence[DefinitionRow]:
    """Which of a tool's rows, the oldest first, a decision is about; see `Definitions.decide`.

    To approve, there must be one that is meant: what came while a person read another one is not approved with it.

    Raises:
        Mistake: none, or several.
    """
    if digest is not None:
        if len(digest) < SHORTEST:
            raise Mistake(f"{digest!r} is too short; give at least {SHORTEST} characters of the digest")
        found = [row for row in rows if row.digest.startswith(digest.lower())]
        if not found:
            raise Mistake(f"{tool!r} has no definition whose digest begins with {digest!r}" + _those(rows))
    else:
        found = [row for row in rows if row.state == "pending"]
        if not found:
            raise Mistake(f"no definition of {tool!r} waits for review" + _those(rows))
        if not approve:
            return found
    if len(found) > 1:
        raise Mistake(f"several definitions of {tool!r} could be meant; look at them, and name one by its digest")
    return found


def _those(rows: Sequence[DefinitionRow]) -> str:
    if not rows:
        return "; its server was never seen to offer such a tool"
    named = [f"{row.digest[:12]} ({row.state}, {_day(row.first_seen)})" for row in rows[-NAMED:]]
    return f"; known are: {', '.join(named)}"


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()
