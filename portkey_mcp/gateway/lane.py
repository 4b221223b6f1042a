"""One server as one caller sees it: policy, link, bridge and back. Endpoints are made of lanes."""

import time
from typing import Any, Final

import anyio
from mcp_types import CLIENT_CAPABILITIES_META_KEY, HEADER_MISMATCH, INVALID_PARAMS, METHOD_NOT_FOUND
from mcp_types.methods import CLIENT_REQUESTS, SPEC_CLIENT_METHODS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from portkey_mcp.errors import InvalidRequest, Refused, UpstreamError, UpstreamTimeout
from portkey_mcp.gateway.bridge import legacy_on_modern, modern_on_legacy, same
from portkey_mcp.gateway.bridge.envelope import legacy_hello, modern_hello, modern_meta, own_fault
from portkey_mcp.gateway.bridge.way import Answers, Way, as_object, ignore, refuse, refuse_question, with_meta
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.freshness import LIST_CHANGED
from portkey_mcp.gateway.gate import GATED
from portkey_mcp.gateway.lasting import timed
from portkey_mcp.gateway.means import Means
from portkey_mcp.gateway.noting import Noting
from portkey_mcp.gateway.offers import Defined, defined
from portkey_mcp.gateway.schemas import callable_tools
from portkey_mcp.gateway.started import task_in
from portkey_mcp.gateway.visible import LISTINGS, Use, View, unknown
from portkey_mcp.model import McpServer
from portkey_mcp.policy.decide import Rules
from portkey_mcp.policy.document import EMPTY
from portkey_mcp.policy.guards.redact import redact
from portkey_mcp.policy.match import Pattern
from portkey_mcp.policy.terms import FREE, Terms
from portkey_mcp.upstream.link import Link
from portkey_mcp.wire import Json, Raw

LEGACY_METHODS: Final = frozenset(
    method for method, version in CLIENT_REQUESTS if version in HANDSHAKE_PROTOCOL_VERSIONS
)
MODERN_METHODS: Final = frozenset(method for method, version in CLIENT_REQUESTS if version in MODERN_PROTOCOL_VERSIONS)

_OPEN: Final = Rules(EMPTY)

LEGACY_TASKS: Final = ("tasks/get", "tasks/list", "tasks/result", "tasks/cancel", "tasks/update")
"""Legacy tasks and the tasks extension share names and nothing else (SEP-2663): they never cross eras."""


class Lane:
    """One server for one caller. Cheap: made anew for every message. `whole`: it shows all there is, hidden or not."""

    def __init__(
        self,
        means: Means,
        server: McpServer,
        call: Call,
        rules: Rules,
        chosen: tuple[Pattern, ...] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self.server = server
        self._rules = rules
        withheld = rules.withheld.get(server.name)
        self.call = call if withheld is None else call.without(withheld)
        self.view = (
            View(call.visit, server.name, _OPEN) if whole else View(call.visit, server.name, rules, chosen, means.pins)
        )
        self._means = means

    async def link(self) -> Link:
        """The caller's link; raises UpstreamDown or UpstreamError when there is none to be had."""
        return await self._means.links.link(self.server, self.call.introduction)

    async def hello(self) -> Json:
        """The server's own greeting, in the caller's era: an InitializeResult or a DiscoverResult."""
        link = await self.link()
        if link.era == "legacy":
            return link.hello if self.call.era == "legacy" else modern_hello(link.hello)
        if self.call.era == "legacy":
            return legacy_hello(link.hello, self.call.version)
        return await self._cross(self.call.about("server/discover", self.call.params), link, None)

    async def request(self, method: str, params: Json | None, reply: Answers, *, called: str | None = None) -> Json:
        """Have the server answer one request, in the caller's era. `called` is what the client calls the thing it uses.

        Raises:
            InvalidRequest: hidden, unknown in this era, or contradicting its own headers.
            Refused: policy does not let it pass.
            UpstreamError, UpstreamDown: as the upstream has it.
        """
        call = self.call.about(method, params)
        _check_era(call)
        if method in LISTINGS:
            return await self._list(call, reply)
        use = self.view.use(method, params, call.era, called)
        if method.startswith("tasks/"):
            self._check_task(as_object(params))
        self._stirred()
        try:
            if use is not None and method in GATED:
                return await self._use(call, use, reply)
            result = await self._sent(call, reply)
            return self._own_tasks(result) if method == "tasks/list" else result
        finally:
            self._stirred()

    async def _use(self, call: Call, use: Use, reply: Answers) -> Json:
        """Answer a request that uses a tool, a prompt or a resource, and take note of it."""
        noting = Noting(self._means.note, call, use.thing)
        try:
            result = await self._on_terms(call, use, reply, noting)
            noting.ended(result)
            return result
        except Exception as error:
            noting.failed(error)
            raise
        finally:
            noting.done()

    async def _on_terms(self, call: Call, use: Use, reply: Answers, noting: Noting) -> Json:
        thing, terms = use.thing, use.terms
        tool: Json | None = None
        link: Link | None = None
        if thing.kind == "tool":
            guarded = self.view.guarded
            if guarded or terms.check_arguments or terms.when is not None:
                link = await self.link()
                tool = await self._tool(thing.name, link)
            if guarded and (tool is None or not self.view.offers(tool, terms)):
                raise unknown("tool", use.called, call.era)
            if terms.rename is not None:
                call = call.about(call.method, {**(call.params or {}), "name": thing.name})

        async def send(call: Call) -> Json:
            began = time.perf_counter()
            try:
                return self.view.linked(await self._sent(call, reply, terms, link))
            finally:
                noting.upstream += time.perf_counter() - began

        result = await self._means.gate.through(call, use, tool, self._rules, reply, send)
        if thing.kind == "tool":
            self._means.started.note(self.server.key, call.visit.principal.id, thing.name, result)
        return result

    async def _sent(self, call: Call, reply: Answers, terms: Terms = FREE, link: Link | None = None) -> Json:
        if link is None or not link.alive:
            link = await self.link()
        if self.call.withheld and call.era == "modern":
            declared = {CLIENT_CAPABILITIES_META_KEY: call.capabilities}
            call = call.about(call.method, with_meta(call.params, lambda meta: {**meta, **declared}))
        if call.era != link.era and call.method in LEGACY_TASKS:
            raise InvalidRequest(METHOD_NOT_FOUND, f"Method not found: {call.method}")
        return await self._cross(call, link, reply, terms)

    async def _tool(self, name: str, link: Link) -> Json | None:
        """How the server defines one of its tools; None when it lists none of that name."""
        offers, freshness = self._means.offers, self._means.catalogue.freshness
        known = offers.known(link, name, freshness)
        if known is not None:
            return known

        async def list_page(params: Json) -> Json:
            page = await self.ask_link(link, "tools/list", params)
            self._offered(page)
            return page

        return await offers.tool(link, name, list_page, freshness)

    def _offered(self, page: Json) -> None:
        """Have the tools of a list recorded as they are; once for each list that is another one."""
        held = self._rules.server(self.server.name)

        def note(page: Json) -> Json:
            tools = page.get("tools")
            found = (tool for tool in (tools if isinstance(tools, list) else ()) if isinstance(tool, Defined))
            named = {str(tool["name"]): (tool.digest, tool.sent) for tool in found if "name" in tool}
            if self._means.pins.seen(self.server, held, named):
                self.lists_changed()  # other links of this server may know what it offered before
            return page

        page = defined(page)
        if isinstance(page, Raw):
            page.once(("seen", self.server.key, held), note)
        else:
            note(page)

    def _check_task(self, params: Json) -> None:
        """Refuse a task whose tool is hidden, as one that does not exist."""
        task = params.get("taskId")
        if isinstance(task, str) and not self.mine(task):
            raise InvalidRequest(INVALID_PARAMS, f"Unknown task: {task}")

    def mine(self, task: Any) -> bool:
        """Whether the caller may know of a task, by the server's own id of it."""
        if self.view.whole:
            return True
        tool = self._means.started.tool(self.server.key, self.call.visit.principal.id, task)
        return tool is not None and self.view.shows("tool", tool)

    def _own_tasks(self, result: Json) -> Json:
        """A list of tasks without those whose tool is hidden."""
        tasks = result.get("tasks")
        if self.view.whole or not isinstance(tasks, list):
            return result
        return {**result, "tasks": [task for task in tasks if self.mine(task_in({"task": task}))]}

    async def _list(self, call: Call, reply: Answers) -> Json:
        """A list as it is kept, as long as the server says that it is good; else as the server has it now."""
        catalogue = self._means.catalogue
        kept = catalogue.lasting.find(call, self.server)
        if kept is not None:
            seen = self.view.listed(call.method, kept[0])
            return timed(seen if isinstance(seen, Raw) else Raw(seen), kept[1])
        asked = catalogue.freshness.now
        link = await self.link()
        result = await self._cross(call, link, reply)
        if call.method == "tools/list":
            self._offered(result)
            self._means.offers.heard(link, result, whole="cursor" not in (call.params or {}))
            result = callable_tools(link, result)
        catalogue.lasting.keep(call, link, result, asked)
        return self.view.listed(call.method, result)

    def _stirred(self) -> None:
        """The caller did something there, by which its lists may change: a tool may sign in, or load other tools."""
        self._means.catalogue.freshness.changed(self.server.key, self.call.visit.principal.id)

    def heard(self, message: Json) -> None:
        """Take note of what the server tells, whoever it is told."""
        if message.get("method") in LIST_CHANGED:
            self.lists_changed()

    def lists_changed(self) -> None:
        """Whatever is known of the server's lists is old, for everybody."""
        self._means.catalogue.freshness.changed(self.server.key)

    async def notify(self, method: str, params: Json | None) -> None:
        """Pass a legacy client's notification on to a legacy upstream; modern ones have no use for it."""
        link = await self.link()
        if link.era == "legacy":
            await link.notify(method, params)
            self._stirred()

    def bare(self, link: Link, params: Json) -> Json:
        """The gateway's own request on the caller's behalf: params with the envelope that the link's era wants."""
        if link.era == "legacy":
            return params
        return with_meta(params, lambda meta: modern_meta(meta, self.call.capabilities, self.call.client_info, None))

    async def _cross(self, call: Call, link: Link, reply: Answers | None, terms: Terms = FREE) -> Json:
        answers = _Filtered(self, reply, terms) if reply is not None else Nobody()
        headers = None if call.era == link.era == "legacy" else await self._headers(call, link)
        try:
            try:
                return await self._bridge(call, link, answers, headers, terms)
            except UpstreamError as error:
                if error.code != HEADER_MISMATCH or call.method != "tools/call" or link.era == "legacy":
                    raise
            # The upstream's tools changed under our headers (H5); it has refused the call, so it may be sent again.
            self._means.schemas.forget(link)
            return await self._bridge(call, link, answers, await self._headers(call, link), terms)
        except UpstreamError as error:
            raise UpstreamError(own_fault(error.error), error.status, error.headers) from None

    async def _headers(self, call: Call, link: Link) -> dict[str, str] | None:
        async def list_page(params: Json) -> Json:
            return await self.ask_link(link, "tools/list", params)

        return await self._means.schemas.headers(call, link, list_page)

    async def ask_link(self, link: Link, method: str, params: Json) -> Json:
        """Send one request of the gateway's own over a link, as this caller; what it says on the way is dropped.

        Raises:
            UpstreamError, UpstreamDown: as the upstream has it.
        """
        with anyio.move_on_after(self._means.timeout):
            return await link.request(method, self.bare(link, params), on_notification=ignore, on_request=refuse)
        raise UpstreamTimeout(link.server.name, f"no answer to {method} within {self._means.timeout:g} s")

    async def _bridge(
        self, call: Call, link: Link, answers: Answers, headers: dict[str, str] | None, terms: Terms
    ) -> Json:
        with self._means.spans.client(call.method, call.params, link) as span:
            timeout = terms.timeout or self._means.timeout
            inject = span.inject if span.injects else None
            way = Way(call, link, answers, timeout, headers, inject, self.heard, terms.max_timeout)
            if link.era == call.era:
                result = await (same.legacy(way) if call.era == "legacy" else same.modern(way))
            elif call.era == "legacy":
                result = await legacy_on_modern.forward(way)
            else:
                result = await modern_on_legacy.forward(way, self._means.parking, call.visit.endpoint.path)
            span.result(result)
            return result


def _check_era(call: Call) -> None:
    """Refuse a method of the specification that the client's era does not have; unknown methods pass."""
    known = LEGACY_METHODS if call.era == "legacy" else MODERN_METHODS
    if call.method in SPEC_CLIENT_METHODS and call.method not in known:
        raise InvalidRequest(METHOD_NOT_FOUND, f"Method not found: {call.method}")


class _Filtered:
    """The caller's side of a call, without news of what is hidden from it, and of what may not pass."""

    def __init__(self, lane: Lane, reply: Answers, terms: Terms) -> None:
        self._lane, self._reply, self._redact = lane, reply, terms.redact

    async def notify(self, message: Json) -> None:
        self._lane.heard(message)
        if not self._lane.view.hears(message):
            return
        if self._redact and "params" in message:
            try:
                message = {**message, "params": redact(self._redact, message["params"], "result").value}
            except Refused:
                return  # the message may not pass; whether the call's result may is decided when it comes
        await self._reply.notify(message)

    async def ask(self, message: Json) -> Json:
        return await self._reply.ask(message)


class Nobody:
    """Nobody to hear or answer: what the gateway asks on a caller's behalf."""

    async def notify(self, message: Json) -> None:
        """Drop it."""

    async def ask(self, message: Json) -> Json:
        """Refuse it."""
        return refuse_question(message)
