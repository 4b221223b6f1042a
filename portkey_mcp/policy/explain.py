"""Why a thing is as it is for somebody: which rule decided what, in the order in which a call meets it. Pure.

For people who may know: on the command line, in the dashboard. Never for the client that asked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from portkey_mcp.errors import Refused
from portkey_mcp.model import Visit
from portkey_mcp.policy.decide import Allow, Deny, Rules, Thing
from portkey_mcp.policy.document import Policy
from portkey_mcp.policy.holding import condition_holds
from portkey_mcp.policy.limits import charges_of
from portkey_mcp.policy.shaping import filled
from portkey_mcp.policy.terms import FREE, Terms, fold
from portkey_mcp.policy.wording import limit_text, rule_says, term_text, whom_text
from portkey_mcp.wire import Json

Verdict = Literal["allowed", "asked", "depends", "refused", "hidden"]
"""*asked*: a person is asked first; *depends*: on what was not given, arguments or annotations; *refused*: is seen, and
a call now would not pass."""

ORDER: Final = (
    *("read_only", "rename", "describe", "arguments", "max_arguments", "check_arguments", "when", "redact"),
    *("require_approval", "cost", "limits", "timeout", "max_timeout", "max_result", "hidden_text"),
)
"""The terms in the order in which a call meets them."""

TOOLS_ONLY: Final = frozenset({"read_only", "rename", "describe", "arguments", "check_arguments"})


@dataclass(frozen=True, slots=True)
class Saying:
    """One thing that a rule says. `overridden_by` is the number of the rule whose word holds instead, None: its own."""

    member: str
    text: str
    overridden_by: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that applies. `rule` counts from 1, as a reader of the file does; `decides` whether the thing exists."""

    rule: int
    match: tuple[str, ...]
    whom: str
    says: tuple[Saying, ...]
    decides: bool


@dataclass(frozen=True, slots=True)
class Demand:
    """One term in force, and the rule that set it. `holds` is None where it is not known, or never in question.

    `left` is what is left of a limit, as `policy.limits.left_of` tells it; None where that was not given.
    """

    member: str
    text: str
    rule: int
    holds: bool | None = None
    left: Json | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict, why, and all that led to it, in order. `dataclasses.asdict` makes it JSON.

    `allowed` is what the rules decide; `role` the one in the workspace, None for a stranger there; `review` how the
    thing's definition waits for a person.
    """

    verdict: Verdict
    reason: str
    allowed: bool
    role: str | None
    steps: tuple[Step, ...]
    demands: tuple[Demand, ...]
    review: str


def explain(
    policy: Policy,
    visit: Visit,
    thing: Thing,
    *,
    args: Json | None = None,
    annotations: Mapping[str, Any] | None = None,
    used: Sequence[Json] = (),
    review: str = "",
    now: datetime,
) -> Explanation:
    """Explain what `Rules(policy).decide(visit, thing)` answers, and go on to what a call now would meet.

    `args` and `annotations` None: not known. `used` is what `left_of` tells of the thing's charges, in their order;
    empty: not known. `review` says how the definition waits for a person, empty: it does not.
    """
    rules = Rules(policy)
    decision = rules.decide(visit, thing)
    demands: tuple[Demand, ...] = ()
    if isinstance(decision, Allow):
        demands = tuple(_Call(rules, decision.terms, visit, thing, args, annotations, used, now).demands())
    verdict, reason = _verdict(rules, decision, visit, thing, demands, review)
    return Explanation(
        verdict=verdict,
        reason=reason,
        allowed=isinstance(decision, Allow),
        role=visit.principal.role_in(visit.endpoint.workspace.slug),
        steps=tuple(_steps(rules, decision, visit, thing)),
        demands=demands,
        review=review,
    )


def _steps(rules: Rules, decision: Allow | Deny, visit: Visit, thing: Thing) -> Iterator[Step]:
    applying = rules.applying(visit, thing)
    said = {**fold((index, rules.policy.rules[index]) for index in applying).said, "enabled": decision.rule}
    for index in applying:
        rule = rules.policy.rules[index]
        says = []
        for member, text in rule_says(rule).items():
            holding = said.get(member)  # limits have none: they add up
            says.append(Saying(member, text, None if holding is None or holding == index else holding + 1))
        yield Step(index + 1, rule.match, whom_text(rule.for_), tuple(says), decides=decision.rule == index)


@dataclass(frozen=True, slots=True)
class _Call:
    """The call that is asked about, as far as it is known."""

    rules: Rules
    terms: Terms
    visit: Visit
    thing: Thing
    args: Json | None
    annotations: Mapping[str, Any] | None
    used: Sequence[Json]
    now: datetime

    def demands(self) -> Iterator[Demand]:
        """The terms in force, in the order in which the call meets them."""
        for member in ORDER:
            if member == "limits":
                yield from self._limits()
            elif member in self.terms.said and (self.thing.kind == "tool" or member not in TOOLS_ONLY):
                value = getattr(self.terms, member)
                if value != getattr(FREE, member):
                    number = self.terms.said[member] + 1
                    yield Demand(member, term_text(member, value), number, self._holds(member))

    def _limits(self) -> Iterator[Demand]:
        charges = charges_of(self.terms, self.visit, self.thing, self.rules.policy.time_zone, self.now)
        known = self.used if len(self.used) == len(charges) else [None] * len(charges)
        for charge, left in zip(charges, known, strict=True):
            holds = None if left is None else left["left"] >= charge.take.cost
            yield Demand("limits", limit_text(charge.counted.limit), charge.counted.rule + 1, holds, left)

    def _holds(self, member: str) -> bool | None:
        if member == "read_only" and self.annotations is not None:
            return self.annotations.get("readOnlyHint") is True
        if member == "arguments" and self.args is not None:
            return self._filled(self.args) is not None
        if member == "when" and self.args is not None:
            return self._condition_holds(self._filled(self.args) or self.args)
        return None

    def _filled(self, args: Json) -> Json | None:
        """The arguments with what policy sets; None where the call sets one of those itself, and is refused."""
        if self.thing.kind != "tool":
            return args
        try:
            found: Json = filled(self.terms, {"arguments": args})["arguments"]
        except Refused:
            return None
        return found

    def _condition_holds(self, args: Json) -> bool:
        return self.terms.when is not None and condition_holds(
            self.rules,
            self.terms,
            self.visit,
            self.thing,
            args=args,
            annotations=self.annotations or {},
            now=self.now,
        )


def _verdict(
    rules: Rules, decision: Allow | Deny, visit: Visit, thing: Thing, demands: Sequence[Demand], review: str
) -> tuple[Verdict, str]:
    """The first thing in the way decides; where nothing is, what enabled the thing."""
    if not isinstance(decision, Allow):
        return "hidden", decision.reason
    own = rules.renamed(visit, thing.server).get(thing.name) if thing.kind == "tool" else None
    if own is not None and own != thing.name:
        return "hidden", f"under this name callers reach {thing.server}/{own}, which the policy renames"
    if review:
        return "hidden", f"its newest definition is {review}"
    broken = next((demand for demand in demands if demand.holds is False), None)
    if broken is None:
        return _passing(decision, {demand.member: demand for demand in demands})
    if broken.member == "read_only":
        return "hidden", f"rule {broken.rule} shows only tools that say they only read, and this one does not"
    if broken.member == "arguments":
        return "refused", f"the call gives an argument that rule {broken.rule} sets or hides"
    if broken.member == "when":
        return "refused", f"the condition of rule {broken.rule} does not hold"
    return "refused", f"too little is left of the limit in rule {broken.rule}, {broken.text}"


def _passing(decision: Allow, demands: Mapping[str, Demand]) -> tuple[Verdict, str]:
    read_only, when, asks = (demands.get(member) for member in ("read_only", "when", "require_approval"))
    if read_only is not None and read_only.holds is None:
        return "depends", f"on whether the tool says that it only reads, which rule {read_only.rule} demands"
    if when is not None and when.holds is None:
        return "depends", f"on the condition of rule {when.rule}"
    if asks is not None:
        return "asked", f"rule {asks.rule} wants a person to approve each call"
    if decision.rule is None:
        return "allowed", "no rule says otherwise"
    return "allowed", f"enabled by rule {decision.rule + 1} of the policy"
