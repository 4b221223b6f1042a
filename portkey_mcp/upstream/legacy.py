"""A link to a legacy server over streamable HTTP: one session, opened by a handshake, re-opened when it is lost.

S25 basic/transports. A 404 on a request of a session means that it never ran: the session is opened anew, once for
all who wait, and the request sent again. A stream that stops early is resumed where its events carried ids.
"""

import asyncio
import itertools
import logging
import random
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from portkey_mcp.errors import ConnectNeeded, UpstreamDown, UpstreamError, brief
from portkey_mcp.model import Era, McpServer
from portkey_mcp.upstream.alike import Alike
from portkey_mcp.upstream.answering import Answering, ignore, no_requests
from portkey_mcp.upstream.attendants import Attendants
from portkey_mcp.upstream.breaker import backoff
from portkey_mcp.upstream.flights import Flights, OnEnd, no_matter
from portkey_mcp.upstream.http import Exchange
from portkey_mcp.upstream.link import Link, OnNotification, OnRequest
from portkey_mcp.upstream.messages import (
    PING,
    Numbered,
    bare,
    cancelled,
    notification,
    number,
    result_of,
)
from portkey_mcp.upstream.reading import Recall
from portkey_mcp.upstream.session import NO_SESSION, SESSION_HEADER, Session
from portkey_mcp.upstream.standing import Standing
from portkey_mcp.upstream.stream import BrokenOff, Stream
from portkey_mcp.upstream.tasks import Spawn
from portkey_mcp.wire import Json

log = logging.getLogger(__name__)

RESUMES = 5
"""Failures in a row to connect again before a broken stream is given up: about half a minute with backoff."""
RESUME_PAUSE = 1.0
"""Seconds before resuming where the upstream did not say (`retry:`), as the SDKs do."""
GOODBYE = 2.0
"""Seconds that what needs no answer may take: the DELETE at the end, since idle sessions are forgotten anyway, and the
word that a call is cancelled."""


class LegacyHttpLink:
    """See `Link`. `greeting` is the `initialize` params, which introduce the visitor; `start` must come first."""

    # One for each session of a client: thousands, nearly all of them idle, so whatever can wait is made when needed.
    __slots__ = (
        *("__weakref__", "_alike", "_attendants", "_calls", "_exchange", "_flights", "_greeting", "_ids", "_recall"),
        *("_renewing", "_spawn", "_standing", "_told", "hello", "server", "session", "version"),
    )
    era: Era = "legacy"

    def __init__(
        self,
        server: McpServer,
        exchange: Exchange,
        greeting: Json,
        attendants: Attendants,
        spawn: Spawn,
        recall: Recall,
        on_end: OnEnd = no_matter,
        alike: Alike | None = None,
    ) -> None:
        self.server = server
        self._alike = alike or Alike()
        self._exchange, self._greeting, self._spawn = exchange, self._alike.one(greeting), spawn
        self._attendants, self._recall = attendants, recall
        self._ids = itertools.count(1)
        self._flights = Flights(server.name, on_end)
        self._renewing: asyncio.Lock | None = None
        self._calls: dict[int, Numbered] = {}
        self._told: dict[str, tuple[str, Json | None]] = {}
        self.session = NO_SESSION
        self.version = ""
        self.hello: Json = {}
        self._standing = Standing(self, exchange, attendants, spawn)

    @property
    def alive(self) -> bool:
        """False once closed, or once a lost session could not be opened anew."""
        return not self._flights.grounded

    async def ended(self) -> None:
        """See `Link.ended`."""
        await self._flights.over.wait()

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        return self._flights.busy

    async def start(self) -> None:
        """Shake hands, and keep the standing stream for those who attended the link before this one.

        Raises:
            UpstreamError, UpstreamDown: the handshake failed.
        """
        await self._shake_hands()
        self._attendants.keeper = self._standing
        if self._attendants:
            self._standing.resume()

    async def _shake_hands(self) -> None:
        call = number(next(self._ids), "initialize", self._greeting)
        stream = await self._exchange.open("POST", b"", call.message)
        try:
            hello = await self._pump(stream, call, ignore, no_requests, NO_SESSION)
        finally:
            stream.leave(self._spawn)
        hello = self._alike.one(hello)
        version = hello.get("protocolVersion")
        try:
            session = Session(stream.header(SESSION_HEADER), version if isinstance(version, str) else "", hello)
        except ValueError as error:
            raise UpstreamDown(self.server.name, f"its session cannot be named: {error}", sent=True) from None
        await self._exchange.deliver(session.lines, notification("notifications/initialized", None))
        self.session, self.version, self.hello = session, session.version, session.hello

    async def renew(self, lost: Session) -> None:
        """Open the session anew, unless somebody else already has.

        Raises:
            UpstreamError, UpstreamDown: it could not be opened; the link is dead.
        """
        if self._renewing is None:
            self._renewing = asyncio.Lock()
        async with self._renewing:
            if self.session is not lost:
                return
            try:
                await self._shake_hands()
                await self._tell_again()
            except (UpstreamError, UpstreamDown):
                self._flights.ground("its session was lost and could not be opened again")
                raise
            log.info("%s had lost its session; it was opened again", self.server.key)

    async def request(
        self,
        method: str,
        params: Json | None,
        *,
        on_notification: OnNotification,
        on_request: OnRequest,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """See `Link.request`."""
        with self._flights.flying():
            session = self.session
            own = self._exchange.lines(headers) if headers else b""
            try:
                result = await self._call(session, method, params, on_notification, on_request, own)
            except (UpstreamError, UpstreamDown) as error:
                if not session.is_lost(error):
                    raise
                await self.renew(session)
                result = await self._call(self.session, method, params, on_notification, on_request, own)
            self._remember(method, params)
            return result

    def _remember(self, method: str, params: Json | None) -> None:
        """What the client told its session, and would tell a new one: the log level, and what it subscribed to."""
        if method == "logging/setLevel":
            self._told[method] = (method, params)
        elif method in ("resources/subscribe", "resources/unsubscribe"):
            uri = (params or {}).get("uri")
            self._told.pop(f"uri {uri}", None)
            if method == "resources/subscribe" and isinstance(uri, str):
                self._told[f"uri {uri}"] = (method, params)

    async def _tell_again(self) -> None:
        for method, params in list(self._told.values()):
            try:
                await self._call(self.session, method, params, ignore, no_requests)
            except UpstreamError as error:
                log.info("%s refuses %s in its new session: %s", self.server.key, method, brief(error))

    async def _call(
        self,
        session: Session,
        method: str,
        params: Json | None,
        on_notification: OnNotification,
        on_request: OnRequest,
        own: bytes = b"",
    ) -> Json:
        call = number(next(self._ids), method, params)
        stream: Stream | None = None
        self._calls[call.id] = call
        try:
            lines, last = session.lines + own, self._recall.last(method, params)
            stream = await self._exchange.open("POST", lines, call.message, last)
            while True:
                try:
                    result = await self._pump(stream, call, on_notification, on_request, session)
                    self._recall.keep(method, params, result)
                    return result
                except BrokenOff as broken:
                    stream.close()
                    stream = await self._resume(stream, session, broken)
        except asyncio.CancelledError:
            if self.alive:
                self._spawn(self._cancel(session, call))
            raise
        finally:
            del self._calls[call.id]
            if not self._calls:
                self._calls.clear()  # gives back the room that it grew to
            if stream is not None:
                stream.leave(self._spawn)

    async def _pump(
        self, stream: Stream, call: Numbered, on_notification: OnNotification, on_request: OnRequest, session: Session
    ) -> Json:
        answering: Answering | None = None
        try:
            while (message := await stream.read()) is not None:
                if "method" not in message:
                    if call.is_answered_by(message):
                        stream.answered = True
                        return result_of(message, self.server.name)
                elif "id" in message:
                    if answering is None:
                        answering = Answering(self._spawn, lambda one: self._exchange.deliver(session.lines, one))
                    answering.start(message, on_request)
                elif answering is None or not answering.withdraw(message):
                    await on_notification(bare(call.restore(message)))
        finally:
            if answering is not None:
                answering.stop()
        raise BrokenOff(self.server.name, "its answer ended without a result", sent=True)

    async def _resume(self, stopped: Stream, session: Session, broken: BrokenOff) -> Stream:
        """Ask for the rest of a stream. Raises `broken` where its events had no ids or the server will not."""
        if not stopped.last_id:
            raise broken
        lines = session.lines + self._exchange.lines({"Last-Event-ID": stopped.last_id})
        pause = RESUME_PAUSE if stopped.retry_ms is None else stopped.retry_ms / 1000
        for attempt in range(RESUMES):
            await asyncio.sleep(pause)
            try:
                stream = await self._exchange.open("GET", lines)
            except ConnectNeeded as error:
                raise broken from error  # the call may have run all the same
            except (UpstreamError, UpstreamDown) as error:
                if error.status:
                    raise broken from error
                pause = max(pause, backoff(attempt, random.random()))  # noqa: S311 - jitter, not a secret
            else:
                stream.resumes(stopped)
                return stream
        raise broken

    async def _cancel(self, session: Session, call: Numbered) -> None:
        try:
            async with asyncio.timeout(GOODBYE):  # who does not answer a call may not answer this either
                await self._exchange.deliver(session.lines, cancelled(call.id))
        except TimeoutError:
            log.info("%s does not take note of a cancellation", self.server.key)
        except (UpstreamError, UpstreamDown, ConnectNeeded) as error:
            log.info("%s could not be told of a cancellation: %s", self.server.key, brief(error))

    async def notify(self, method: str, params: Json | None) -> None:
        """See `Link.notify`."""
        with self._flights.flying():
            session = self.session
            try:
                await self._exchange.deliver(session.lines, notification(method, params))
            except (UpstreamError, UpstreamDown) as error:
                if not session.is_lost(error):
                    raise
                await self.renew(session)
                await self._exchange.deliver(self.session.lines, notification(method, params))

    def restore(self, notification: Json) -> Json:
        """A notification from the standing stream, with its caller's progress token where it is about a call here."""
        params = notification.get("params")
        token = params.get("progressToken") if isinstance(params, dict) else None
        call = self._calls.get(token) if isinstance(token, int) else None
        return call.restore(notification) if call else notification

    async def check(self) -> None:
        """A sign of life; opens a lost session anew. Raises UpstreamDown; an error answer is a sign of life, too."""
        try:
            await self.request(PING, None, on_notification=ignore, on_request=no_requests)
        except UpstreamError as error:
            log.debug("%s answers a ping with %s", self.server.key, brief(error))

    def seen_by(self, principal: str) -> Link:
        """The link as one principal gets it: a legacy session is one party's already."""
        return self

    def attend(self, on_notification: OnNotification, on_request: OnRequest) -> AbstractAsyncContextManager[None]:
        """See `Link.attend`."""
        return self._attendants.attend("", on_notification, on_request)

    async def close(self) -> None:
        """See `Link.close`."""
        if not self.alive:
            return
        self._flights.ground("the link was closed")
        self._standing.stop()
        if not self.session.id:
            return
        try:
            async with asyncio.timeout(GOODBYE):
                response = await self._exchange.send("DELETE", self.session.lines)
                response.close()
        except (TimeoutError, UpstreamDown, ConnectNeeded) as error:
            log.debug("%s was not told of the end of its session: %s", self.server.key, brief(error))
