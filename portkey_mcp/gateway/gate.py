"""What policy demands of one call: before it leaves, while it is under way, and when its answer is there.

    arguments   filled in, measured, compared with the schema, searched; `when` must hold
    approval    a person is asked, where the rule wants that
    limits      all counted in one step, or none; given back when the call never reached its server
    answer      cleaned, searched, measured; what is left of the limits is told

The order is that of the least harm: a call that fails early costs nothing and troubles nobody. Everything fails closed.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import anyio
from mcp_types import HEADER_MISMATCH, METHOD_NOT_FOUND

from portkey_mcp.errors import InvalidRequest, Refused, StoreDown, UpstreamDown
from portkey_mcp.gateway.asking import Asking
from portkey_mcp.gateway.bridge.way import Answers, as_object
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.visible import Use
from portkey_mcp.model import Exhausted, Taken
from portkey_mcp.policy.checking import ArgumentChecks
from portkey_mcp.policy.decide import Rules, Thing
from portkey_mcp.policy.guards import hidden, redact, sizes
from portkey_mcp.policy.holding import condition_holds
from portkey_mcp.policy.limits import Charge, Counter, charges_of, left_of, refusal, store_refusal
from portkey_mcp.policy.shaping import filled
from portkey_mcp.policy.terms import FREE, Terms
from portkey_mcp.wire import Json

GATED: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The methods that use something; all others are free of terms."""

LIMITS_META: Final = "com.portkey-mcp/limits"
"""`_meta` member of a result: the limits that counted this call, and what is left of each."""

_BEFORE_SENDING: Final = (HEADER_MISMATCH, METHOD_NOT_FOUND)
"""Codes of the gateway's own refusals of a message that its server never heard of."""

Send = Callable[[Call], Awaitable[Json]]
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Gate:
    """Lets calls through on their terms. One per process. `counter` None: nothing can be counted, or asked."""

    counter: Counter | None = None
    asking: Asking | None = None
    clock: Clock = _now
    checks: ArgumentChecks = field(default_factory=ArgumentChecks)

    async def through(self, call: Call, use: Use, tool: Json | None, rules: Rules, reply: Answers, send: Send) -> Json:
        """Answer one call on the terms of what it uses. `tool` is its definition where that is known.

        Raises:
            Refused: the terms do not allow it.
            PortkeyError: whatever sending raises.
        """
        terms = use.terms
        if terms is FREE:
            return await send(call)
        call = self._prepared(call, use, tool, rules)
        if not terms.require_approval:
            return await self._counted(call, use, rules, send)
        if self.asking is None:
            raise Refused("store", "A person is to be asked before this call, and this gateway cannot ask anybody.")
        return await self.asking.approved(call, use.thing, reply, lambda c: self._counted(c, use, rules, send))

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
        if terms.when is not None and not condition_holds(
            rules,
            terms,
            call.visit,
            use.thing,
            args=as_object(arguments),
            annotations=as_object((tool or {}).get("annotations")),
            now=self.clock(),
        ):
            number = terms.said.get("when", 0) + 1
            raise Refused(
                "condition",
                f"{use.called} was not called: the workspace's policy allows it only under a condition that these "
                f"arguments, this caller or this moment do not meet (rule {number}: {terms.when.text}). "
                "Change the arguments so that it is met, or ask an administrator.",
                {"rule": number, "when": terms.when.text},
            )
        if terms.redact and arguments is not None:
            searched = redact.redact(terms.redact, arguments, "arguments").value
            if searched is not arguments:
                params = {**params, "arguments": searched}
        return call if params is call.params else replace(call, params=params)

    async def _counted(self, call: Call, use: Use, rules: Rules, send: Send) -> Json:
        """Send a call once its limits have counted it."""
        if not use.terms.limits:
            return finished(use.terms, await send(call))
        zone = rules.policy.time_zone
        charges = charges_of(use.terms, call.visit, use.thing, zone, self.clock())
        taken = await self._take(charges, use.thing._replace(name=use.terms.rename or use.thing.name), rules)
        if taken is None:
            return finished(use.terms, await send(call))
        refund = False
        try:
            result = await send(call)
        except UpstreamDown as error:
            refund = not error.sent
            raise
        except InvalidRequest as error:
            refund = error.code in _BEFORE_SENDING
            raise
        finally:
            await self._give_back(taken, refund=refund)
        return _told(finished(use.terms, result), left_of(charges, taken.used, zone, self.clock()))

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
        # The answer does not wait for a store that is down; leases end by themselves.
        with anyio.CancelScope(shield=True):
            try:
                await self.counter.give_back(taken, refund=refund)
            except StoreDown:
                return


def finished(terms: Terms, result: Json) -> Json:
    """A result as the terms let it pass: cleaned, searched, measured, in this order.

    Raises:
        Refused: it may not pass; the call has run.
    """
    if terms.redact or terms.hidden_text != "keep":
        state = result.get("requestState")
        inner = {name: value for name, value in result.items() if name != "requestState"} if state else result
        # Hidden characters go first: they could split a secret in two.
        found: Json = hidden.guard(terms.hidden_text, inner, "result")
        found = redact.redact(terms.redact, found, "result").value if terms.redact else found
        if found is not inner:
            result = {**found, "requestState": state} if state else found
    return sizes.fit_result(terms.max_result, result)


def _told(result: Json, left: Sequence[Json]) -> Json:
    return {**result, "_meta": {**as_object(result.get("_meta")), LIMITS_META: list(left)}}
