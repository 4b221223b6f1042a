"""What policy demands of one call: before it leaves, while it is under way, and when its answer is there.

    arguments   filled in, measured, compared with the schema, searched; `when` must hold
    approval    a person is asked, where the rule wants that
    limits      all counted in one step, or none; given back when the call never reached its server
    answer      measured, cleaned, searched, an error's words as well; what is left of the limits is told

The order is that of the least harm: a call that fails early costs nothing and troubles nobody. Everything fails closed.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import anyio

from portkey_mcp.errors import ConnectNeeded, Refused, StoreDown, UpstreamDown, UpstreamError
from portkey_mcp.gateway.asking import Asking
from portkey_mcp.gateway.bridge.way import Answers, as_object
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.guarding import failed, finished, searched
from portkey_mcp.gateway.passage import Passage
from portkey_mcp.gateway.visible import Use
from portkey_mcp.model import Exhausted, Taken
from portkey_mcp.policy.checking import ArgumentChecks
from portkey_mcp.policy.decide import Rules, Thing
from portkey_mcp.policy.guards import sizes
from portkey_mcp.policy.holding import condition_holds
from portkey_mcp.policy.limits import Charge, Counter, charges_of, left_of, refusal, store_refusal
from portkey_mcp.policy.shaping import filled
from portkey_mcp.policy.terms import FREE, Terms
from portkey_mcp.wire import Json

GATED: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The methods that use something; all others are free of terms."""

LIMITS_META: Final = "com.portkey-mcp/limits"
"""`_meta` member of a result: the limits that counted this call, and what is left of each."""

WAIT_FOR_STORE: Final = 0.1
"""Seconds that an answer waits for what it gives back to be written: in good order that takes a hundredth of it."""

Send = Callable[[Call, Passage], Awaitable[Json]]
Still = Callable[[], Awaitable[None]]
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Gate:
    """Lets calls through on their terms. One per process. `counter` None: nothing can be counted, or asked."""

    counter: Counter | None = None
    asking: Asking | None = None
    clock: Clock = _now
    resumes: Callable[[Call], bool] = field(default=lambda call: False)
    """Whether a request only brings answers to a call that went out already."""
    checks: ArgumentChecks = field(default_factory=ArgumentChecks)

    async def through(
        self, call: Call, use: Use, tool: Json | None, rules: Rules, reply: Answers, send: Send, still: Still
    ) -> Json:
        """Answer one call on the terms of what it uses. `tool` is its definition where that is known.

        `still` raises when what was allowed at the beginning is not any more, after a person took their time.

        Raises:
            Refused: the terms do not allow it.
            PortkeyError: whatever sending raises.
        """
        terms = use.terms
        if terms is FREE:
            return await send(call, Passage())
        given, call = call, self._prepared(call, use, tool, rules)
        if not terms.require_approval:
            return await self._counted(call, use, rules, send)
        if self.asking is None:
            raise Refused("store", "A person is to be asked before this call, and this gateway cannot ask anybody.")

        async def go(call: Call) -> Json:
            return await self._counted(call, use, rules, send)

        return await self.asking.approved(call, use.thing, _legible(given, call, terms), reply, go, still)

    def _prepared(self, call: Call, use: Use, tool: Json | None, rules: Rules) -> Call:
        """The call as it may leave, or a refusal; nothing is asked or counted yet."""
        terms, params = use.terms, call.params or {}
        if terms.arguments and use.thing.kind == "tool":
            params = filled(terms, params)
        arguments = params.get("arguments")
        sizes.check_arguments(terms.max_arguments, arguments)
        if terms.check_arguments and tool is not None:
            place = (call.visit.endpoint.workspace.slug, use.thing.server, use.thing.name)
            self.checks.check(place, tool, {} if arguments is None else arguments, unseen=terms.arguments.keys())
        if terms.when is not None and not (
            (arguments is None or isinstance(arguments, dict))
            and condition_holds(
                rules,
                terms,
                call.visit,
                use.thing,
                args=as_object(arguments),
                annotations=as_object((tool or {}).get("annotations")),
                now=self.clock(),
            )
        ):
            number = terms.said.get("when", 0) + 1
            raise Refused(
                "condition",
                f"{use.called} was not called: the workspace's policy allows it only under a condition that these "
                f"arguments, this caller or this moment do not meet (rule {number}: {terms.when.text}). "
                "Change the arguments so that it is met, or ask an administrator.",
                {"rule": number, "when": terms.when.text},
            )
        params = searched(terms, params)
        return call if params is call.params or not (params or call.params) else replace(call, params=params)

    async def _counted(self, call: Call, use: Use, rules: Rules, send: Send) -> Json:
        """Send a call once its limits have counted it. The answer to what it was asked is no call of its own."""
        passage = Passage()
        if not use.terms.limits or self.resumes(call):
            return await self._answered(call, use.terms, send, passage)
        zone = rules.policy.time_zone
        charges = charges_of(use.terms, call.visit, use.thing, zone, self.clock())
        taken = await self._take(charges, use.thing._replace(name=use.terms.rename or use.thing.name), rules)
        if taken is None:
            return await self._answered(call, use.terms, send, passage)
        unsent = False
        try:
            result = await self._answered(call, use.terms, send, passage)
        except UpstreamDown as error:
            unsent = not error.sent and passage.rounds <= 1
            raise
        except ConnectNeeded:
            unsent = True
            raise
        finally:
            # What never reached its server costs nothing, whatever became of it; one round that was sent does.
            back = partial(self._give_back, taken, refund=unsent or passage.rounds == 0)
            if passage.goes_on:
                passage.when_over(back)
            else:
                await back()
        return _told(result, left_of(charges, taken.used, zone, self.clock()))

    async def _answered(self, call: Call, terms: Terms, send: Send, passage: Passage) -> Json:
        try:
            return finished(terms, await send(call, passage))
        except UpstreamError as error:
            raise failed(terms, error) from None

    async def _take(self, charges: Sequence[Charge], thing: Thing, rules: Rules) -> Taken | None:
        """Count a call. None: it could not be counted, and the workspace lets calls pass then."""
        try:
            if self.counter is None:
                raise StoreDown("there is no counter")
            taken = await self.counter.take([charge.take for charge in charges])
        except StoreDown:
            if rules.policy.on_store_error == "allow":
                return None
            raise store_refusal(thing) from None
        if isinstance(taken, Exhausted):
            raise refusal(charges, taken, thing, rules.policy.time_zone, self.clock())
        return taken

    async def _give_back(self, taken: Taken, *, refund: bool) -> None:
        if self.counter is None or not (refund or taken.leases):
            return
        # It is on its way at once; the answer does not wait for a store that is slow or down.
        with anyio.move_on_after(WAIT_FOR_STORE, shield=True), suppress(StoreDown):
            await self.counter.give_back(taken, refund=refund)


def _legible(given: Call, call: Call, terms: Terms) -> Json:
    """The params as whoever decides may see them: without values that policy fills in, which callers never learn."""
    params = call.params or {}
    if not terms.arguments:
        return params
    secret = {name: "(set by the gateway)" for name, one in terms.arguments.items() if not one.hidden}
    return {**params, "arguments": {**as_object((given.params or {}).get("arguments")), **secret}}


def _told(result: Json, left: Sequence[Json]) -> Json:
    return {**result, "_meta": {**as_object(result.get("_meta")), LIMITS_META: list(left)}}
