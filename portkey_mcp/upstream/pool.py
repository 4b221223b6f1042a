"""Every link of the process: opened on demand, shared by those who may share, closed when idle or when asked to."""

import asyncio
import logging
import time
from collections.abc import Hashable
from types import TracebackType
from typing import Self

from portkey_mcp.errors import UpstreamDown
from portkey_mcp.model import Era, Introduction, McpServer
from portkey_mcp.upstream.connections import Connections
from portkey_mcp.upstream.holdings import Holdings, Resolve
from portkey_mcp.upstream.link import Link
from portkey_mcp.upstream.proof import Proof, Proofs
from portkey_mcp.upstream.tasks import Tasks

log = logging.getLogger(__name__)

IDLE_AFTER = 600.0
"""Seconds a link may be unused: a person reading an answer keeps the session, a forgotten one costs nothing."""
TIDY_EVERY = 30.0
"""Seconds between two looks for idle links."""
MAX_PROCESSES_PER_SERVER = 32
"""stdio processes of one server: at the 50 to 100 MB of a Node server, 2 to 3 GB."""
MAX_PROCESSES = 128
"""stdio processes of the gateway: four servers at their limit, or many with a few each."""


class LinkPool:
    """An async context manager: links live inside it only, and its end closes them all.

    `resolve` replaces the references in a server's definition when a link to it is opened. `proofs` keeps credentials;
    without it, a server that has an `auth` is out of reach. What links of such a server have in common (era, breaker,
    last lists) is one account's: neither what a server shows to one person nor what it refuses is anybody else's.
    """

    def __init__(
        self,
        resolve: Resolve,
        proofs: Proofs | None = None,
        *,
        idle_after: float = IDLE_AFTER,
        max_processes_per_server: int = MAX_PROCESSES_PER_SERVER,
        max_processes: int = MAX_PROCESSES,
    ) -> None:
        self._resolve, self._proofs = resolve, proofs
        self._idle_after = idle_after
        self._max_per_server, self._max_processes = max_processes_per_server, max_processes
        self._tasks = Tasks()
        self._connections: Connections | None = None
        self._holdings: dict[Hashable, Holdings] = {}
        """By the server's key, or by that and an account."""
        self._retired: list[Holdings] = []

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._connections = Connections()
        self._tasks.spawn(self._keep_tidy())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connections, self._connections = self._connections, None
        try:
            await asyncio.gather(*(holdings.close() for holdings in self._all()))
            await self._tasks.__aexit__(None, None, None)
        finally:
            assert connections is not None
            await connections.close()

    async def link(self, server: McpServer, visitor: Introduction) -> Link:
        """The visitor's link to a server, opened or used again.

        A definition that differs from the last one seen under the same key replaces it: its links end once idle.

        Raises:
            UpstreamDown: it cannot be opened; `retry_after` is set while the breaker is open.
            UpstreamError: it answered the handshake with an error.
            ConnectNeeded: it wants an account that nobody has connected, or that has ended.
        """
        if self._connections is None:
            raise UpstreamDown(server.name, "the gateway is shutting down")
        account = "" if server.auth is None else self._accounts(server).account(server, visitor.who)
        place = server.key if server.auth is None else (server.key, account)
        holdings = self._holdings.get(place)
        if holdings is None or (holdings.server is not server and holdings.server != server):
            older = holdings
            proof = None if server.auth is None else self._accounts(server).proof(server, visitor.who)
            holdings = self._holdings[place] = self._made(self._connections, server, account, proof)
            if older is not None:
                holdings.take_over(older)
                self._retired.append(older)
        return holdings.open_link(visitor) or await holdings.link(visitor)

    def _accounts(self, server: McpServer) -> Proofs:
        if self._proofs is None:
            raise UpstreamDown(server.name, "it wants credentials, and nothing here keeps any")
        return self._proofs

    def _made(self, connections: Connections, server: McpServer, account: str, proof: Proof | None) -> Holdings:
        spawn = self._tasks.spawn
        return Holdings(server, self._resolve, connections, spawn, self._make_room, account=account, proof=proof)

    async def forget(self, key: str) -> None:
        """Close every link of a server at once: it was removed, or its definition changed. Unknown keys are fine."""
        gone = [holdings for holdings in self._all() if holdings.server.key == key]
        self._holdings = {place: one for place, one in self._holdings.items() if one.server.key != key}
        self._retired = [holdings for holdings in self._retired if holdings.server.key != key]
        await asyncio.gather(*(holdings.close() for holdings in gone))

    async def forget_account(self, key: str, account: str) -> None:
        """Open new links for one account from now on: it was connected, or has ended. Unknown ones are fine.

        What is under way on the old ones goes on; they end once idle. Those who attend are served anew, as soon as the
        account is good.
        """
        older = self._holdings.pop((key, account), None)
        if older is None or self._connections is None:
            return
        fresh = self._made(self._connections, older.server, account, older.proof)
        fresh.take_over(older)
        if fresh.slots:
            self._holdings[key, account] = fresh
        self._retired.append(older)

    def era(self, server: McpServer) -> Era | None:
        """The era of exactly this definition, None while it is not known; where accounts are told, that of any."""
        if server.auth is not None:
            return next((one.era for one in self._holdings.values() if one.era and one.server == server), None)
        holdings = self._holdings.get(server.key)
        return holdings.era if holdings is not None and holdings.server == server else None

    async def tidy(self, now: float) -> None:
        """Close idle links; of retired definitions all that nobody uses. `now` is a `time.monotonic()` moment.

        Accounts that nobody uses are forgotten: there are as many as people.
        """
        for place, holdings in list(self._holdings.items()):
            await holdings.tidy(now, self._idle_after)
            of_account = holdings.server.auth is not None and self._holdings.get(place) is holdings
            if of_account and holdings.is_forgotten(now, self._idle_after):
                del self._holdings[place]
                await holdings.close()
        for holdings in list(self._retired):
            await holdings.tidy(now, 0.0)
            if not holdings.slots:
                self._retired.remove(holdings)
                await holdings.close()

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_EVERY)
            await self.tidy(time.monotonic())

    def _all(self) -> list[Holdings]:
        return [*self._holdings.values(), *self._retired]

    async def _make_room(self, wanting: Holdings) -> None:
        """Before a process is started: end the longest idle one where there are too many. The wanted one is counted."""
        everything = [holdings for holdings in self._all() if holdings.server.transport == "stdio"]
        same = [holdings for holdings in everything if holdings.server.key == wanting.server.key]
        for scope, limit, whose in (
            (same, self._max_per_server, "of this server"),
            (everything, self._max_processes, "on this gateway"),
        ):
            while sum(_processes(holdings) for holdings in scope) > limit:
                idle = [
                    (slot.used_at, holdings, key)
                    for holdings in scope
                    for key, slot in holdings.slots.items()
                    if slot.link is not None and slot.is_idle
                ]
                if not idle:
                    raise UpstreamDown(
                        wanting.server.name, f"{limit} processes {whose} are running already, all in use"
                    )
                await _drop_longest_idle(idle)


async def _drop_longest_idle(idle: list[tuple[float, Holdings, Hashable]]) -> None:
    _, holdings, key = min(idle, key=lambda found: found[0])
    log.info("a process of %s is ended to make room", holdings.server.key)
    await holdings.drop(key)


def _processes(holdings: Holdings) -> int:
    return sum(slot.link is not None or slot.opening.in_progress for slot in holdings.slots.values())
