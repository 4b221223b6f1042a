"""Every definition of a tool that a server ever offered, and what people decided about it.

A gateway notes what it sees (`seen`) and asks what may pass (`admits`), both in memory; `run` writes behind them.
People read and decide in the database, from any process; running gateways follow as soon as they notice the revision.

The state of something new is decided twice: at once, from what this process knows, and again when it is written, in the
one transaction that sees what all processes know. So of two gateways that meet two first definitions of a pinned tool
at the same time, one is set right by its next write, a moment later. A row that is there is never written over.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Final, cast

import anyio
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from portkey_mcp.model import McpServer
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.document import ServerPolicy
from portkey_mcp.registry.known import Known, Place, State, canonical, digest_of, first_state, must_be_allowed, surplus
from portkey_mcp.registry.reviewing import DefinitionVersion, Waiting, chosen, registered, version, waiting
from portkey_mcp.registry.tables import DefinitionRow, WorkspaceRow
from portkey_mcp.storage.database import Database
from portkey_mcp.wire import Json

__all__ = ["DefinitionVersion", "Definitions", "Waiting", "digest_of"]

log = logging.getLogger(__name__)

BATCH: Final = 200
"""Definitions written in one transaction: others write between two of them."""

QUEUED_BYTES: Final = 64 * 1024 * 1024
"""Definitions that wait to be written. When the database is gone for so long, what is new is not noted."""

Clock = Callable[[], datetime]

_NOTHING: Final = Known()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A definition that is not written yet, and the policy under which it was first seen."""

    held: ServerPolicy
    definition: Json
    size: int
    at: datetime


class Definitions:
    """The definitions of all servers. `refresh` it before anything is served: until then nothing is known.

    `version` is another number whenever an answer of `admits` may be another.
    """

    def __init__(self, database: Database, clock: Clock = _now) -> None:
        self.version = 0
        self._database = database
        self._clock = clock
        self._known: dict[str, Known] = {}
        self._queue: dict[Place, _Seen] = {}
        self._queued_bytes = 0
        self._arrived = anyio.Event()
        self._alone = anyio.Lock()
        self._told: set[tuple[str, str]] = set()

    async def refresh(self) -> None:
        """Learn what is decided now, at start and after each change; what is not written yet stays known."""
        columns = (DefinitionRow.workspace, DefinitionRow.server, DefinitionRow.name, DefinitionRow.digest)
        async with self._alone:
            async with self._database.read() as session:
                rows = (await session.execute(select(*columns, DefinitionRow.state))).all()
            known: dict[str, Known] = {}
            for workspace, server, name, digest, state in rows:
                known.setdefault(f"{workspace}/{server}", Known()).put(name, digest, cast(State, state))
            for place in self._queue:
                before = self._of(place.server_key).states(place.name).get(place.digest)
                now = known.setdefault(place.server_key, Known())
                if before is not None and place.digest not in now.states(place.name):
                    now.put(place.name, place.digest, before)
            if known != self._known:
                self._known = known
                self.version += 1

    def seen(self, server: McpServer, held: ServerPolicy, tools: Mapping[str, tuple[str, Json]]) -> bool:
        """Note what a server offers: its tools by name, each with its digest and its definition. Whether any was new.

        What is new is let through or waits for a person, as the server's policy has it. What cannot be noted (too
        large, too many) stays unknown, which passes only where nothing is pinned or reviewed.
        """
        known = self._of(server.key).tools
        new = [
            self._note(server, held, Place(server.workspace, server.name, name, digest), definition)
            for name, (digest, definition) in tools.items()
            if digest not in known.get(name, ())
        ]
        return any(new)

    def admits(self, server_key: str, held: ServerPolicy, name: str, digest: str) -> bool:
        """Whether this definition of a tool may be seen and used.

        Fails closed: where the server is pinned or its new tools are reviewed, only what is known and allowed may.
        What a person refused may not, whatever the policy says.
        """
        return self._of(server_key).admits(held, name, digest)

    def restricts(self, server_key: str) -> bool:
        """Whether some definition of this server was refused, which holds whatever the policy says."""
        return self._of(server_key).counts["refused"] > 0

    def _of(self, server_key: str) -> Known:
        return self._known.get(server_key, _NOTHING)

    def _note(self, server: McpServer, held: ServerPolicy, place: Place, definition: Json) -> bool:
        known = self._known.setdefault(server.key, Known())
        state, size = first_state(held, known.states(place.name).values()), len(canonical(definition))
        problem = known.no_room(state, place.name, size)
        if not problem and self._queued_bytes + size > QUEUED_BYTES:
            problem = "what it offers cannot be noted, since the database takes nothing"
        if problem:
            self._tell(server.key, held, problem)
            return False
        known.put(place.name, place.digest, state)
        self.version += 1
        self._queue[place] = _Seen(held, definition, size, self._clock())
        self._queued_bytes += size
        self._arrived.set()
        return True

    def _tell(self, server_key: str, held: ServerPolicy, problem: str) -> None:
        """Log a problem once, where it hides something; at most some dozen different ones of a server."""
        told = (server_key, problem)
        mine = sum(1 for key, _ in self._told if key == server_key)
        if must_be_allowed(held) and told not in self._told and mine < 50:
            self._told.add(told)
            log.warning("server %r: %s; it is not offered, since policy asks for a review", server_key, problem)

    async def run(self) -> None:
        """Write what was seen, as it comes; never returns.

        Raises whatever the database raises. Nothing is lost by that: begun anew, it goes on where it was.
        """
        while True:
            self._arrived = anyio.Event()
            await self.flush()
            await self._arrived.wait()

    async def flush(self) -> None:
        """Write all that was seen until now."""
        async with self._alone:
            while self._queue:
                batch = dict(islice(self._queue.items(), BATCH))
                settled = await self._write(batch)
                for place in batch:
                    self._queued_bytes -= self._queue.pop(place).size
                for place, state in settled.items():
                    self._settle(place, state)

    def _settle(self, place: Place, state: State | None) -> None:
        known = self._known.setdefault(place.server_key, Known())
        put = known.drop(place.name, place.digest) if state is None else known.put(place.name, place.digest, state)
        self.version += put

    async def _write(self, batch: Mapping[Place, _Seen]) -> dict[Place, State | None]:
        """Write a batch; returns how these tools' definitions stand now, None for those that are not kept."""
        settled: dict[Place, State | None] = dict.fromkeys(batch)
        async with self._database.write(announce=False) as session:
            there = set(await session.scalars(select(WorkspaceRow.slug)))
            for (workspace, server), places in groupby(sorted(batch), lambda place: place[:2]):
                if workspace in there:
                    settled |= await _write_server(session, workspace, server, {p: batch[p] for p in places})
        return settled

    async def pending(self, workspace: str, server: str | None = None) -> list[Waiting]:
        """What waits for a person, of the servers that are registered: by server and tool, the oldest first."""
        columns = (DefinitionRow.server, DefinitionRow.name, DefinitionRow.digest, DefinitionRow.state)
        query = select(*columns, DefinitionRow.first_seen).where(registered(workspace))
        query = query.order_by(DefinitionRow.server, DefinitionRow.name, DefinitionRow.first_seen, DefinitionRow.digest)
        if server is not None:
            query = query.where(DefinitionRow.server == server)
        async with self._database.read() as session:
            return waiting((await session.execute(query)).all())

    async def versions(self, workspace: str, server: str, name: str) -> list[DefinitionVersion]:
        """All that is known of one tool, the newest first."""
        query = select(DefinitionRow).filter_by(workspace=workspace, server=server, name=name)
        query = query.order_by(DefinitionRow.first_seen.desc(), DefinitionRow.digest.desc())
        async with self._database.read() as session:
            return [version(row) for row in await session.scalars(query)]

    async def things(self, workspace: str) -> list[Thing]:
        """Every tool that the registered servers of a workspace were ever seen to offer, by server and name."""
        query = select(DefinitionRow.server, DefinitionRow.name).distinct().where(registered(workspace))
        query = query.order_by(DefinitionRow.server, DefinitionRow.name)
        async with self._database.read() as session:
            return [Thing("tool", server, name) for server, name in await session.execute(query)]

    async def decide(
        self, workspace: str, server: str, name: str, digest: str | None, approve: bool, who: str
    ) -> list[DefinitionVersion]:
        """Let a tool's definition through, or refuse it; here at once, elsewhere as soon as the revision is noticed.

        `digest`, or at least eight characters of its beginning, is the version meant, whatever its state: so something
        let through can be taken back. None approves the one that waits, if it is only one, and refuses all that wait.
        Others that were let through stay so: a server may offer different versions to different people.

        Raises:
            Mistake: there is no such version, or several could be meant.
        """
        query = select(DefinitionRow).filter_by(workspace=workspace, server=server, name=name)
        async with self._alone:
            async with self._database.write() as session:
                rows = (await session.scalars(query.order_by(DefinitionRow.first_seen, DefinitionRow.digest))).all()
                found = [self._decided(row, approve, who) for row in chosen(rows, f"{server}/{name}", digest, approve)]
            self._settle_all(found)
        return [version(row) for row in found]

    async def decide_all(self, workspace: str, which: Iterable[Waiting], approve: bool, who: str) -> list[Waiting]:
        """Decide all of these that still wait, in one step; returns them."""
        places = {Place(workspace, one.server, one.name, one.digest): one for one in which}
        async with self._alone:
            async with self._database.write() as session:
                rows = [await session.get(DefinitionRow, tuple(place)) for place in places]
                found = [self._decided(row, approve, who) for row in rows if row is not None and row.state == "pending"]
            self._settle_all(found)
        return [places[_place(row)] for row in found]

    def _decided(self, row: DefinitionRow, approve: bool, who: str) -> DefinitionRow:
        row.state, row.decided_by, row.decided_at = "allowed" if approve else "refused", who, self._clock()
        return row

    def _settle_all(self, rows: Iterable[DefinitionRow]) -> None:
        for row in rows:
            self._settle(_place(row), "allowed" if row.state == "allowed" else "refused")


def _place(row: DefinitionRow) -> Place:
    return Place(row.workspace, row.server, row.name, row.digest)


async def _write_server(
    session: AsyncSession, workspace: str, server: str, seen: Mapping[Place, _Seen]
) -> dict[Place, State | None]:
    """Write what is new of one server, and take away what is too much; returns where these tools stand now."""
    columns = (DefinitionRow.name, DefinitionRow.digest, DefinitionRow.state, DefinitionRow.decided_by)
    query = select(*columns).filter_by(workspace=workspace, server=server)
    query = query.where(DefinitionRow.name.in_({place.name for place in seen}))
    tools: dict[str, dict[str, tuple[State, bool]]] = {place.name: {} for place in seen}
    for name, digest, state, decided_by in await session.execute(
        query.order_by(DefinitionRow.first_seen, DefinitionRow.digest)
    ):
        tools[name][digest] = cast(State, state), decided_by != ""
    new = []
    for place, one in sorted(seen.items(), key=lambda item: item[1].at):
        versions = tools[place.name]
        if place.digest not in versions:
            state = first_state(one.held, [state for state, _ in versions.values()])
            versions[place.digest] = state, False
            new.append(place._asdict() | {"state": state, "first_seen": one.at, "definition": one.definition})
    if new:
        await session.execute(insert(DefinitionRow), [{**row, "decided_by": "", "decided_at": None} for row in new])
    settled: dict[Place, State | None] = {}
    for name, versions in tools.items():
        settled |= {Place(workspace, server, name, digest): state for digest, (state, _) in versions.items()}
        gone = list(surplus([(digest, *known) for digest, known in versions.items()]))
        if gone:
            settled |= dict.fromkeys(Place(workspace, server, name, digest) for digest in gone)
            tool = delete(DefinitionRow).filter_by(workspace=workspace, server=server, name=name)
            await session.execute(tool.where(DefinitionRow.digest.in_(gone)))
    return settled
