"""One server as policy lets one caller use it: what may be asked, on which terms, and what comes of it."""

import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Final

from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND
from mcp_types.methods import CLIENT_REQUESTS, SPEC_CLIENT_METHODS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from portkey_mcp.errors import ConnectNeeded, InvalidRequest, Refusal, UpstreamError
from portkey_mcp.gateway.bridge.way import Answers, as_object
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.gate import GATED
from portkey_mcp.gateway.guarding import failed, finished, searched
from portkey_mcp.gateway.lasting import timed
from portkey_mcp.gateway.leg import Leg
from portkey_mcp.gateway.noting import Noting
from portkey_mcp.gateway.passage import Passage
from portkey_mcp.gateway.schemas import callable_tools
from portkey_mcp.gateway.started import task_in
from portkey_mcp.gateway.visible import LISTINGS, Use, unknown
from portkey_mcp.gateway.wanting import CONNECT, Go, connected, told
from portkey_mcp.policy.decide import Rules, Thing
from portkey_mcp.policy.document import EMPTY
from portkey_mcp.policy.terms import Terms
from portkey_mcp.wire import Json, Raw

LEGACY_METHODS: Final = frozenset(
    method for method, version in CLIENT_REQUESTS if version in HANDSHAKE_PROTOCOL_VERSIONS
)
MODERN_METHODS: Final = frozenset(method for method, version in CLIENT_REQUESTS if version in MODERN_PROTOCOL_VERSIONS)


class Lane(Leg):
    """One server as policy lets one caller use it. Endpoints are made of lanes."""

    async def request(self, method: str, params: Json | None, reply: Answers, *, called: str | None = None) -> Json:
        """Have the server answer one request, in the caller's era. `called` is what the client calls the thing it uses.

        Raises:
            InvalidRequest: hidden, unknown in this era, or contradicting its own headers.
            Refused: policy does not let it pass.
            UpstreamError, UpstreamDown: as the upstream has it.
            ConnectNeeded: it wants an account first, and nobody could be asked in place.
        """
        call = self.call.about(method, params)
        _check_era(call)
        if method in LISTINGS:
            return await self._list(call, reply)
        mine = method == "tools/call" and self.server.auth is not None and as_object(params).get("name") == CONNECT
        use = None if mine else self.view.use(method, params, call.era, called)
        self.stirred()
        try:
            if mine:
                return await self._connect(call, reply, called)
            if use is not None and method in GATED:
                return await self._use(call, use, reply)
            if method.startswith("tasks/"):
                return await self._task(call, reply)
            return await self._looked_at(call, reply, self.view.general if use is None else use.terms)
        except ConnectNeeded as needed:
            raise told(call, self.server, needed) from None
        finally:
            self.stirred()

    async def notify(self, method: str, params: Json | None) -> None:
        """Pass a legacy client's notification on to a legacy upstream; modern ones have no use for it."""
        link = await self.link()
        if link.era == "legacy":
            await link.notify(method, params)
            self.stirred()

    async def _looked_at(self, call: Call, reply: Answers, terms: Terms) -> Json:
        """Answer a request that uses nothing that is counted: it is only looked at on its way."""
        call = call.about(call.method, searched(terms, call.params or {}) if call.params else call.params)
        try:
            return finished(terms, await self.send(call, reply, terms))
        except UpstreamError as error:
            raise failed(terms, error) from None

    async def _task(self, call: Call, reply: Answers) -> Json:
        """Answer a request about tasks, on the terms of the tool that began it. A task of a hidden tool is unknown."""
        params = as_object(call.params)
        if call.method == "tasks/list":
            return self._own_tasks(await self._looked_at(call, reply, self.view.general))
        terms = self.terms_of_task(params.get("taskId"))
        if terms is None:
            raise InvalidRequest(INVALID_PARAMS, f"Unknown task: {str(params.get('taskId'))[:64]}")
        result = self.view.linked(await self._looked_at(call, reply, terms))
        inner = result.get("result")
        return {**result, "result": self.view.linked(inner)} if isinstance(inner, dict) else result

    def _use(self, call: Call, use: Use, reply: Answers) -> Awaitable[Json]:
        """Answer a request that uses a tool, a prompt or a resource, and take note of it."""
        noting = Noting(self._means.note, call, use.thing)

        def go(call: Call) -> Awaitable[Json]:
            return self._on_terms(call, use, reply, noting)

        return noting.of(go(call) if self.server.auth is None else self._once_connected(call, go))

    def _once_connected(self, call: Call, go: Go) -> Awaitable[Json]:
        return self._means.wanting.through(call, self.server, self._means.keyring, go)

    async def _connect(self, call: Call, reply: Answers, called: str | None) -> Json:
        """Answer a call of the gateway's own tool; a server's that has the same name is used like any other."""

        async def go(call: Call) -> Json:
            link = await self.link()
            if await self.tool(CONNECT, link) is None:
                await self.ask_link(link, "tools/list", {})  # what is known may be older than the account's end
                return connected(call.era, self.server)
            use = self.view.use(call.method, call.params, call.era, called)
            assert use is not None
            return await self._on_terms(call, use, reply, noting)

        noting = Noting(self._means.note, call, Thing("tool", self.server.name, CONNECT))
        return await noting.of(self._once_connected(call, go))

    async def _on_terms(self, call: Call, use: Use, reply: Answers, noting: Noting) -> Json:
        thing, terms = use.thing, use.terms
        tool: Json | None = None
        # Without an account nobody is troubled for an approval.
        link = None if self.server.auth is None else await self.link()
        if thing.kind == "tool":
            guarded = self.view.guarded
            if guarded or terms.check_arguments or terms.when is not None:
                link = link or await self.link()
                tool = await self.tool(thing.name, link)
            if guarded and (tool is None or not self.view.offers(tool, terms)):
                raise unknown("tool", use.called, call.era)
            if terms.rename is not None:
                call = call.about(call.method, {**(call.params or {}), "name": thing.name})

        given = call

        async def send(call: Call, passage: Passage) -> Json:
            began = time.perf_counter()
            try:
                if call.params is not given.params and call.era == "modern":
                    # Its headers tell what the client said, not what policy made of it.
                    await self.headers(given, link or await self.link())
                    call = replace(call, checked=True)
                return self.view.linked(await self.send(call, reply, terms, link, passage))
            finally:
                noting.upstream += time.perf_counter() - began

        async def still() -> None:
            if not await self._is_still_there(call, use):
                raise unknown(thing.kind, use.called, call.era)

        result = await self._means.gate.through(call, use, tool, self._rules, reply, send, still)
        if thing.kind == "tool":
            self._means.started.note(self.server.key, call.visit.principal.id, thing.name, result)
        return result

    async def _is_still_there(self, call: Call, use: Use) -> bool:
        """Whether the caller may enter, and sees what it uses, as things are now."""
        if call.again is None:
            return True
        try:
            visit = await call.again()
        except Refusal:
            return False
        workspace = visit.endpoint.workspace
        if workspace.servers.get(self.server.name) != self.server:
            return False
        rules = Rules(workspace.policy or EMPTY)
        now = Lane(self._means, self.server, replace(self.call, visit=visit), rules, self.view.chosen)
        terms = now.view.terms(use.thing.kind, use.thing.name)
        if terms is None or use.thing.kind != "tool" or not now.view.guarded:
            return terms is not None
        tool = await now.tool(use.thing.name, await now.link())
        return tool is not None and now.view.offers(tool, terms)

    def _own_tasks(self, result: Json) -> Json:
        """A list of tasks without those whose tool is hidden."""
        tasks = result.get("tasks")
        if not isinstance(tasks, list) or (self.view.whole and not self._rules.guards(self.server.name)):
            return result
        return {**result, "tasks": [task for task in tasks if self.mine(task_in({"task": task}))]}

    async def _list(self, call: Call, reply: Answers) -> Json:
        """A list as it is kept, as long as the server says that it is good; else as the server has it now."""
        catalogue = self._means.catalogue
        # What is forwarded may make another list of it.
        kept = None if self.server.forward else catalogue.lasting.find(call, self.server)
        if kept is not None:
            seen = self.view.listed(call.method, kept[0])
            return timed(seen if isinstance(seen, Raw) else Raw(seen), kept[1])
        asked = catalogue.freshness.now
        link = await self.link()
        result = await self.cross(call, link, reply)
        if call.method == "tools/list":
            self.offered(result)
            self._means.offers.heard(link, result, whole="cursor" not in (call.params or {}))
            result = callable_tools(link, result)
        if not self.server.forward:
            catalogue.lasting.keep(call, link, result, asked)
        return self.view.listed(call.method, result)


def _check_era(call: Call) -> None:
    """Refuse a method of the specification that the client's era does not have; unknown methods pass."""
    known = LEGACY_METHODS if call.era == "legacy" else MODERN_METHODS
    if call.method in SPEC_CLIENT_METHODS and call.method not in known:
        raise InvalidRequest(METHOD_NOT_FOUND, f"Method not found: {call.method}")
