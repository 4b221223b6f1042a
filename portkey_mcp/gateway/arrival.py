"""One admitted HTTP request: what it brought, and whether its client is still there."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import anyio
from anyio.abc import TaskGroup
from starlette.types import Message, Receive, Scope, Send

from portkey_mcp.errors import Refusal
from portkey_mcp.gateway.changes import Again
from portkey_mcp.gateway.reply import KEEP_ALIVE, Reply
from portkey_mcp.model import Visit

log = logging.getLogger(__name__)

WATCH_AFTER: Final = 0.05
"""Seconds a call may take before anybody looks whether its client is still there. Most are answered sooner, and cost
a timer instead of a task."""


@dataclass
class TooLarge(Refusal):
    """The body is larger than the gateway takes."""

    limit: int

    def __str__(self) -> str:
        return f"The body is larger than the {self.limit} bytes this gateway accepts"


@dataclass(slots=True, eq=False)
class Arrival:
    """A request that admission let in. `again` admits it anew, as things are then.

    `headers` are by name in lower case, the last of several; `duplicates` are all lines, when some name came twice.
    """

    method: str
    visit: Visit
    again: Again
    headers: Mapping[str, str]
    duplicates: Sequence[tuple[str, str]]
    receive: Receive
    send: Send

    async def body(self, limit: int) -> bytes:
        """Read the whole body; empty when the client left before its end.

        Raises:
            TooLarge: as soon as that is certain.
        """
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise TooLarge(limit)
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                return b""
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise TooLarge(limit)
            if not message.get("more_body", False):
                return b"".join((*chunks, chunk)) if chunks else chunk
            chunks.append(chunk)


def headers_of(scope: Scope) -> dict[str, str]:
    """A request's headers by name in lower case.

    White space around a value is not part of it (RFC 9110 section 5.5); not every HTTP parser takes it off.
    """
    return {name.decode("latin-1"): value.strip(b" \t").decode("latin-1") for name, value in scope["headers"]}


def duplicates_of(scope: Scope, headers: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """All header lines where a name came more than once, which is rare; else nothing."""
    if len(headers) == len(scope["headers"]):
        return ()
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]


@lru_cache(256)
def accepted(accept: str) -> tuple[bool, bool]:
    """What an Accept header allows: an event stream, and JSON (RFC 9110 section 12.5.1, weights left aside)."""
    accept = accept.lower()
    may_stream = any(kind in accept for kind in ("text/event-stream", "*/*", "text/*"))
    return may_stream, may_stream or "application/json" in accept or "application/*" in accept


class Watch:
    """Notices a client leaving, and keeps a silent line alive meanwhile; `stop` it when the answer is there."""

    def __init__(self, tasks: TaskGroup, receive: Receive, reply: Reply, leaves: Callable[[], None]) -> None:
        self._tasks, self._receive, self._reply, self._leaves = tasks, receive, reply, leaves
        self._scope: anyio.CancelScope | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._begin)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
        if self._scope is not None:
            self._scope.cancel()

    def _begin(self) -> None:
        self._scope = anyio.CancelScope()
        self._tasks.start_soon(self._watch, self._scope)

    async def _watch(self, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                await self._look()
            except Exception:
                # The task is its own owner: whatever happens here may not take other calls with it.
                log.exception("a client can no longer be watched")

    async def _look(self) -> None:
        while True:
            message: Message | None = None
            with anyio.move_on_after(KEEP_ALIVE):
                message = await self._receive()
            if message is None:
                await self._reply.keep_alive()
            elif message["type"] == "http.disconnect":
                self._leaves()
                return
