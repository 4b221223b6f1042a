"""Whose is it? From a hub's names, URIs, task ids and request states to one server's own, and back.

Task ids and request states are sealed to server and principal: what one server gave out never reaches another one,
and one person's task is nobody else's (protocol.md R1, T2).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND

from portkey_mcp.errors import InvalidRequest
from portkey_mcp.gateway.bridge.way import as_object
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.lane import Lane
from portkey_mcp.gateway.naming import exposed, plain_name, plain_uri, server_of
from portkey_mcp.gateway.relabel import Relabel
from portkey_mcp.gateway.standing import CHANGES, Wanted
from portkey_mcp.gateway.visible import unknown
from portkey_mcp.policy.match import Kind
from portkey_mcp.sealing import KeyRing, Unsealable
from portkey_mcp.wire import Json, MalformedJson, dumps, loads

TASK: Final = "hub-task"
STATE: Final = "hub-request-state"

LookUp = Callable[[Lane, str, bool], Awaitable[list[Any]]]
"""Gives the raw things of one server's list, by list method; asked for anew, or as they are known."""

Routed = tuple[Lane, Json | None]


class HubNames:
    """The names of one hub for one `call`; `lanes` are its servers by name."""

    def __init__(self, keyring: KeyRing, call: Call, lanes: Mapping[str, Lane]) -> None:
        self._keyring = keyring
        self.call = call
        self.lanes = lanes
        self._tasks: dict[tuple[str, str], str] = {}

    async def route(self, method: str, params: Json | None, look_up: LookUp) -> Routed:
        """The server a request is for, and the params in its own names.

        Raises:
            InvalidRequest: nobody's, or a method that names no server.
        """
        params = params or {}
        lane, own = await self._named(method, params, look_up)
        if isinstance(own.get("requestState"), str):
            own = {**own, "requestState": self._open(STATE, own["requestState"], lane)}
        return lane, own

    async def _named(self, method: str, params: Json, look_up: LookUp) -> tuple[Lane, Json]:
        if method == "tools/call":
            lane, name = await self._by_name("tool", "tools/list", params["name"], look_up)
            return lane, {**params, "name": name}
        if method == "prompts/get":
            lane, name = await self._by_name("prompt", "prompts/list", params["name"], look_up)
            return lane, {**params, "name": name}
        if method in ("resources/read", "resources/subscribe", "resources/unsubscribe"):
            lane, uri = self.by_uri(params["uri"])
            return lane, {**params, "uri": uri}
        if method == "completion/complete":
            return await self._completion(params, look_up)
        if method.startswith("tasks/") and isinstance(params.get("taskId"), str):
            lane, task = self.by_task(params["taskId"])
            return lane, {**params, "taskId": task}
        raise InvalidRequest(METHOD_NOT_FOUND, f"Method not found: {method}. A hub cannot tell which server it is for")

    async def _completion(self, params: Json, look_up: LookUp) -> tuple[Lane, Json]:
        ref = as_object(params.get("ref"))
        if isinstance(ref.get("name"), str):
            lane, name = await self._by_name("prompt", "prompts/list", ref["name"], look_up)
            return lane, {**params, "ref": {**ref, "name": name}}
        if isinstance(ref.get("uri"), str):
            lane, uri = self.by_uri(ref["uri"])
            return lane, {**params, "ref": {**ref, "uri": uri}}
        raise InvalidRequest(INVALID_PARAMS, "completion/complete needs params.ref with a prompt's name or a uri")

    async def _by_name(self, kind: Kind, method: str, name: str, look_up: LookUp) -> tuple[Lane, str]:
        server = server_of(name, self.lanes)
        if server is None:
            raise unknown(kind, name, self.call.era)
        lane = self.lanes[server]
        given = plain_name(name, server)
        if given is not None:
            return lane, given
        for anew in (False, True):
            for thing in await look_up(lane, method, anew):
                given = self._given(lane, kind, thing)
                if given is not None and exposed(server, given) == name:
                    return lane, given
        raise unknown(kind, name, self.call.era)

    def _given(self, lane: Lane, kind: Kind, thing: Any) -> str | None:
        """What the caller knows a thing of a list by, before the server's mark; None where it is hidden."""
        own = thing.get("name") if isinstance(thing, dict) else None
        terms = lane.view.terms(kind, own) if isinstance(own, str) else None
        return None if terms is None else terms.rename or own

    def by_uri(self, uri: str) -> tuple[Lane, str]:
        """The server of a resource, and its own URI."""
        found = plain_uri(uri)
        if found is None or found[0] not in self.lanes:
            raise unknown("resource", uri, self.call.era)
        return self.lanes[found[0]], found[1]

    def visible(self, uris: Sequence[str]) -> list[str]:
        """Those of these URIs that are some server's and not hidden from the caller."""
        found = [(uri, plain_uri(uri)) for uri in uris]
        return [
            uri
            for uri, place in found
            if place is not None and place[0] in self.lanes and self.lanes[place[0]].view.shows("resource", place[1])
        ]

    def by_task(self, sealed: str) -> tuple[Lane, str]:
        """The server of a task, and its own id; only for the principal who started it."""
        server, task = self._unseal(TASK, sealed, "task")
        self._tasks[server, task] = sealed
        if server not in self.lanes:
            raise InvalidRequest(INVALID_PARAMS, f"Unknown task: {sealed}")
        return self.lanes[server], task

    def labels(self, lane: Lane) -> Relabel:
        """What turns this server's results into the hub's."""
        server = lane.server.name
        return Relabel(
            server,
            # Each sealing looks different; within one exchange a task keeps the id by which the client asked for it.
            task=lambda task: self._tasks.get((server, task)) or self._seal(TASK, server, task),
            state=lambda state: self._seal(STATE, server, state),
        )

    def part(self, lane: Lane, able: Wanted) -> Wanted:
        """The part of a listen filter that concerns one server."""
        part: Wanted = {member: True for member in CHANGES if able.get(member) is True}
        uris = [plain_uri(uri) for uri in self.visible(able.get("resourceSubscriptions", []))]
        mine = [uri for server, uri in filter(None, uris) if server == lane.server.name]
        if mine:
            part["resourceSubscriptions"] = mine
        named = map(self.by_task, able.get("taskIds", []))
        tasks = [task for owner, task in named if owner is lane and lane.mine(task)]
        if tasks:
            part["taskIds"] = tasks
        return part

    def _seal(self, use: str, server: str, value: str) -> str:
        content = [server, self.call.visit.principal.id, self.call.visit.endpoint.workspace.slug, value]
        return self._keyring.seal(dumps(content), use)

    def _open(self, use: str, sealed: str, lane: Lane) -> str:
        server, value = self._unseal(use, sealed, "requestState")
        if server != lane.server.name:
            raise InvalidRequest(INVALID_PARAMS, "requestState belongs to another server's request")
        return value

    def _unseal(self, use: str, sealed: str, what: str) -> tuple[str, str]:
        try:
            server, principal, workspace, value = loads(self._keyring.open(sealed, use))
        except (Unsealable, MalformedJson, ValueError):
            raise InvalidRequest(INVALID_PARAMS, f"Unknown {what}: {sealed[:64]}") from None
        if principal != self.call.visit.principal.id or workspace != self.call.visit.endpoint.workspace.slug:
            raise InvalidRequest(INVALID_PARAMS, f"Unknown {what}: {sealed[:64]}")
        return server, value
