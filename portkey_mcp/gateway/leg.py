"""One server as one caller reaches it: link, bridge and back, and what is known of its tools and tasks."""

from typing import Any, Final

import anyio
from mcp_types import CLIENT_CAPABILITIES_META_KEY, HEADER_MISMATCH, METHOD_NOT_FOUND

from portkey_mcp.errors import InvalidRequest, UpstreamError, UpstreamTimeout
from portkey_mcp.gateway.bridge import legacy_on_modern, modern_on_legacy, same
from portkey_mcp.gateway.bridge.envelope import legacy_hello, modern_hello, modern_meta, own_fault
from portkey_mcp.gateway.bridge.way import Answers, Way, as_object, ignore, refuse, refuse_question, with_meta
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.forwarding import forwarded
from portkey_mcp.gateway.freshness import LIST_CHANGED
from portkey_mcp.gateway.guarding import answered, greeted, told
from portkey_mcp.gateway.means import Means
from portkey_mcp.gateway.offers import Defined, defined
from portkey_mcp.gateway.passage import Passage
from portkey_mcp.gateway.visible import LISTINGS, View
from portkey_mcp.model import McpServer
from portkey_mcp.policy.decide import Rules
from portkey_mcp.policy.document import EMPTY
from portkey_mcp.policy.match import Pattern
from portkey_mcp.policy.terms import FREE, Terms
from portkey_mcp.upstream.link import Link
from portkey_mcp.wire import Json, Raw

_OPEN: Final = Rules(EMPTY)

LEGACY_TASKS: Final = ("tasks/get", "tasks/list", "tasks/result", "tasks/cancel", "tasks/update")
"""Legacy tasks and the tasks extension share names and nothing else (SEP-2663): they never cross eras."""


class Leg:
    """One server as one caller reaches it. Cheap: made anew for every message. `whole`: it shows all, hidden or not."""

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
            hello = link.hello if self.call.era == "legacy" else modern_hello(link.hello)
        elif self.call.era == "legacy":
            hello = legacy_hello(link.hello, self.call.version)
        else:
            hello = await self.cross(self.call.about("server/discover", self.call.params), link, None)
        return greeted(self.view.general, hello)

    async def send(
        self,
        call: Call,
        reply: Answers,
        terms: Terms = FREE,
        link: Link | None = None,
        passage: Passage | None = None,
    ) -> Json:
        if link is None or not link.alive:
            link = await self.link()
        if self.call.withheld and call.era == "modern":
            declared = {CLIENT_CAPABILITIES_META_KEY: call.capabilities}
            call = call.about(call.method, with_meta(call.params, lambda meta: {**meta, **declared}))
        if call.era != link.era and call.method in LEGACY_TASKS:
            raise InvalidRequest(METHOD_NOT_FOUND, f"Method not found: {call.method}")
        return await self.cross(call, link, reply, terms, passage or Passage())

    async def tool(self, name: str, link: Link) -> Json | None:
        """How the server defines one of its tools; None when it lists none of that name."""
        offers, freshness = self._means.offers, self._means.catalogue.freshness
        known = offers.known(link, name, freshness)
        if known is not None:
            return known

        async def list_page(params: Json) -> Json:
            page = await self.ask_link(link, "tools/list", params)
            self.offered(page)
            return page

        return await offers.tool(link, name, list_page, freshness)

    def offered(self, page: Json) -> None:
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

    def mine(self, task: Any) -> bool:
        """Whether the caller may know of a task, by the server's own id of it."""
        return self.terms_of_task(task) is not None

    def terms_of_task(self, task: Any) -> Terms | None:
        """On what terms the caller may know of a task: those of its tool. None: not at all.

        Where nothing can be hidden and nothing is looked at, nobody need remember which tool it was.
        """
        free = self.view.whole and not self._rules.guards(self.server.name)
        tool = self._means.started.tool(self.server.key, self.call.visit.principal.id, task)
        if tool is not None:
            return self.view.terms("tool", tool)
        return FREE if free else None

    def stirred(self) -> None:
        """The caller did something there, by which its lists may change: a tool may sign in, or load other tools."""
        self._means.catalogue.freshness.changed(self.server.key, self.call.visit.principal.id)

    def passes(self, message: Json, terms: Terms) -> Json | None:
        """A notification as the caller may hear it, None where it may not. `terms` are those of the call it belongs to;
        one about a task goes by the task's own.
        """
        if not self.view.hears(message):
            return None
        task = as_object(message.get("params")).get("taskId")
        own = terms if task is None else self.terms_of_task(task)
        return None if own is None else told(own, message)

    async def account_pause(self, seconds: float) -> None:
        """Wait for so long, or until an account may have been connected."""
        await self._means.wanting.pause(seconds)

    def missed(self) -> None:
        """The server was out of reach for a while: its lists may have changed, where accounts are told for this one."""
        if self.server.auth is None:
            self.lists_changed()
        else:
            self.stirred()
            self._spoke()

    def heard(self, message: Json) -> None:
        """Take note of what the server tells, whoever it is told."""
        if message.get("method") in LIST_CHANGED:
            self.lists_changed()

    def lists_changed(self) -> None:
        """The server let it be known: whatever is known of its lists is old, for everybody."""
        self._means.catalogue.freshness.changed(self.server.key)
        self._spoke()

    def _spoke(self) -> None:
        """The server answered the caller, or told something: it is there."""
        self._means.catalogue.freshness.spoke(self.server.key, self.call.visit.principal.id)

    def bare(self, link: Link, params: Json) -> Json:
        """The gateway's own request on the caller's behalf: params with the envelope that the link's era wants."""
        if link.era == "legacy":
            return params
        return with_meta(params, lambda meta: modern_meta(meta, self.call.capabilities, self.call.client_info, None))

    async def cross(
        self,
        call: Call,
        link: Link,
        reply: Answers | None,
        terms: Terms = FREE,
        passage: Passage | None = None,
    ) -> Json:
        passage = passage or Passage()
        answers = _Filtered(self, reply, terms) if reply is not None else Nobody()
        headers = None if call.era == link.era == "legacy" else await self.headers(call, link)
        if self.server.forward:
            headers = {**forwarded(self.server, call), **(headers or {})}
        try:
            try:
                return await self._bridge(call, link, answers, headers, terms, passage)
            except UpstreamError as error:
                if error.code != HEADER_MISMATCH or call.method != "tools/call" or link.era == "legacy":
                    raise
            # The upstream's tools changed under our headers (H5); it has refused the call, so it may be sent again.
            self._means.schemas.forget(link)
            headers = {**forwarded(self.server, call), **(await self.headers(call, link) or {})}
            return await self._bridge(call, link, answers, headers, terms, passage)
        except UpstreamError as error:
            raise UpstreamError(own_fault(error.error), error.status, error.headers) from None

    async def headers(self, call: Call, link: Link) -> dict[str, str] | None:
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
        self,
        call: Call,
        link: Link,
        answers: Answers,
        headers: dict[str, str] | None,
        terms: Terms,
        passage: Passage,
    ) -> Json:
        with self._means.spans.client(call.method, call.params, link) as span:
            timeout = terms.timeout or self._means.timeout
            inject = span.inject if span.injects else None
            way = Way(call, link, answers, timeout, headers, inject, self.heard, terms.max_timeout, passage)
            if link.era == call.era:
                result = await (same.legacy(way) if call.era == "legacy" else same.modern(way))
            elif call.era == "legacy":
                result = await legacy_on_modern.forward(way)
            else:
                result = await modern_on_legacy.forward(way, self._means.parking, call.visit.endpoint.path)
            span.result(result)
        if call.method not in LISTINGS:  # whether its lists come in time, `Snapshots` sees for itself
            self._spoke()
        return result


class _Filtered:
    """The caller's side of a call, without news of what is hidden from it, and of what may not pass."""

    def __init__(self, lane: Leg, reply: Answers, terms: Terms) -> None:
        self._lane, self._reply, self._terms = lane, reply, terms

    async def notify(self, message: Json) -> None:
        self._lane.heard(message)
        passed = self._lane.passes(message, self._terms)
        if passed is not None:
            await self._reply.notify(passed)

    async def ask(self, message: Json) -> Json:
        passed = told(self._terms, message)
        return refuse_question(message) if passed is None else answered(self._terms, await self._reply.ask(passed))


class Nobody:
    """Nobody to hear or answer: what the gateway asks on a caller's behalf."""

    async def notify(self, message: Json) -> None:
        """Drop it."""

    async def ask(self, message: Json) -> Json:
        """Refuse it."""
        return refuse_question(message)
