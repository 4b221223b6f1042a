"""Several servers of a workspace behind one URL: merged lists, routed calls. A bundle is a hub with a choice.

One server that is down costs the others nothing: its last known things stay listed, its calls fail by themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
from mcp_types import INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY

from portkey_mcp.errors import InvalidRequest, PortkeyError
from portkey_mcp.gateway.bridge.envelope import TASKS
from portkey_mcp.gateway.bridge.way import Answers, as_object
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.catalogue import Choice
from portkey_mcp.gateway.hub_lists import HubLists
from portkey_mcp.gateway.hub_names import HubNames
from portkey_mcp.gateway.lane import Lane
from portkey_mcp.gateway.means import Means
from portkey_mcp.gateway.merged import CAPABILITIES, greeting
from portkey_mcp.gateway.relabel import Relabel
from portkey_mcp.gateway.single import wanted_of
from portkey_mcp.gateway.snapshots import Answer, Snapshots
from portkey_mcp.gateway.standing import Ready, Source, Wanted, attend, honoured, listen
from portkey_mcp.gateway.visible import LISTINGS, used_things
from portkey_mcp.gateway.wanting import said
from portkey_mcp.model import McpServer
from portkey_mcp.policy.decide import Rules
from portkey_mcp.wire import Json


class Hub:
    """All servers of a workspace, or a bundle's choice of them, for one call."""

    def __init__(self, means: Means, snapshots: Snapshots, call: Call, rules: Rules) -> None:
        self._call = call
        self._choice = means.catalogue.choice(call.visit.endpoint)
        self.lanes = Lanes(means, call, rules, self._choice)
        self._names = HubNames(means.keyring, call, self.lanes)
        self._lists = HubLists(means, snapshots, self._names, rules, self._choice)

    async def hello(self) -> Json:
        """A greeting of the hub's own, with every reachable server's instructions."""

        async def greet(server: McpServer) -> Answer:
            return Answer(await self.lanes[server.name].hello())

        found = await self._lists.from_all("hello", greet, anew=True)
        hellos: list[tuple[str, Json]] = []
        for name, snapshot in found:
            if snapshot.known:
                hellos.append((name, snapshot.value))
            elif snapshot.needs is not None:
                hellos.append((name, {"instructions": said(snapshot.needs)}))
        return greeting(self._choice.title, self._call.era, self._call.version, hellos)

    async def request(self, reply: Answers) -> Any:
        """Answer the call from whichever server it is for, or from all."""
        method, params = self._call.method, self._call.params
        if method in LISTINGS:
            return await self._lists.page(LISTINGS[method])
        if method == "subscriptions/listen" and self._call.era == "modern":
            return await self._listen(reply)
        if method == "logging/setLevel" and self._call.era == "legacy":
            return self._set_level()
        used = used_things(method, params)
        lane, own = await self._names.route(method, params, self._lists.look_up)
        labels = self._names.labels(lane)
        called = used[0][1] if used else None
        return labels.result(await lane.request(method, own, _Relabelled(reply, labels), called=called))

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


class Lanes(Mapping[str, Lane]):
    """The lanes of a choice of servers, by name and in their order, each made when it is first asked for."""

    def __init__(self, means: Means, call: Call, rules: Rules, choice: Choice) -> None:
        self._means, self._call, self._rules, self._choice = means, call, rules, choice
        self._made: dict[str, Lane] = {}

    def __getitem__(self, name: str) -> Lane:
        lane = self._made.get(name)
        if lane is None:
            choice = self._choice
            lane = Lane(self._means, choice.servers[name], self._call, self._rules, choice.chosen)
            self._made[name] = lane
        return lane

    def __contains__(self, name: object) -> bool:
        return name in self._choice.servers

    def __iter__(self) -> Iterator[str]:
        return iter(self._choice.servers)

    def __len__(self) -> int:
        return len(self._choice.servers)


class _Relabelled:
    """The client's side of a call, in the hub's names."""

    def __init__(self, answers: Answers, labels: Relabel) -> None:
        self._answers, self._labels = answers, labels

    async def notify(self, message: Json) -> None:
        await self._answers.notify(self._labels.notification(message))

    async def ask(self, message: Json) -> Json:
        return await self._answers.ask(message)
