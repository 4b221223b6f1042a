"""The endpoint of one server: its own names, its own answers; whatever the server says, nearly always as it said it."""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any

from mcp_types import INVALID_PARAMS

from portkey_mcp.errors import ConnectNeeded, InvalidRequest
from portkey_mcp.gateway.bridge.way import Answers, as_object
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.lane import Lane
from portkey_mcp.gateway.means import Means
from portkey_mcp.gateway.standing import Source, Tagged, Wanted, attend, honoured, listen
from portkey_mcp.gateway.visible import LISTINGS
from portkey_mcp.gateway.wanting import OFFERS, greeting, listed
from portkey_mcp.model import McpServer
from portkey_mcp.policy.decide import Rules
from portkey_mcp.wire import Json


class Single:
    """One server for one call."""

    def __init__(self, means: Means, server: McpServer, call: Call, rules: Rules) -> None:
        self._lane = Lane(means, server, call, rules)
        self._call = call

    async def hello(self) -> Json:
        """What `initialize` or `server/discover` answers."""
        call, server = self._call, self._lane.server
        try:
            return await self._lane.hello()
        except ConnectNeeded as needed:
            return greeting(call.era, call.version, server, needed)

    def request(self, reply: Answers) -> Awaitable[Any]:
        """Answer the call."""
        if self._call.method == "subscriptions/listen" and self._call.era == "modern":
            return self._listen(reply)
        if self._lane.server.auth is not None and self._call.method in LISTINGS:
            return self._list(reply)
        return self._lane.request(self._call.method, self._call.params, reply)

    async def notify(self, method: str, params: Json | None) -> None:
        """Pass on a client's notification."""
        await self._lane.notify(method, params)

    def sources(self) -> Sequence[Source]:
        """What a legacy client's GET stream is fed from."""
        return [partial(attend, self._lane, None)]

    async def _list(self, reply: Answers) -> Json:
        """A list, which is the gateway's own as long as no account is connected."""
        call = self._call
        try:
            return await self._lane.request(call.method, call.params, reply)
        except ConnectNeeded as needed:
            return listed(call.era, LISTINGS[call.method], self._lane.server, needed)

    async def _listen(self, reply: Answers) -> Any:
        """Listen for the client; where that takes an account first, it hears when it is there."""
        wanted = visible_filter(self._lane, wanted_of(self._call))
        try:
            return await self._listened(wanted, reply)
        except ConnectNeeded:
            able = honoured(wanted, OFFERS)
            return await listen(self._call.id, able, [partial(attend, self._lane, able)], reply)

    async def _listened(self, wanted: Wanted, reply: Answers) -> Any:
        """A modern upstream's listen stream is passed on frame by frame; a legacy one is listened to for the client."""
        link = await self._lane.link()
        if link.era == "modern":
            params = {**(self._call.params or {}), "notifications": wanted}
            tagged = Tagged(reply, self._call.id)
            result = await self._lane.request("subscriptions/listen", params, tagged)
            meta = as_object(result.get("_meta"))
            return {**result, "_meta": {**meta, "io.modelcontextprotocol/subscriptionId": self._call.id}}
        able = honoured(wanted, as_object(link.hello.get("capabilities")))
        return await listen(self._call.id, able, [partial(attend, self._lane, able)], reply)


def wanted_of(call: Call) -> Wanted:
    """The filter of a listen request.

    Raises:
        InvalidRequest: it is not there.
    """
    wanted = (call.params or {}).get("notifications")
    if not isinstance(wanted, dict):
        raise InvalidRequest(INVALID_PARAMS, "subscriptions/listen needs params.notifications, an object")
    return wanted


def visible_filter(lane: Lane, wanted: Wanted) -> Wanted:
    """The filter without resources and tasks that are hidden from this visitor."""
    if lane.view.whole:
        return wanted
    seen: Json = {}
    uris, tasks = wanted.get("resourceSubscriptions"), wanted.get("taskIds")
    if isinstance(uris, list):
        seen["resourceSubscriptions"] = [u for u in uris if isinstance(u, str) and lane.view.shows("resource", u)]
    if isinstance(tasks, list):
        seen["taskIds"] = [task for task in tasks if lane.mine(task)]
    return {**wanted, **seen}
