"""What comes without being called for: list changes, resource updates, a legacy server's own questions.

`attend` brings one lane's events in, whatever the upstream's era; `listen` and `stream` hand the events of any number
of lanes out, as a modern `subscriptions/listen` and as a legacy GET stream. A lane that breaks is taken up again with
backoff, and then says that its lists and what is subscribed there changed, since that may have been missed
(protocol.md L4).
"""

import random
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import METHOD_NOT_FOUND

from portkey_mcp.errors import ConnectNeeded, PortkeyError, UpstreamError
from portkey_mcp.gateway.bridge.way import Answers, as_object, declared, refuse, refuse_question, with_meta
from portkey_mcp.gateway.guarding import answered, told
from portkey_mcp.gateway.inbound import RequestId
from portkey_mcp.gateway.lane import Lane
from portkey_mcp.gateway.session import Live
from portkey_mcp.gateway.wanting import OFFERS
from portkey_mcp.upstream.link import Link
from portkey_mcp.wire import Json

ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
UPDATED: Final = "notifications/resources/updated"

CHANGES: Final = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}
"""Member of a listen filter -> the notification it asks for."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a broken lane is attended again: doubled each time, each pause jittered down to half."""

READY_WITHIN: Final = 2.0
"""Seconds an acknowledgement waits for upstreams to be listened to; a slow one must not delay the others."""

Wanted = Json
"""A listen filter: `toolsListChanged`, `promptsListChanged`, `resourcesListChanged`, `resourceSubscriptions`."""

Ready = Callable[[], None]

Attended = Callable[[Link], Awaitable[None]]
"""Told when nothing that happens on a link is missed any more."""


@dataclass(slots=True)
class _Subscriptions:
    """How many listeners want each URI on a legacy link, which is subscribed once for all of them.

    `turn` keeps what one of them unsubscribes and another subscribes in order.
    """

    listeners: Counter[str] = field(default_factory=Counter)
    turn: anyio.Lock = field(default_factory=anyio.Lock)


_subscriptions: weakref.WeakKeyDictionary[Link, _Subscriptions] = weakref.WeakKeyDictionary()


def wants(wanted: Wanted, message: Json) -> bool:
    """Whether a filter asks for this notification."""
    method = message.get("method")
    if method == UPDATED:
        uris = wanted.get("resourceSubscriptions")
        return isinstance(uris, list) and as_object(message.get("params")).get("uri") in uris
    return any(wanted.get(member) is True and method == change for member, change in CHANGES.items())


def honoured(wanted: Wanted, capabilities: Json) -> Wanted:
    """The part of a filter that a server with these capabilities can deliver."""
    able: Wanted = {}
    for member in CHANGES:
        have = as_object(capabilities.get(member.removesuffix("ListChanged")))
        if wanted.get(member) is True and have.get("listChanged") is True:
            able[member] = True
    uris = wanted.get("resourceSubscriptions")
    if isinstance(uris, list) and uris and as_object(capabilities.get("resources")).get("subscribe") is True:
        able["resourceSubscriptions"] = [uri for uri in uris if isinstance(uri, str)]
    return able


async def attend(lane: Lane, wanted: Wanted | None, answers: Answers, ready: Ready) -> None:
    """Bring in one lane's events until cancelled; never raises for the upstream's failures.

    `wanted` is a modern listener's filter; None stands for a legacy client, which hears all there is and has
    subscribed to resources by itself. `ready` is called when nothing that happens from then on is missed, or nothing
    can be had.
    """
    pause = FIRST_PAUSE
    lost = needed = False
    try:
        while True:
            began = anyio.current_time()

            async def attended(link: Link, missed: bool = lost, needed: bool = needed, began: float = began) -> None:
                if missed or anyio.current_time() - began > READY_WITHIN:
                    lane.missed()
                    await _announce(lane, link, wanted, answers, OFFERS if needed else {})
                    await _tell_connected(lane, answers)
                ready()

            try:
                link = await lane.link()
                await (_on_legacy if link.era == "legacy" else _on_modern)(lane, link, wanted, answers, attended)
            except UpstreamError as error:
                if error.code == METHOD_NOT_FOUND:
                    break  # nothing to attend there
            except ConnectNeeded:
                needed = True
            except PortkeyError:
                pass
            ready()
            lost = True
            if anyio.current_time() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            wait = lane.account_pause if lane.server.auth is not None else anyio.sleep
            await wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE)
    finally:
        ready()
    await anyio.sleep_forever()


async def _announce(lane: Lane, link: Link, wanted: Wanted | None, answers: Answers, besides: Json) -> None:
    """Say that lists, and resources that were subscribed to, may have changed while nobody listened.

    `besides` are capabilities that the client was told of, whatever the server has.
    """
    able = _all_of(lane, link, besides) if wanted is None else honoured(wanted, _able(link, besides))
    for member, change in CHANGES.items():
        if member in able:
            await answers.notify({"method": change})
    for uri in able.get("resourceSubscriptions", []):
        passed = lane.passes({"method": UPDATED, "params": {"uri": uri}}, lane.view.general)
        if passed is not None:
            await answers.notify(passed)


async def _tell_connected(lane: Lane, answers: Answers) -> None:
    """Say that what a legacy client was sent to a page for is done there (2025-11-25 client/elicitation, URL mode)."""
    done = lane.call.live.connected(lane.server.name) if lane.call.live is not None else None
    if done is not None:
        await answers.notify({"method": "notifications/elicitation/complete", "params": {"elicitationId": done}})


async def _on_legacy(lane: Lane, link: Link, wanted: Wanted | None, answers: Answers, attended: Attended) -> None:
    async def heard(message: Json) -> None:
        lane.heard(message)
        passed = lane.passes(message, lane.view.general)
        if passed is not None and (wanted is None or wants(wanted, message)):
            await answers.notify(passed)

    async def asked(message: Json) -> Json:
        passed = told(lane.view.general, message)
        if wanted is None and passed is not None and declared(lane.call.capabilities, message):
            return answered(lane.view.general, await answers.ask(passed))
        return refuse_question(message)

    uris = (wanted or {}).get("resourceSubscriptions", [])
    async with link.attend(heard, asked), _subscribed_to(lane, link, uris):
        await attended(link)
        await link.ended()


@asynccontextmanager
async def _subscribed_to(lane: Lane, link: Link, uris: Sequence[str]) -> AsyncIterator[None]:
    """Keep resources of a legacy link subscribed: the first listener of each subscribes, the last one unsubscribes.

    A resource that the upstream refuses is passed over; the listener still hears of everything else.
    """
    here = _subscriptions.setdefault(link, _Subscriptions())
    counted: list[str] = []
    try:
        for uri in uris:
            async with here.turn:
                counted.append(uri)
                here.listeners[uri] += 1
                if here.listeners[uri] == 1:
                    with suppress(UpstreamError):
                        await lane.ask_link(link, "resources/subscribe", {"uri": uri})
        yield
    finally:
        with anyio.move_on_after(5, shield=True), suppress(PortkeyError):
            for uri in counted:
                here.listeners[uri] -= 1
            for uri in counted:
                async with here.turn:
                    if here.listeners.get(uri) == 0 and link.alive:
                        here.listeners.pop(uri)
                        with suppress(UpstreamError):
                            await lane.ask_link(link, "resources/unsubscribe", {"uri": uri})


def _able(link: Link, besides: Json) -> Json:
    return {**as_object(link.hello.get("capabilities")), **besides}


def _all_of(lane: Lane, link: Link, besides: Json) -> Wanted:
    """What a legacy client would hear from a server like this: every list change, and what it subscribed to."""
    live = lane.call.live
    mine = sorted(uri for server, uri in (live.subscriptions if live else ()) if server == lane.server.name)
    every = {**dict.fromkeys(CHANGES, True), "resourceSubscriptions": mine}
    return honoured(every, _able(link, besides))


async def _on_modern(lane: Lane, link: Link, wanted: Wanted | None, answers: Answers, attended: Attended) -> None:
    wanted = _all_of(lane, link, {}) if wanted is None else wanted

    async def heard(message: Json) -> None:
        if message["method"] == ACKNOWLEDGED:
            await attended(link)
            return
        lane.heard(message)
        passed = lane.passes(message, lane.view.general)
        if passed is not None:
            await answers.notify(without_subscription(passed))

    if not wanted:
        await attended(link)
        await anyio.sleep_forever()
    params = lane.bare(link, {"notifications": wanted})
    await link.request("subscriptions/listen", params, on_notification=heard, on_request=refuse)


def without_subscription(message: Json) -> Json:
    """A listen frame without this hop's subscription id; a `_meta` that held nothing else goes too."""
    params = as_object(message.get("params"))
    meta = as_object(params.get("_meta"))
    if SUBSCRIPTION_ID_META_KEY not in meta:
        return message
    rest = {key: value for key, value in meta.items() if key != SUBSCRIPTION_ID_META_KEY}
    bare = {key: value for key, value in params.items() if key != "_meta"} | ({"_meta": rest} if rest else {})
    return {"method": message["method"], **({"params": bare} if bare else {})}


def with_subscription(message: Json, ident: RequestId) -> Json:
    """A frame of this hop's listen stream: tagged with the id of the client's own request (protocol.md L1)."""
    params = with_meta(message.get("params"), lambda meta: {**meta, SUBSCRIPTION_ID_META_KEY: ident})
    return {**message, "params": params}


class Tagged:
    """The client's side of a listen stream: every frame carries its subscription id."""

    def __init__(self, reply: Answers, ident: RequestId) -> None:
        self._reply, self._ident = reply, ident

    async def notify(self, message: Json) -> None:
        """Pass on one frame."""
        await self._reply.notify(with_subscription(message, self._ident))

    async def ask(self, message: Json) -> Json:
        """Modern clients are never asked."""
        return refuse_question(message)


class _Held:
    """Keeps events back until the acknowledgement, which must be the first frame, is out."""

    def __init__(self, reply: Answers) -> None:
        self._reply = reply
        self.released = anyio.Event()

    async def notify(self, message: Json) -> None:
        await self.released.wait()
        await self._reply.notify(message)

    async def ask(self, message: Json) -> Json:
        return await self._reply.ask(message)


Source = Callable[[Answers, Ready], Coroutine[Any, Any, None]]
"""Attends one lane for ever, as `attend` with its lane and filter filled in."""


async def listen(ident: RequestId, able: Wanted, sources: Sequence[Source], reply: Answers) -> Any:
    """Serve a modern `subscriptions/listen` from any lanes until cancelled.

    The upstreams are listened to before the acknowledgement is sent, so a change right after it is not missed.
    """
    tagged = Tagged(reply, ident)
    held = _Held(tagged)
    async with anyio.create_task_group() as group:
        await _start(group, sources, held)
        await tagged.notify({"method": ACKNOWLEDGED, "params": {"notifications": able}})
        held.released.set()
        await anyio.sleep_forever()


async def goodbye(ident: RequestId, wanted: Wanted, reply: Answers) -> Json:
    """The graceful end of a listen stream whose house changed: what was listened for has changed, listen anew (L2)."""
    for member, change in CHANGES.items():
        if wanted.get(member) is True:
            await Tagged(reply, ident).notify({"method": change})
    return {"result": {"resultType": "complete", "_meta": {SUBSCRIPTION_ID_META_KEY: ident}}}


async def tell_all_changed(answers: Answers) -> None:
    """Tell a legacy client that every list may have changed."""
    for change in CHANGES.values():
        await answers.notify({"method": change})


async def stream(live: Live, sources: Sequence[Source], answers: Answers) -> None:
    """Serve a legacy GET stream until cancelled; attended anew when the session's subscriptions change.

    The new attendance begins before the old one ends: an event may be told twice, none is lost.
    """
    async with anyio.create_task_group() as group:
        before: anyio.CancelScope | None = None
        while True:
            changed = live.changed
            scope = anyio.CancelScope()
            await group.start(_attended, scope, sources, answers)
            if before is not None:
                before.cancel()
            before = scope
            await changed.wait()


async def _attended(
    scope: anyio.CancelScope,
    sources: Sequence[Source],
    answers: Answers,
    *,
    task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    with scope:
        async with anyio.create_task_group() as group:
            await _start(group, sources, answers)
            task_status.started()


async def _start(group: anyio.abc.TaskGroup, sources: Sequence[Source], answers: Answers) -> None:
    """Start attending and wait, though not for ever, until all are attended."""
    events = [anyio.Event() for _ in sources]
    for source, event in zip(sources, events, strict=True):
        group.start_soon(source, answers, event.set)
    with anyio.move_on_after(READY_WITHIN):
        for event in events:
            await event.wait()
