"""What every bridge is given: one request on its way from a client of one era to a link of another."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from mcp_types import LOG_LEVEL_META_KEY, METHOD_NOT_FOUND

from portkey_mcp.cut import Cuttable, WasCut
from portkey_mcp.errors import UpstreamTimeout
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.offers import defined
from portkey_mcp.gateway.passage import Passage
from portkey_mcp.upstream.link import Link
from portkey_mcp.wire import Json

ASKABLE: Final[Mapping[str, str]] = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""Server request -> the client capability that must be declared for it."""

HARD_LIMIT: Final = 12
"""A call that keeps making progress may take this many times its timeout in all (one hour at the default)."""


class Answers(Protocol):
    """The client's side of one call, or of a standing stream."""

    async def notify(self, message: Json) -> None:
        """Pass on one raw notification."""
        ...

    async def ask(self, message: Json) -> Json:
        """Ask the client one raw server request; returns `{"result": …}` or `{"error": …}`."""
        ...


@dataclass(slots=True)
class Way:
    """One request between two eras.

    `call` is the client's. `timeout` is in seconds, counted anew at each notification. `inject` puts the CLIENT span's
    trace context into a `_meta`, None where there is none. `noted` is told of a notification that goes no further.
    """

    call: Call
    link: Link
    reply: Answers
    timeout: float
    headers: dict[str, str] | None = None
    inject: Callable[[Json], Json] | None = None
    noted: Callable[[Json], None] = field(default=lambda message: None)
    longest: float | None = None
    """Seconds the call may take in all; `HARD_LIMIT` times its timeout where nothing is said."""
    passage: Passage = field(default_factory=Passage)

    def may_ask(self, message: Json) -> bool:
        """Whether the client declared what this server request needs (2025-11-25 lifecycle; modern R2)."""
        return declared(self.call.capabilities, message)


def declared(capabilities: Json, message: Json) -> bool:
    """Whether these client capabilities cover a server request. A method nobody knows needs no declaration.

    An elicitation capability without modes means form mode only (2025-11-25 client/elicitation, Capabilities).
    """
    need = ASKABLE.get(message["method"])
    if need is None:
        return True
    have = capabilities.get(need)
    if not isinstance(have, dict):
        return False
    if need != "elicitation":
        return True
    params = message.get("params")
    mode = params.get("mode", "form") if isinstance(params, dict) else "form"
    return mode in have or (mode == "form" and "url" not in have)


def refuse_question(message: Json) -> Json:
    """The answer to an upstream that asks what the client cannot do; the client never hears of it."""
    return {"error": {"code": METHOD_NOT_FOUND, "message": f"The client does not support {message['method']}"}}


async def refuse(message: Json) -> Json:
    """Answers a link's question where there is no client to put it to, or none that may be asked."""
    return refuse_question(message)


def with_meta(params: Json | None, change: Callable[[Json], Json]) -> Json:
    """A copy of params whose `_meta` went through `change`; an empty `_meta` is left out unless it was there."""
    params = params or {}
    before = params.get("_meta")
    after = change(dict(before) if isinstance(before, dict) else {})
    if after or isinstance(before, dict):
        return {**params, "_meta": after}
    return params


def log_level(params: Json | None) -> str | None:
    """The log level a modern request asks for, None when it wants no log messages."""
    meta = (params or {}).get("_meta")
    level = meta.get(LOG_LEVEL_META_KEY) if isinstance(meta, dict) else None
    return level if isinstance(level, str) else None


async def send(
    way: Way,
    params: Json | None,
    *,
    on_notification: Callable[[Json], Awaitable[None]],
    on_request: Callable[[Json], Awaitable[Json]],
) -> Json:
    """Send the request over the link with the patience of the call.

    The clock starts anew with each notification and stands still while the client is being asked. A standing
    stream (`subscriptions/listen`) has no clock.

    Raises:
        UpstreamTimeout: nothing came for `timeout` seconds, or the call exceeds its hard limit.
        UpstreamError, UpstreamDown: as the link says.
    """
    if params is not None and way.inject is not None:
        params = with_meta(params, way.inject)
    way.passage.rounds += 1
    if way.call.method == "subscriptions/listen":
        return await way.link.request(
            way.call.method,
            params,
            on_notification=on_notification,
            on_request=on_request,
            headers=way.headers,
        )
    patience = Patience(way.timeout, on_notification, on_request, way.longest)
    try:
        with patience.block:
            result = await way.link.request(
                way.call.method,
                params,
                on_notification=patience.heard,
                on_request=patience.asked,
                headers=way.headers,
            )
        return defined(result) if way.call.method == "tools/list" else result
    except WasCut:
        raise UpstreamTimeout(way.link.server.name, patience.reason, sent=True) from None
    finally:
        patience.stop()


class Patience:
    """The clock of one call, which cuts `block` when it runs out, at the loop's time `at`."""

    __slots__ = (
        *("_asking", "_latest", "_longest", "_loop", "_over", "_timeout", "_timer"),
        *("_on_notification", "_on_request", "at", "block"),
    )

    def __init__(
        self,
        timeout: float,
        on_notification: Callable[[Json], Awaitable[None]],
        on_request: Callable[[Json], Awaitable[Json]],
        longest: float | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._longest = timeout * HARD_LIMIT if longest is None else longest
        self._timeout, self._latest = timeout, now + self._longest
        self._on_notification, self._on_request = on_notification, on_request
        self._asking, self._over = 0, False
        self.block = Cuttable()
        self.at = min(self._latest, now + timeout)
        self._timer = self._loop.call_at(self.at, self.block.cut)

    @property
    def reason(self) -> str:
        """Why the block was cut, for a person."""
        if self.at >= self._latest:
            return f"not done within {self._longest:g} s, which is the most that it may take"
        return f"no answer within {self._timeout:g} s"

    def stop(self) -> None:
        """The call is over."""
        self._over = True
        self._timer.cancel()

    async def heard(self, message: Json) -> None:
        """A notification came: the clock starts anew."""
        self._restart()
        await self._on_notification(message)

    async def asked(self, message: Json) -> Json:
        """The client is asked: the clock stands still meanwhile."""
        self._asking += 1
        self._restart()
        try:
            return await self._on_request(message)
        finally:
            self._asking -= 1
            self._restart()

    def _restart(self) -> None:
        at = self._latest if self._asking else min(self._latest, self._loop.time() + self._timeout)
        # A timer that is set as it should be stays: setting it again and again would keep it from ever ringing.
        if at != self.at and not self._over:
            self.at = at
            self._timer.cancel()
            self._timer = self._loop.call_at(at, self.block.cut)


async def ignore(message: Json) -> None:
    """Drop a notification that has nobody to go to."""


def as_object(value: Any) -> Json:
    """The value when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}
