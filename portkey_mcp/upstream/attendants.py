"""Those who receive what belongs to no call. They outlive any one link: what replaces a dead link takes them over."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from portkey_mcp.upstream.link import OnNotification, OnRequest
from portkey_mcp.upstream.tasks import Spawn
from portkey_mcp.wire import Json

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Notifications one attendant may be behind; beyond, it has stopped reading and the newest are dropped."""


class Keeper(Protocol):
    """Whoever keeps the standing stream of the present link."""

    async def settled(self) -> None:
        """Return once the stream is open, known not to exist, or not coming soon."""
        ...

    def stop(self) -> None:
        """Nobody attends any more."""
        ...


@dataclass(slots=True, eq=False)
class Attendant:
    """One who attends. `principal` is whose it is, on links that several share."""

    principal: str
    on_notification: OnNotification
    on_request: OnRequest
    waiting: "asyncio.Queue[Json]" = field(default_factory=lambda: asyncio.Queue(MAX_WAITING))


class Attendants:
    """A set of attendants, each with a queue of its own, so that a slow one delays neither the link nor the others."""

    __slots__ = ("_all", "_spawn", "keeper")

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn
        self._all: list[Attendant] = []
        self.keeper: Keeper | None = None

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def principals(self) -> set[str]:
        """Whose attendants there are."""
        return {attendant.principal for attendant in self._all}

    @property
    def newest(self) -> Attendant | None:
        """The one who came last; None when nobody attends."""
        return self._all[-1] if self._all else None

    @asynccontextmanager
    async def attend(
        self, principal: str, on_notification: OnNotification, on_request: OnRequest
    ) -> AsyncIterator[None]:
        """Be told while open; entering waits for the keeper's stream. The last one to leave stops the keeper."""
        attendant = Attendant(principal, on_notification, on_request)
        self._all.append(attendant)
        pump = self._spawn(_pump(attendant))
        try:
            if self.keeper is not None:
                await self.keeper.settled()
            yield
        finally:
            pump.cancel()
            self._all.remove(attendant)
            if not self._all and self.keeper is not None:
                self.keeper.stop()

    def tell(self, notification: Json) -> None:
        """Hand a notification to everybody, in order, without waiting for anybody."""
        for attendant in self._all:
            try:
                attendant.waiting.put_nowait(notification)
            except asyncio.QueueFull:
                log.warning("an attendant is %d notifications behind; one was dropped", MAX_WAITING)

    def tell_lists_changed(self, hello: Json) -> None:
        """After a gap: the `list_changed` notifications that the upstream could have sent meanwhile."""
        capabilities = hello.get("capabilities")
        for kind in ("tools", "prompts", "resources"):
            declared = capabilities.get(kind) if isinstance(capabilities, dict) else None
            if isinstance(declared, dict) and declared.get("listChanged") is True:
                self.tell({"method": f"notifications/{kind}/list_changed"})


async def _pump(attendant: Attendant) -> None:
    while True:
        notification = await attendant.waiting.get()
        try:
            await attendant.on_notification(notification)
        except Exception:
            log.exception("an attendant failed on %s", notification.get("method"))
