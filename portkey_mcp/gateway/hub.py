"""Several servers of a workspace behind one URL: merged lists, routed calls. A bundle is a hub with a choice.

One server that is down costs the others nothing: its last known things stay listed, its calls fail by themselves.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import anyio
from mcp_types import INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY

from portkey_mcp.errors import InvalidRequest, PortkeyError
from portkey_mcp.gateway.bridge.envelope import TASKS
from portkey_mcp.gateway.bridge.way import Answers, as_object
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.hub_names import HubNames
from portkey_mcp.gateway.lane import Lane, Means, Nobody
from portkey_mcp.gateway.merged import CAPABILITIES, greeting, list_result, page_of
from portkey_mcp.gateway.pages import pages
from portkey_mcp.gateway.relabel import Relabel
from portkey_mcp.gateway.single import wanted_of
from portkey_mcp.gateway.snapshots import Snapshot, Snapshots
from portkey_mcp.gateway.standing import Ready, Source, Wanted, attend, honoured, listen
from portkey_mcp.gateway.visible import LISTINGS, Listing, used_thing
from portkey_mcp.policy.decide import Rules
from portkey_mcp.policy.match import compile_pattern
from portkey_mcp.wire import Json


class Hub:
    """All servers of a workspace, or a bundle's choice of them, for one call."""

    def __init__(self, means: Means, snapshots: Snapshots, call: Call, rules: Rules) -> None:
        self._means = means
        self._snapshots = snapshots
        self._call = call
        endpoint = call.visit.endpoint
        bundle = endpoint.workspace.bundles.get(endpoint.name) if endpoint.kind == "bundle" else None
        chosen = tuple(compile_pattern(text) for text in bundle.include) if bundle else None
        self._title = (bundle.title or bundle.name) if bundle else endpoint.workspace.name or endpoint.workspace.slug
        self.lanes = {
            name: Lane(means, server, call, rules, chosen)
            for name, server in sorted(endpoint.workspace.servers.items())
            if server.enabled and (chosen is None or any(pattern.server(name) for pattern in chosen))
        }
        self._names = HubNames(means.keyring, call, self.lanes)

    async def hello(self) -> Json:
        """A greeting of the hub's own, with every reachable server's instructions."""
        found = await self._from_all("hello", lambda lane: lane.hello())
        hellos = [(name, snapshot.value) for name, snapshot in found if snapshot.known]
        return greeting(self._title, self._call.era, self._call.version, hellos)

    async def request(self, reply: Answers) -> Any:
        """Answer the call from whichever server it is for, or from all."""
        method, params = self._call.method, self._call.params
        if method in LISTINGS:
            return await self._list(LISTINGS[method])
        if method == "subscriptions/listen" and self._call.era == "modern":
            return await self._listen(reply)
        if method == "logging/setLevel" and self._call.era == "legacy":
            return self._set_level()
        used_thing(method, params)
        lane, own = await self._names.route(method, params, self._look_up)
        result = await lane.request(method, own, _Relabelled(reply, self._names.labels(lane)))
        return self._names.labels(lane).result(result)

    async def notify(self, method: str, params: Json | None) -> None:
        """Pass a client's notification on to every server; one that cannot take it is passed over."""

        async def tell(lane: Lane) -> None:
            try:
                await lane.notify(method, params)
            except PortkeyError:
                return

        async with anyio.create_task_group() as group:
            for lane in self.lanes.values():
                group.start_soon(tell, lane)

    def sources(self) -> Sequence[Source]:
        """What a legacy client's GET stream is fed from."""
        return [partial(self._attend, lane, None) for lane in self.lanes.values()]

    async def _attend(self, lane: Lane, wanted: Wanted | None, answers: Answers, ready: Ready) -> None:
        await attend(lane, wanted, _Relabelled(answers, self._names.labels(lane)), ready)

    def _set_level(self) -> Json:
        """Kept with the session; each server is told before its next call."""
        level = (self._call.params or {}).get("level")
        if not isinstance(level, str):
            raise InvalidRequest(INVALID_PARAMS, "logging/setLevel needs params.level, a string")
        if self._call.live is not None:
            self._call.live.log_level = level
            self._call.live.told.clear()
        return {}

    async def _list(self, listing: Listing) -> Json:
        method = self._call.method
        found = await self._from_all(method, lambda lane: self._everything(lane, method))
        things = [
            self._names.labels(self.lanes[name]).listed(method, thing)
            for name, snapshot in found
            if snapshot.known
            for thing in snapshot.value[0]
            # Asked again: what is listed may be from before the policy, or the bundle, changed.
            if self.lanes[name].view.shows(listing.kind, thing[listing.key])
        ]
        page, cursor = page_of(things, listing, self._call.params)
        stale = [name for name, snapshot in found if snapshot.stale]
        ttls = [snapshot.value[1] for _, snapshot in found if snapshot.known]
        return list_result(self._call.era, listing.member, page, cursor, ttls, stale)

    async def _everything(self, lane: Lane, method: str) -> tuple[list[Any], Any]:
        """All of one server's things, raw, and how long they stay fresh.

        A server without the capability has nothing, whatever it answers.
        """
        listing = LISTINGS[method]
        things: list[Any] = []
        ttl: Any = 0
        capabilities = as_object((await lane.link()).hello.get("capabilities"))
        if method.split("/", 1)[0] not in capabilities:
            return things, ttl
        # The envelope travels; the hub's cursor, and what another method was asked with, do not.
        params = self._call.params or {}
        asked: Json = {key: params[key] for key in params if key == "_meta"}
        async for result in pages(lambda params: lane.request(method, params, Nobody()), asked):
            page = result.get(listing.member)
            things += page if isinstance(page, list) else []
            ttl = result.get("ttlMs", 0)
        # What has no name can have none on a hub, and nobody could ask for it.
        return [thing for thing in things if isinstance(as_object(thing).get(listing.key), str)], ttl

    async def _look_up(self, lane: Lane, method: str) -> list[Any]:
        """A server's things, for finding one whose name was shortened."""
        snapshot = await self._from_one(lane, method, lambda one: self._everything(one, method))
        return snapshot.value[0] if snapshot.known else []

    async def _from_all(self, what: str, fetch: Callable[[Lane], Awaitable[Any]]) -> list[tuple[str, Snapshot]]:
        """Ask every server at once; the newest there is of each, in the order of their names."""
        found: dict[str, Snapshot] = {}

        async def ask(name: str, lane: Lane) -> None:
            found[name] = await self._from_one(lane, what, fetch)

        async with anyio.create_task_group() as group:
            for name, lane in self.lanes.items():
                group.start_soon(ask, name, lane)
        return [(name, found[name]) for name in self.lanes]

    async def _from_one(self, lane: Lane, what: str, fetch: Callable[[Lane], Awaitable[Any]]) -> Snapshot:
        visit = self._call.visit
        key = (visit.endpoint.path, lane.server.name, what, self._call.era, visit.principal.id)
        return await self._snapshots.get(key, partial(fetch, lane))

    async def _listen(self, reply: Answers) -> Any:
        wanted = wanted_of(self._call)
        able = honoured(wanted, CAPABILITIES)
        if "resourceSubscriptions" in able:
            able["resourceSubscriptions"] = self._names.visible(able["resourceSubscriptions"])
        tasks = wanted.get("taskIds")
        if isinstance(tasks, list) and tasks:
            self._needs_tasks()
            able["taskIds"] = [task for task in tasks if isinstance(task, str)]
        sources = [
            partial(self._attend, lane, part) for lane in self.lanes.values() if (part := self._names.part(lane, able))
        ]
        return await listen(self._call.id, able, sources, reply)

    def _needs_tasks(self) -> None:
        """Raise unless this very request declares the tasks extension (protocol.md L5)."""
        if TASKS not in as_object(self._call.capabilities.get("extensions")):
            raise InvalidRequest(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                "taskIds needs the tasks extension",
                {"requiredCapabilities": {"extensions": {TASKS: {}}}},
            )


class _Relabelled:
    """The client's side of a call, in the hub's names."""

    def __init__(self, answers: Answers, labels: Relabel) -> None:
        self._answers, self._labels = answers, labels

    async def notify(self, message: Json) -> None:
        await self._answers.notify(self._labels.notification(message))

    async def ask(self, message: Json) -> Json:
        return await self._answers.ask(message)
