"""The one decision, asked for lists and for calls alike: may this visitor see, and so use, this thing?

Pure: values in, a value out. Membership comes first: without a role in the workspace nothing there exists. Then the
last rule that fits decides; where none does, the thing is allowed.

A resource is decided by its URI alone. Denying a template hides it from the list, not the resources it describes:
deny their URIs. Each URI is also decided as a server may come to read it (decoded, without `..`), and the strictest
answer holds, so no other spelling opens what is denied.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from portkey_mcp.model import Role, Visit
from portkey_mcp.policy.document import Policy, Rule, Whom
from portkey_mcp.policy.match import URI_KINDS, Kind, Pattern, Test, compile_pattern, readings

_SERVERS_REMEMBERED = 1024
_DECISIONS_REMEMBERED = 16_384
_LONGEST_REMEMBERED = 256
"""Characters of a name whose decision is kept: names are the caller's to choose."""


class Thing(NamedTuple):
    """What is asked about. `name` is the upstream's own: a tool's or prompt's name, a URI, a URI template's text."""

    kind: Kind
    server: str
    name: str


class Who(NamedTuple):
    """All of a visitor that a decision depends on: the principal's id and groups, the role in the workspace."""

    id: str
    groups: tuple[str, ...]
    role: Role


@dataclass(frozen=True, slots=True)
class Allow:
    """Yes. `rule` is the index of the rule that decided, None when no rule did."""

    rule: int | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """No. `reason` is for the record and for those who may know, never for the client."""

    rule: int | None
    reason: str


_UNRULED = Allow()
_STRANGER = Deny(None, "no role in this workspace")


@dataclass(frozen=True, slots=True)
class _Ready:
    """A rule with a say, compiled."""

    index: int
    patterns: tuple[Pattern, ...]
    whom: Whom | None
    enabled: bool
    verdict: Allow | Deny


@dataclass(frozen=True, slots=True)
class _Near:
    """The same, cut down to one kind of one server: only names are left to compare."""

    names: tuple[Test, ...]
    whom: Whom | None
    verdict: Allow | Deny


class Rules:
    """A policy, compiled once; safe to share. Stays as it is: a changed policy is another `Rules`."""

    def __init__(self, policy: Policy) -> None:
        self._rules = tuple(
            _ready(index, rule, rule.enabled) for index, rule in enumerate(policy.rules) if rule.enabled is not None
        )
        self._near = lru_cache(maxsize=_SERVERS_REMEMBERED)(self._cut_down)
        self._decided = lru_cache(maxsize=_DECISIONS_REMEMBERED)(self._decide)
        self._touching = lru_cache(maxsize=_SERVERS_REMEMBERED)(self._denies_something_of)

    def decide(self, visit: Visit, thing: Thing) -> Allow | Deny:
        """Decide about one thing for one visitor."""
        role = visit.principal.role_in(visit.endpoint.workspace.slug)
        if role is None:
            return _STRANGER
        near = self._near(thing.kind, thing.server)
        if not near:
            return _UNRULED
        who = Who(visit.principal.id, visit.principal.groups, role)
        return self._decided(thing, who) if len(thing.name) <= _LONGEST_REMEMBERED else self._decide(thing, who)

    def _decide(self, thing: Thing, who: "Who") -> Allow | Deny:
        near = self._near(thing.kind, thing.server)
        names = readings(thing.name) if thing.kind in URI_KINDS else (thing.name,)
        verdicts = [_verdict(near, who, name) for name in names]
        return next((verdict for verdict in verdicts if isinstance(verdict, Deny)), verdicts[0])

    def keep(self, visit: Visit, things: Iterable[Thing]) -> list[Thing]:
        """Those that `decide` allows, in their order."""
        return [thing for thing in things if isinstance(self.decide(visit, thing), Allow)]

    def touches(self, server: str) -> bool:
        """Whether some rule could deny something of this server to somebody.

        False: its lists are the same for every member, may pass as they are and keep a public `cacheScope`.
        """
        return self._touching(server)

    def _denies_something_of(self, server: str) -> bool:
        return any(not rule.enabled and any(p.server(server) for p in rule.patterns) for rule in self._rules)

    def _cut_down(self, kind: Kind, server: str) -> tuple[_Near, ...]:
        """The rules about one kind of one server, the last first."""
        near = []
        for rule in reversed(self._rules):
            names = tuple(p.name for p in rule.patterns if kind in p.kinds and p.server(server))
            if names:
                near.append(_Near(names, rule.whom, rule.verdict))
        return tuple(near)


def fits(whom: Whom | None, who: Who) -> bool:
    """Whether a rule for `whom` is for this visitor."""
    if whom is None:
        return True
    return (
        (whom.roles is None or who.role in whom.roles)
        and (whom.groups is None or any(group in whom.groups for group in who.groups))
        and (whom.people is None or who.id in whom.people)
    )


def _ready(index: int, rule: Rule, enabled: bool) -> _Ready:
    verdict = Allow(index) if enabled else Deny(index, f"disabled by rule {index + 1} of the policy")
    return _Ready(index, tuple(compile_pattern(text) for text in rule.match), rule.for_, enabled, verdict)


def _verdict(near: tuple[_Near, ...], who: Who, name: str) -> Allow | Deny:
    for rule in near:
        if any(fit(name) for fit in rule.names) and fits(rule.whom, who):
            return rule.verdict
    return _UNRULED
