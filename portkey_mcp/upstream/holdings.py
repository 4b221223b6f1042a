"""The links of one server definition, or of one account there: who shares which, when they are opened, and how a dead
one comes back.
"""

import asyncio
import json
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from portkey_mcp.errors import ConnectNeeded, PortkeyError, UpstreamDown, UpstreamError, UpstreamTimeout, brief
from portkey_mcp.model import Era, Introduction, McpServer
from portkey_mcp.upstream.attendants import Attendants
from portkey_mcp.upstream.breaker import Gate, backoff
from portkey_mcp.upstream.connections import Connections
from portkey_mcp.upstream.link import Link
from portkey_mcp.upstream.opening import OpenLink, Workshop, open_http, open_pipe, probe_http
from portkey_mcp.upstream.probe import Verdict, pinned
from portkey_mcp.upstream.proof import Proof
from portkey_mcp.upstream.reading import Recall
from portkey_mcp.upstream.sharing import Shared
from portkey_mcp.upstream.tasks import Spawn

log = logging.getLogger(__name__)

Resolve = Callable[[McpServer], Awaitable[McpServer]]
"""Returns a copy of a server with every `${…}` reference replaced by its value."""

OPEN_TIMEOUT = 30.0
"""Seconds that opening a link may take in all: probing (10), a slow `npx` start, the handshake."""
LATELY = 300.0
"""Seconds after the last request for it during which a dead server is tried again without being asked."""
MAX_LINKS = 2500
"""Links to one server that one principal may hold. Each client session is one; a team behind one key has hundreds,
and a client that greets again and again must not open sessions upstream without end."""
MAX_OWN_PROCESSES = 8
"""Processes of one stdio server that one principal may hold: one for each set of capabilities its clients declare.
Those are the client's to choose, and the processes that all principals share are few."""
STEADY = 10.0
"""Seconds a process must live to count as well; one that ends sooner would otherwise be started over and over."""


@dataclass(slots=True, eq=False)
class Slot:
    """The place of one link: who is introduced on it, who attends it, and the link while there is one."""

    owner: "Holdings"
    key: Hashable
    visitor: Introduction
    attendants: Attendants
    used_at: float
    opened_at: float = 0.0
    opening: Shared[OpenLink] = field(init=False)

    def __post_init__(self) -> None:
        self.opening = Shared(self.owner.spawn, self._open)

    async def _open(self) -> OpenLink:
        return await self.owner.open(self)

    def ended(self) -> None:
        """Its link is over."""
        self.owner.ended(self)

    @property
    def link(self) -> OpenLink | None:
        """The link, None while there is no living one."""
        link = self.opening.value
        return link if link is not None and link.alive else None

    @property
    def is_idle(self) -> bool:
        """Nobody waits for it, calls through it or attends it."""
        link = self.link
        return not self.attendants and not self.opening.in_progress and (link is None or link.busy == 0)


class Holdings:
    """See the module. `room` is asked before a process is started, and raises UpstreamDown where there is none.

    `account` says whose these are, where the server is told, and `proof` how that is proved.
    """

    def __init__(
        self,
        server: McpServer,
        resolve: Resolve,
        connections: Connections,
        spawn: Spawn,
        room: Callable[["Holdings"], Awaitable[None]],
        *,
        account: str = "",
        proof: Proof | None = None,
        open_timeout: float = OPEN_TIMEOUT,
        max_links: int = MAX_LINKS,
    ) -> None:
        self.server, self.account, self.proof = server, account, proof
        self.spawn, self._resolve, self._room = spawn, resolve, room
        self._open_timeout, self._max_links = open_timeout, max_links
        self._gate = Gate(server.name, on_open=self._recover)
        self._workshop = Workshop(connections, spawn, self._gate, Recall(), proof)
        self._verdict: Shared[Verdict] = Shared(spawn, self._probe)
        self._era: Era | None = pinned(server.protocol) if server.transport != "sse" else "legacy"
        self._recovery: asyncio.Task[None] | None = None
        self._asked_at = 0.0
        self._over = False
        self.slots: dict[Hashable, Slot] = {}
        self._held: Counter[str] = Counter()
        """How many places each principal has."""

    @property
    def era(self) -> Era | None:
        """The era, None while it is not known."""
        return self._era

    def open_link(self, visitor: Introduction) -> Link | None:
        """The visitor's link where it is open already, which is to say nearly always; else None."""
        is_http = self.server.transport == "http"
        verdict = self._verdict.value if is_http else None
        if is_http and verdict is None:
            return None
        slot = self.slots.get(self._key(visitor, verdict))
        link = slot.opening.value if slot is not None else None
        if slot is None or link is None or not link.alive:
            return None
        self._asked_at = slot.used_at = now = time.monotonic()
        if not is_http and self._gate.is_open and now - slot.opened_at > STEADY and self.server.transport == "stdio":
            self._gate.succeeded()
        return link.seen_by(visitor.principal)

    async def link(self, visitor: Introduction) -> Link:
        """The visitor's link, opened where there is none. Raises UpstreamDown, UpstreamError or ConnectNeeded."""
        ready = self.open_link(visitor)
        if ready is not None:
            return ready
        self._asked_at = time.monotonic()
        verdict = await self._verdict.get() if self.server.transport == "http" else None
        key = self._key(visitor, verdict)
        if key not in self.slots:
            self._make_place(visitor.principal)
        slot = self._slot(key, visitor)
        slot.used_at = time.monotonic()
        link = slot.link or await self._reopened(slot)
        return link.seen_by(visitor.principal)

    async def _reopened(self, slot: Slot) -> OpenLink:
        if slot.opening.value is not None:
            slot.opening.forget()
        link = await slot.opening.get()
        slot.used_at = time.monotonic()
        return link

    def _key(self, visitor: Introduction, verdict: Verdict | None) -> Hashable:
        """Who shares a link: all of a modern server, one party of a session, one principal of a process."""
        if verdict is not None and verdict.era == "modern":
            return "modern"
        if self.server.transport != "stdio":
            return "party", visitor.party
        if self.server.process == "shared":
            return "shared"
        return "principal", visitor.principal, json.dumps(visitor.capabilities, sort_keys=True)

    def _make_place(self, principal: str) -> None:
        """Before one more place: end this principal's longest idle link where it has too many.

        Raises:
            UpstreamDown: all of them are in use.
        """
        limit = min(self._max_links, MAX_OWN_PROCESSES) if self.server.transport == "stdio" else self._max_links
        if self._held[principal] < limit:
            return
        idle = [key for key, slot in self.slots.items() if slot.visitor.principal == principal and slot.is_idle]
        if not idle:
            raise UpstreamDown(self.server.name, f"you hold {limit} sessions with it already, all in use")
        self.spawn(self._closed(self._vacated(min(idle, key=lambda key: self.slots[key].used_at))))

    def _vacated(self, key: Hashable) -> Slot:
        """A place that is no more."""
        slot = self.slots.pop(key)
        self._held[slot.visitor.principal] -= 1
        if not self._held[slot.visitor.principal]:
            del self._held[slot.visitor.principal]
        return slot

    async def _closed(self, slot: Slot) -> None:
        if slot.link is not None:
            await slot.link.close()

    def _slot(self, key: Hashable, visitor: Introduction, attendants: Attendants | None = None) -> Slot:
        slot = self.slots.get(key)
        if slot is None:
            slot = self.slots[key] = Slot(self, key, visitor, attendants or Attendants(self.spawn), time.monotonic())
            self._held[visitor.principal] += 1
        return slot

    def take_over(self, older: "Holdings") -> None:
        """Serve those who attend the links of an earlier definition of this server."""
        for key, slot in older.slots.items():
            if slot.attendants:
                self._slot(key, slot.visitor, slot.attendants)
                slot.attendants = Attendants(self.spawn)
                self._recover()

    async def _probe(self) -> Verdict:
        async with self._opening():
            verdict = await probe_http(self.server, await self._resolve(self.server), self._workshop)
        self._era = verdict.era
        return verdict

    async def open(self, slot: Slot) -> OpenLink:
        """Open the link of a place, which is who asks for it. Raises UpstreamDown or UpstreamError."""
        if self.server.transport == "http":
            verdict = await self._verdict.get()
            async with self._opening():
                resolved = await self._resolve(self.server)
                link = await open_http(
                    self.server, resolved, slot.visitor, verdict, slot.attendants, self._workshop, slot.ended
                )
        else:
            if self.server.transport == "stdio":
                self._gate.enter()
            async with self._opening():
                if self.server.transport == "stdio":
                    await self._room(self)
                resolved = await self._resolve(self.server)
                link = await open_pipe(
                    self.server, resolved, slot.visitor, self._era, slot.attendants, self._workshop, slot.ended
                )
            self._era = link.era
            slot.attendants.tell_lists_changed(link.hello)
        slot.opened_at = time.monotonic()
        if self._over:
            await link.close()
            raise UpstreamDown(self.server.name, "it was removed or changed")
        return link

    @asynccontextmanager
    async def _opening(self) -> AsyncIterator[None]:
        """Bounds opening in time, gives every failure a reason, and tells the breaker of it."""
        try:
            async with asyncio.timeout(self._open_timeout):
                yield
        except TimeoutError as error:
            reason = f"it could not be opened within {self._open_timeout:.0f} s"
            self._failed(reason)
            raise UpstreamTimeout(self.server.name, reason) from error
        except (UpstreamDown, UpstreamError) as error:
            self._failed(getattr(error, "reason", str(error)) if self._is_failure(error) else "")
            raise
        except ConnectNeeded:
            raise  # the server is well, and was not asked
        except (PortkeyError, OSError) as error:
            raise UpstreamDown(self.server.name, f"it could not be opened: {error}") from error

    def _is_failure(self, error: UpstreamDown | UpstreamError) -> bool:
        """Whether the server is unwell. An answer below 500 says no; what `Exchange` counted is not counted twice."""
        if isinstance(error, UpstreamError) or error.status:
            return error.status >= 500
        return error.sent or self.server.transport == "stdio"

    def _failed(self, reason: str) -> None:
        """Ask for the era again the next time; a reason counts as a failure of the server."""
        self._verdict.forget()
        self._era = pinned(self.server.protocol) if self.server.transport != "sse" else "legacy"
        if reason:
            self._gate.failed(reason)

    def ended(self, slot: Slot) -> None:
        """A link is over. If that was not ours to decide, see that those who attend it get another."""
        if self._over or self.slots.get(slot.key) is not slot:
            return
        self._verdict.forget()
        if self.server.transport == "stdio" and time.monotonic() - slot.opened_at < STEADY:
            self._gate.failed("its process ends soon after it was started")
        if slot.attendants:
            self._recover()

    def _recover(self) -> None:
        if not self._over and (self._recovery is None or self._recovery.done()):
            self._recovery = self.spawn(self._bring_back())

    async def _bring_back(self) -> None:
        """Try again, ever more rarely, as long as somebody attends or has asked lately."""
        attempt = 0
        while any(slot.attendants for slot in self.slots.values()) or time.monotonic() - self._asked_at < LATELY:
            await asyncio.sleep(max(self._gate.pause, backoff(attempt, random.random())))  # noqa: S311 - jitter
            attempt += 1
            try:
                await self._revive()
            except ConnectNeeded as error:
                log.debug("%s is not opened: %s", self.server.key, error)
            except (UpstreamDown, UpstreamError) as error:
                log.info("%s is still down: %s", self.server.key, brief(error))
            else:
                log.info("%s is back", self.server.key)
                return

    async def _revive(self) -> None:
        """One try. Raises UpstreamDown, UpstreamError or ConnectNeeded while something is still down."""
        for slot in [slot for slot in self.slots.values() if slot.attendants and slot.link is None]:
            await self._reopened(slot)
        if not self._gate.is_open:
            return
        links = [slot.link for slot in self.slots.values() if slot.link is not None]
        if links:
            await links[0].check()
        elif self.server.transport == "http":
            await self._verdict.get()
        elif self.slots:
            await self._reopened(max(self.slots.values(), key=lambda slot: slot.used_at))

    async def drop(self, key: Hashable) -> None:
        """Close one link and forget its place."""
        await self._closed(self._vacated(key))

    async def tidy(self, now: float, idle_after: float) -> None:
        """Close what nobody has used for so long."""
        for key, slot in list(self.slots.items()):
            if not slot.is_idle:
                slot.used_at = now
            elif now - slot.used_at >= idle_after:
                await self.drop(key)

    def is_forgotten(self, now: float, idle_after: float) -> bool:
        """Whether there is no link, nobody waits for one, and nobody has asked for one for so long."""
        waiting = self._verdict.in_progress or (self._recovery is not None and not self._recovery.done())
        return not self.slots and not waiting and now - self._asked_at >= idle_after

    async def close(self) -> None:
        """Close every link at once, whoever uses it."""
        self._over = True
        if self._recovery is not None:
            self._recovery.cancel()
        await asyncio.gather(*(self.drop(key) for key in list(self.slots)))
