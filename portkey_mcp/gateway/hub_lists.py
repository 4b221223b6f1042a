"""The lists of a hub: kept of each server, merged, named and filtered for the visitor, and written once per change."""

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, partial
from typing import Any

import anyio

from portkey_mcp.gateway.bridge.way import as_object
from portkey_mcp.gateway.catalogue import Choice, Sources
from portkey_mcp.gateway.forwarding import forwarded
from portkey_mcp.gateway.hub_names import HubNames
from portkey_mcp.gateway.lane import Lane
from portkey_mcp.gateway.lasting import LONGEST, milliseconds, seconds_of, timed
from portkey_mcp.gateway.leg import Nobody
from portkey_mcp.gateway.means import Means
from portkey_mcp.gateway.merged import list_result, page_of
from portkey_mcp.gateway.pages import pages
from portkey_mcp.gateway.snapshots import Answer, Place, Snapshot, Snapshots
from portkey_mcp.gateway.visible import HIDDEN, LISTINGS, Listing
from portkey_mcp.gateway.wanting import tool
from portkey_mcp.model import Introduction, McpServer
from portkey_mcp.policy.decide import Rules
from portkey_mcp.wire import Json, Raw


class HubLists:
    """The lists of one hub for one call."""

    def __init__(self, means: Means, snapshots: Snapshots, names: HubNames, rules: Rules, choice: Choice) -> None:
        self._means = means
        self._snapshots = snapshots
        self._names = names
        self._rules = rules
        self._choice = choice
        self._lanes = names.lanes
        self._call = names.call

    async def page(self, listing: Listing) -> Raw:
        """The page of the merged list that the call asks for, as it was written when it last changed."""
        method, era = self._call.method, self._call.era
        cursor = (self._call.params or {}).get("cursor")
        found = await self.from_all(method, partial(self._everything, method))
        stale = tuple(name for name, snapshot in found if snapshot.stale)
        values = tuple(snapshot.needs or snapshot.value for _, snapshot in found)
        page = self._means.catalogue.written(
            self._place(method, cursor),
            Sources(self._choice, self._rules, values, stale, self._means.pins.version),
            lambda: self._write(listing, found, cursor, stale),
        )
        if era == "legacy":
            return page
        now = self._means.catalogue.clock()
        passing = stale or any(snapshot.needs for _, snapshot in found)
        left = 0 if passing else min((snapshot.ends - now for _, snapshot in found if snapshot.known), default=0)
        return timed(page, milliseconds(left))

    def _place(self, method: str, cursor: Any) -> tuple[Any, ...]:
        """Whose page of which list: all of a visitor that a decision can depend on, and where the page begins."""
        visit, begins = self._call.visit, cursor if cursor is None else str(cursor)
        place = visit.endpoint.path, visit.endpoint.workspace.slug
        return (*place, method, self._call.era, visit.principal.id, self._rules.eyes(visit), begins)

    def _write(
        self, listing: Listing, found: Sequence[tuple[str, Snapshot]], cursor: Any, stale: Sequence[str]
    ) -> Json:
        """One page of what the visitor sees of these lists."""
        things: list[Any] = []
        for lane, snapshot in ((self._lanes[name], snapshot) for name, snapshot in found):
            labels = self._names.labels(lane)
            if snapshot.needs is not None and listing.member == "tools":
                things.append(labels.listed(self._call.method, tool(lane.server, snapshot.needs)))
            if not snapshot.known:
                continue
            # What is kept is each server's whole list: the policy and the bundle are those of now.
            seen = (lane.view.dressed(listing.kind, listing.key, thing) for thing in snapshot.value)
            things += [labels.listed(self._call.method, thing) for thing in seen if thing is not HIDDEN]
        page, following = page_of(things, listing, cursor)
        return list_result(self._call.era, listing.member, page, following, stale)

    async def _everything(self, method: str, server: McpServer) -> Answer:
        """All of one server's things, raw and whatever hides them, and how long they are good.

        A server without the capability has nothing, whatever it answers.
        """
        lane = Lane(self._means, server, self._call, self._rules, whole=True)
        listing = LISTINGS[method]
        things: list[Any] = []
        capabilities = as_object((await lane.link()).hello.get("capabilities"))
        if method.split("/", 1)[0] not in capabilities:
            return Answer(things)
        ttl = LONGEST
        # The envelope travels; the hub's cursor, and what another method was asked with, do not.
        params = self._call.params or {}
        asked: Json = {key: params[key] for key in params if key == "_meta"}
        async for result in pages(lambda params: lane.request(method, params, Nobody()), asked):
            page = result.get(listing.member)
            things += page if isinstance(page, list) else []
            ttl = min(ttl, seconds_of(result.get("ttlMs")))
        # What has no name can have none on a hub, and nobody could ask for it.
        return Answer([thing for thing in things if isinstance(as_object(thing).get(listing.key), str)], ttl)

    async def look_up(self, lane: Lane, method: str, anew: bool) -> list[Any]:
        """A server's things, for finding one whose name was shortened."""
        fetch = partial(self._everything, method, lane.server)
        snapshot = await self._snapshots.get(self._of(lane.server, method), fetch, anew=anew)
        return snapshot.value if snapshot.known else []

    async def from_all(
        self, what: str, fetch: Callable[[McpServer], Awaitable[Answer]], *, anew: bool = False
    ) -> list[tuple[str, Snapshot]]:
        """The newest there is of each server, in the order of their names; those that must be are asked at once."""
        found: dict[str, Snapshot | None] = dict.fromkeys(self._choice.servers)
        if not anew:
            for name, server in self._choice.servers.items():
                found[name] = self._snapshots.ready(self._of(server, what), partial(fetch, server))

        async def ask(server: McpServer) -> None:
            place = self._of(server, what)
            found[server.name] = await self._snapshots.get(place, partial(fetch, server), anew=anew)

        missing = [name for name, snapshot in found.items() if snapshot is None]
        if missing:
            async with anyio.create_task_group() as group:
                for name in missing:
                    group.start_soon(ask, self._choice.servers[name])
        return [(name, snapshot) for name, snapshot in found.items() if snapshot is not None]

    @cached_property
    def _introduction(self) -> Introduction:
        return self._call.introduction

    def _of(self, server: McpServer, what: str) -> Place:
        who = self._introduction
        party = who.party
        if server.forward:  # which may make another list of it
            party = f"{party} {sorted(forwarded(server, self._call).items())}"
        return Place(server, what, self._call.era, who.principal, party)
