"""Why a thing is allowed or not: for people who may know, on the command line. Never for the client that asked."""

from dataclasses import dataclass

from portkey_mcp.model import Visit
from portkey_mcp.policy.decide import Allow, Rules, Thing, Who, fits
from portkey_mcp.policy.document import Policy, Rule
from portkey_mcp.policy.match import URI_KINDS, compile_pattern, readings


@dataclass(frozen=True, slots=True)
class Fit:
    """One rule that fits. `number` counts from 1, as a reader of the file does; `enabled` None: says nothing of it."""

    number: int
    match: tuple[str, ...]
    enabled: bool | None
    decided: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision, why, and every rule that fits in the order of the file. `dataclasses.asdict` makes it JSON."""

    allowed: bool
    reason: str
    fits: tuple[Fit, ...]


def explain(policy: Policy, visit: Visit, thing: Thing) -> Explanation:
    """Explain what `Rules(policy).decide(visit, thing)` answers, and agree with it."""
    decision = Rules(policy).decide(visit, thing)
    role = visit.principal.role_in(visit.endpoint.workspace.slug)
    who = Who(visit.principal.id, visit.principal.groups, role) if role is not None else None
    found = tuple(
        Fit(number, rule.match, rule.enabled, decided=decision.rule == number - 1)
        for number, rule in enumerate(policy.rules, start=1)
        if who is not None and _is_about(rule, thing) and fits(rule.for_, who)
    )
    if not isinstance(decision, Allow):
        return Explanation(False, decision.reason, found)
    because = (
        "no rule says otherwise" if decision.rule is None else f"enabled by rule {decision.rule + 1} of the policy"
    )
    return Explanation(True, because, found)


def _is_about(rule: Rule, thing: Thing) -> bool:
    names = readings(thing.name) if thing.kind in URI_KINDS else (thing.name,)
    return any(
        thing.kind in pattern.kinds and pattern.server(thing.server) and any(pattern.name(name) for name in names)
        for pattern in map(compile_pattern, rule.match)
    )
