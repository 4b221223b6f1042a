"""One message pipe to a server, stdio or old SSE, on which everything of everybody travels in one stream.

The own correlator, since the SDK's lets a result overtake its notifications. Nothing on the wire says which call a
message belongs to, except tokens and ids; where those are missing, the rules are in `_hear` and `_target`.
"""

import asyncio
import itertools
import logging
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from portkey_mcp.errors import ConnectNeeded, UpstreamDown, UpstreamError, brief
from portkey_mcp.model import Era, McpServer
from portkey_mcp.upstream.answering import Answering, ignore, no_requests
from portkey_mcp.upstream.attendants import Attendants
from portkey_mcp.upstream.flights import OnEnd, no_matter
from portkey_mcp.upstream.link import OnNotification, OnRequest
from portkey_mcp.upstream.messages import (
    CANCELLED,
    INTERNAL_ERROR,
    PING,
    PROGRESS,
    Numbered,
    bare,
    cancelled,
    ended_subscription,
    failure,
    notification,
    number,
    result_of,
    subscription_of,
    with_envelope,
)
from portkey_mcp.upstream.tasks import Spawn
from portkey_mcp.wire import Json

log = logging.getLogger(__name__)

ANSWER_PATIENCE = 10.0
"""Seconds a server's request waits for somebody to ask; a server asks for roots before the first call has come."""
NUMBER = re.compile(r"[0-9]{1,18}")
"""One of our ids, sent back as text. `str.isdigit` would let through what `int` refuses, such as a superscript."""
MAX_BEHIND = 100_000
"""Messages a call may be behind the wire before it is given up: its consumer has stopped, and memory is not endless."""


class Wire(Protocol):
    """Messages both ways, unrelated to each other."""

    @property
    def ending(self) -> str:
        """Why there is nothing more to receive; for a person."""
        ...

    async def send(self, message: Json, headers: Mapping[str, str] | None = None) -> None:
        """Send one message, with HTTP headers of its own where it travels by HTTP.

        Raises UpstreamDown (or UpstreamError, where each message gets an HTTP answer) when it cannot be sent."""
        ...

    async def receive(self) -> Json | None:
        """The next message; None when the wire is at its end."""
        ...

    async def close(self) -> None:
        """End it, and wait for the end. Nobody may be receiving."""
        ...


@dataclass(slots=True, eq=False)
class Flight:
    """One request in flight: its messages in wire order, the response last. None among them means that it failed."""

    numbered: Numbered
    method: str
    principal: str
    on_request: OnRequest
    answering: Answering | None = None
    """The server's questions about it; None while there was none."""
    waiting: deque[Json | None] = field(default_factory=deque)
    _awaited: "asyncio.Future[None] | None" = None

    def hand(self, message: Json | None) -> None:
        """One more message, in wire order."""
        self.waiting.append(message)
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)

    async def next(self) -> Json | None:
        """The next message; for one who follows it, since a queue would cost each call several times as much."""
        while not self.waiting:
            self._awaited = asyncio.get_running_loop().create_future()
            await self._awaited
        return self.waiting.popleft()


class Pipe:
    """The server behind one wire. `begin` comes first, then a handshake or a probe, which set `era` and `hello`."""

    def __init__(
        self, server: McpServer, wire: Wire, attendants: Attendants, spawn: Spawn, on_end: OnEnd = no_matter
    ) -> None:
        self.server = server
        self.era: Era = "legacy"
        self.version = ""
        self.hello: Json = {}
        self.attendants = attendants
        self._wire, self._spawn, self._on_end = wire, spawn, on_end
        self._ids = itertools.count(1)
        self._flights: dict[int, Flight] = {}
        self._background = Answering(spawn, wire.send)
        self._arrival: asyncio.Event | None = None
        self._ended = ""
        self.over = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self.patience = ANSWER_PATIENCE

    def begin(self) -> None:
        """Start reading."""
        self.attendants.keeper = self
        self._reader = self._spawn(self._read())

    @property
    def alive(self) -> bool:
        """False once the wire has ended."""
        return not self._ended

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        return len(self._flights)

    def become_modern(self, version: str, hello: Json) -> None:
        """The probe found a modern server: from now on every request carries the envelope."""
        self.era, self.version, self.hello = "modern", version, hello

    async def shake_hands(self, greeting: Json) -> None:
        """The legacy handshake. Raises UpstreamError or UpstreamDown."""
        self.era, self.version = "legacy", ""
        self.hello = await self.request("", "initialize", greeting, ignore, no_requests)
        version = self.hello.get("protocolVersion")
        self.version = version if isinstance(version, str) else ""
        await self.notify("notifications/initialized", None)

    async def request(
        self,
        principal: str,
        method: str,
        params: Json | None,
        on_notification: OnNotification,
        on_request: OnRequest,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """See `Link.request`; `principal` is who asks."""
        if self._ended:
            raise UpstreamDown(self.server.name, self._ended)
        if self.era == "modern":
            params = with_envelope(params, self.version)
        numbered = number(next(self._ids), method, params)
        flight = Flight(numbered, method, principal, on_request)
        self._flights[numbered.id] = flight
        self._arrive()
        try:
            await self._wire.send(numbered.message, headers)
            return await self._follow(flight, on_notification)
        except asyncio.CancelledError:
            if self.alive and numbered.id in self._flights and method != "initialize":
                self._spawn(self._tell(cancelled(numbered.id)))
            raise
        finally:
            self._flights.pop(numbered.id, None)
            if flight.answering is not None:
                flight.answering.stop()

    async def _follow(self, flight: Flight, on_notification: OnNotification) -> Json:
        while (message := await flight.next()) is not None:
            if "method" not in message:
                return result_of(message, self.server.name)
            await on_notification(bare(flight.numbered.restore(message)))
        reason = self._ended or "it sends faster than its messages are taken"
        raise UpstreamDown(self.server.name, reason, sent=True)

    async def notify(self, method: str, params: Json | None) -> None:
        """See `Link.notify`."""
        if self._ended:
            raise UpstreamDown(self.server.name, self._ended)
        if self.era == "modern":
            params = with_envelope(params, self.version)
        await self._wire.send(notification(method, params))

    async def check(self) -> None:
        """A sign of life. Raises UpstreamDown; an error answer is a sign of life, too."""
        try:
            await self.request("", PING, None, ignore, no_requests)
        except UpstreamError as error:
            log.debug("%s answers a ping with %s", self.server.key, brief(error))

    async def close(self) -> None:
        """See `Link.close`."""
        self._end("the link was closed")
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        await self._wire.close()

    async def settled(self) -> None:
        """As the attendants' keeper: there is only one stream, and it is open."""
        self._arrive()

    def stop(self) -> None:
        """As the attendants' keeper: the stream stays open, for calls."""

    async def _read(self) -> None:
        try:
            while (message := await self._wire.receive()) is not None:
                if "method" not in message:
                    self._take_response(message)
                elif "id" in message:
                    self._take_request(message)
                else:
                    self._hear(message)
        except Exception:
            # Whatever it sent, its process must not be left running with nobody to read it.
            log.exception("%s sent what could not be taken", self.server.key)
        finally:
            self._end(self._wire.ending)
        await self._wire.close()

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = reason
        self.over.set()
        self._background.stop()
        for flight in self._flights.values():
            flight.hand(None)
        self._on_end()

    def _arrive(self) -> None:
        if self._arrival is not None:
            self._arrival.set()
            self._arrival = None

    def _hand(self, flight: Flight, message: Json) -> None:
        if len(flight.waiting) < MAX_BEHIND:
            flight.hand(message)
        else:
            log.warning("a call of %s to %s is too far behind and given up", flight.method, self.server.key)
            self._flights.pop(flight.numbered.id, None)
            flight.hand(None)
            self._spawn(self._tell(cancelled(flight.numbered.id)))

    def _flight(self, call_id: Any) -> Flight | None:
        if isinstance(call_id, str) and NUMBER.fullmatch(call_id):
            call_id = int(call_id)
        return self._flights.get(call_id) if isinstance(call_id, int) else None

    def _take_response(self, message: Json) -> None:
        flight = self._flight(message.get("id"))
        if flight is None:
            log.debug("%s answered what nobody waits for", self.server.key)
            return
        del self._flights[flight.numbered.id]
        flight.hand(message)

    def _hear(self, message: Json) -> None:
        """Whose notification it is: by token, by subscription, by kind, or the only call's there is."""
        method, params = message["method"], message.get("params")
        params = params if isinstance(params, dict) else {}
        subscription = subscription_of(message)
        if method == CANCELLED:
            self._withdraw(message, self._flight(params.get("requestId")))
        elif method == PROGRESS or subscription is not None:
            flight = self._flight(params.get("progressToken") if method == PROGRESS else subscription)
            if flight is not None:
                self._hand(flight, message)
        elif str(method).endswith("/list_changed") or method == "notifications/resources/updated":
            self.attendants.tell(bare(message))
        elif len(self._flights) == 1:
            self._hand(next(iter(self._flights.values())), message)
        elif len({flight.principal for flight in self._flights.values()}) <= 1:
            self.attendants.tell(bare(message))
        else:
            log.debug("%s sent %s, and whose it is cannot be told", self.server.key, method)

    def _withdraw(self, message: Json, flight: Flight | None) -> None:
        """The server takes back a request of its own, or ends a subscription of ours (protocol L2)."""
        if flight is not None and flight.method == "subscriptions/listen":
            self._take_response(ended_subscription(flight.numbered.id))
            return
        for answering in (self._background, *(other.answering for other in self._flights.values())):
            if answering is not None and answering.withdraw(message):
                return

    def _take_request(self, message: Json) -> None:
        target = self._target()
        if message["method"] == PING:
            self._background.start(message, no_requests)
        elif target is not None:
            answering, on_request = target
            answering.start(message, on_request)
        else:
            self._background.start(message, self._when_somebody_is_there)

    def _target(self) -> tuple[Answering, OnRequest] | None:
        """Who may answer the server's question: a call's client, else an attendant, else (None) nobody yet.

        On a process that several principals share, a question whose owner is in doubt is answered for nobody.
        """
        flights = list(self._flights.values())
        if len({flight.principal for flight in flights}) > 1:
            return self._background, _whose
        if flights:
            newest_call = flights[-1]
            if newest_call.answering is None:
                newest_call.answering = Answering(self._spawn, self._wire.send)
            return newest_call.answering, newest_call.on_request
        if len(self.attendants.principals) > 1:
            return self._background, _whose
        newest = self.attendants.newest
        return (self._background, newest.on_request) if newest else None

    async def _when_somebody_is_there(self, request: Json) -> Json:
        try:
            async with asyncio.timeout(self.patience):
                while (target := self._target()) is None:
                    if self._arrival is None:
                        self._arrival = asyncio.Event()
                    await self._arrival.wait()
        except TimeoutError:
            return failure(INTERNAL_ERROR, "nobody is connected who could answer")
        return await target[1](request)

    async def _tell(self, message: Json) -> None:
        try:
            await self._wire.send(message)
        except (UpstreamDown, UpstreamError, ConnectNeeded) as error:
            log.info("%s could not be told of a cancellation: %s", self.server.key, brief(error))


async def _whose(_: Json) -> Json:
    return failure(INTERNAL_ERROR, "several people use this server at once, and whom it asks cannot be told")
