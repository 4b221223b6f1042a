"""The standing stream of a legacy HTTP session: one GET while somebody attends, kept open across breaks."""

import asyncio
import logging
import random
from contextlib import suppress
from typing import Protocol

from portkey_mcp.errors import ConnectNeeded, UpstreamDown, UpstreamError, brief
from portkey_mcp.upstream.answering import Answering, no_requests
from portkey_mcp.upstream.attendants import Attendants
from portkey_mcp.upstream.breaker import backoff
from portkey_mcp.upstream.http import Exchange
from portkey_mcp.upstream.messages import bare
from portkey_mcp.upstream.session import Session
from portkey_mcp.upstream.stream import Stream
from portkey_mcp.upstream.tasks import Spawn
from portkey_mcp.wire import Json

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds an attendant waits for the stream's head. Some proxies hold it back until the first event; then the
attendant goes on, and hears of anything as soon as it comes."""
PASSING = (401, 403, 408, 425, 429)
"""Client errors that may pass: another try makes sense. Any other 4xx means that there is no standing stream."""


class Holder(Protocol):
    """The link whose standing stream this is."""

    session: Session

    async def check(self) -> None:
        """Ask for a sign of life; opens the session anew where it was lost. Raises UpstreamDown or UpstreamError."""
        ...

    def restore(self, notification: Json) -> Json:
        """Put back the caller's progress token where a notification is about a request in flight."""
        ...


class Standing:
    """Keeps the stream while asked to. What comes on it goes to the attendants."""

    __slots__ = ("_attendants", "_event", "_exchange", "_exists", "_gap", "_holder", "_spawn", "_task")

    def __init__(self, holder: Holder, exchange: Exchange, attendants: Attendants, spawn: Spawn) -> None:
        self._holder, self._exchange, self._attendants, self._spawn = holder, exchange, attendants, spawn
        self._task: asyncio.Task[None] | None = None
        self._event: asyncio.Event | None = None
        self._exists = True
        self._gap = False

    @property
    def _settled(self) -> asyncio.Event:
        """Made when it is asked for: on most sessions nobody ever attends."""
        if self._event is None:
            self._event = asyncio.Event()
        return self._event

    async def settled(self) -> None:
        """Open the stream if nobody has yet; return once it is open, known not to exist, or not coming soon."""
        self._start()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._settled.wait()
        except TimeoutError:
            log.info("%s is slow to open its standing stream", self._exchange.server)

    def resume(self) -> None:
        """Open the stream for those who attended the link before this one, and may have missed something."""
        self._gap = True
        self._start()

    def stop(self) -> None:
        """Nobody attends any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._gap = False

    def _start(self) -> None:
        if self._task is None and self._exists:
            self._settled.clear()
            self._task = self._spawn(self._keep())

    async def _keep(self) -> None:
        try:
            await self._reconnect_for_ever()
        except (UpstreamError, UpstreamDown) as error:
            log.info("the standing stream of %s is gone: %s", self._exchange.server, brief(error))
        finally:
            self._settled.set()

    async def _reconnect_for_ever(self) -> None:
        """Returns only when there is no such stream; raises when the session is gone for good.

        An account that has ended is waited for: its person may connect it again.
        """
        failures, earlier, session = 0, None, self._holder.session
        while True:
            if session is not self._holder.session:
                earlier, session = None, self._holder.session
            try:
                stream = await self._open(session, earlier)
            except (UpstreamError, UpstreamDown, ConnectNeeded) as error:
                if await self._is_new_session(session, error):
                    self._gap = True
                    continue
                if not isinstance(error, ConnectNeeded) and 400 <= error.status < 500 and error.status not in PASSING:
                    self._exists = False
                    return
                self._gap = True
                pause = backoff(failures, random.random())  # noqa: S311 - jitter, not a secret
                failures += 1
            else:
                if not stream.is_events:
                    stream.close()
                    self._exists = False
                    return
                failures = 0 if await self._listen(stream, session) else failures + 1
                asked = stream.retry_ms
                pause = backoff(failures, random.random()) if asked is None else asked / 1000  # noqa: S311 - jitter
                earlier = stream if stream.last_id else None
                self._gap = earlier is None
            self._settled.set()
            await asyncio.sleep(pause)

    async def _is_new_session(self, session: Session, error: UpstreamError | UpstreamDown | ConnectNeeded) -> bool:
        """Whether the session was lost and there is another one by now."""
        if isinstance(error, ConnectNeeded) or not session.is_lost(error):
            return False
        with suppress(ConnectNeeded):
            await self._holder.check()
        return session is not self._holder.session

    async def _open(self, session: Session, earlier: Stream | None) -> Stream:
        lines = session.lines
        if earlier is not None:
            lines += self._exchange.lines({"Last-Event-ID": earlier.last_id})
        stream = await self._exchange.open("GET", lines)
        if earlier is not None:
            stream.resumes(earlier)
        return stream

    async def _listen(self, stream: Stream, session: Session) -> bool:
        """Pass on what comes until the stream ends or breaks; says whether anything came."""
        answering = Answering(self._spawn, lambda answer: self._exchange.deliver(session.lines, answer))
        if self._gap:
            self._attendants.tell_lists_changed(session.hello)
            self._gap = False
        self._settled.set()
        anything = False
        try:
            while (message := await stream.read()) is not None:
                anything = True
                if "method" not in message:
                    continue
                if "id" in message:
                    attendant = self._attendants.newest
                    answering.start(message, attendant.on_request if attendant else no_requests)
                elif not answering.withdraw(message):
                    self._attendants.tell(bare(self._holder.restore(message)))
        except UpstreamDown as error:
            log.debug("the standing stream broke: %s", brief(error))
        finally:
            answering.stop()
            stream.close()
        return anything
