"""The one decision, asked for lists and for calls alike: may this visitor see and use this thing, and on what terms?

Pure: values in, a value out. Membership comes first: without a role in the workspace nothing there exists. Then who may
use the server: nothing of it exists for others. Then every rule that fits applies, a later one overriding an earlier
one member by member; where none does, the thing is allowed.

A resource is decided by its URI alone. Denying a template hides it from the list, not the resources it describes:
deny their URIs. Each URI is also decided as a server may come to read it (decoded, without `..`), and the strictest
answer holds, so no other spelling opens what is denied. A URI too long to be read so is denied, where there is a rule
about such things of its server.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from portkey_mcp.model import Role, Visit, folded_email
from portkey_mcp.policy.access import may_use
from portkey_mcp.policy.document import Policy, Rule, ServerPolicy
from portkey_mcp.policy.match import LONGEST_URI, URI_KINDS, Kind, Test, compile_pattern, readings
from portkey_mcp.policy.parts import Whom
from portkey_mcp.policy.terms import FOLDED, FREE, Terms, fold

_SERVERS_REMEMBERED = 1024
_VISITORS_REMEMBERED = 4096
_DECISIONS_REMEMBERED = 16_384
_LONGEST_REMEMBERED = 256
"""Characters of a name whose decision is kept: names are the caller's to choose."""


class Thing(NamedTuple):
    """What is asked about. `name` is the upstream's own: a tool's or prompt's name, a URI, a URI template's text."""

    kind: Kind
    server: str
    name: str


class Who(NamedTuple):
    """All of a visitor that a decision depends on. `role` is the one in the workspace; `account` an API key's name."""

    id: str
    groups: tuple[str, ...]
    role: Role
    account: str = ""
    client: str = ""
    address: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Allow:
    """Yes, on these terms. `rule` is the index of the rule that enabled it, None when no rule did."""

    rule: int | None = None
    terms: Terms = FREE


@dataclass(frozen=True, slots=True)
class Deny:
    """No. `reason` is for the record and for those who may know, never for the client."""

    rule: int | None
    reason: str


ANY_NAME = ""
"""The name that no tool has, and that only a pattern for all of them fits."""

_UNRULED = Allow()
_STRANGER = Deny(None, "no role in this workspace")
_NOT_FOR_THEM = Deny(None, "the server is for certain people and groups, and they are none of them")
_TOO_LONG = Deny(None, f"its URI is longer than {LONGEST_URI} characters")
_NOTHING: Mapping[str, str] = {}
_NO_SERVER_POLICY = ServerPolicy()


@dataclass(frozen=True, slots=True)
class _Near:
    """A rule, cut down to one kind of one server: only for whom it is (`bit`), and names, are left to compare."""

    index: int
    bit: int
    fits: Test
    enabled: bool | None


class Rules:
    """A policy, compiled once; safe to share. Stays as it is: a changed policy is another `Rules`."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._patterns = tuple(tuple(compile_pattern(text) for text in rule.match) for rule in policy.rules)
        self._near = lru_cache(maxsize=_SERVERS_REMEMBERED)(self._cut_down)
        self._fitting = lru_cache(maxsize=_VISITORS_REMEMBERED)(self._fit)
        self._folded = lru_cache(maxsize=_DECISIONS_REMEMBERED)(self._fold)
        self._decided = lru_cache(maxsize=_DECISIONS_REMEMBERED)(self._decide)
        self._shaping = lru_cache(maxsize=_SERVERS_REMEMBERED)(self._shapes_something_of)
        self._hiding = lru_cache(maxsize=_SERVERS_REMEMBERED)(self._hides_some)
        self._general = lru_cache(maxsize=_VISITORS_REMEMBERED)(self._fold_general)
        self._guarding = lru_cache(maxsize=_SERVERS_REMEMBERED)(self._guards_some)
        self._renamed = lru_cache(maxsize=_VISITORS_REMEMBERED)(self._renames)
        self._renaming = tuple(index for index, rule in enumerate(policy.rules) if rule.rename is not None)
        self.withheld = {name: held.refused for name, held in policy.servers.items() if held.refused}
        """The client capabilities that a server never learns of, by its name, where there are any."""
        self._by_address = any(rule.for_ is not None and rule.for_.networks is not None for rule in policy.rules)

    def decide(self, visit: Visit, thing: Thing) -> Allow | Deny:
        """Decide about one thing for one visitor."""
        who = self.who(visit)
        if who is None:
            return _STRANGER
        server = visit.endpoint.workspace.servers.get(thing.server)
        if server is not None and server.access is not None and not may_use(visit.principal, server.workspace, server):
            return _NOT_FOR_THEM
        if not self._near(thing.kind, thing.server):
            return _UNRULED
        if _is_too_long(thing):
            return _TOO_LONG
        fitting = self._fitting(who)
        if len(thing.name) > _LONGEST_REMEMBERED:
            return self._decide(thing, fitting)
        return self._decided(thing, fitting)

    def who(self, visit: Visit) -> Who | None:
        """What of this visitor counts, None for one without a role here."""
        principal = visit.principal
        slug = visit.endpoint.workspace.slug
        role = principal.role_in(slug)
        if role is None:
            return None
        account = principal.name if principal.kind == "service" else ""
        address = visit.address if self._by_address else ""
        return Who(principal.id, principal.groups_in(slug), role, account, principal.client, address, principal.email)

    def server(self, name: str) -> ServerPolicy:
        """What holds for a server as a whole."""
        return self.policy.servers.get(name, _NO_SERVER_POLICY)

    def keep(self, visit: Visit, things: Iterable[Thing]) -> list[Thing]:
        """Those that `decide` allows, in their order."""
        return [thing for thing in things if isinstance(self.decide(visit, thing), Allow)]

    def touches(self, server: str) -> bool:
        """Whether some rule could hide something of this server from somebody, or show it otherwise than it is.

        False: its lists are the same for every member, may pass as they are and keep a public `cacheScope`.
        """
        return self._shaping(server)

    def general(self, visit: Visit, server: str) -> Terms:
        """What holds for whatever a server says outside of any call: the terms of rules about all of its tools."""
        who = self.who(visit)
        return FREE if who is None else self._general(server, self._fitting(who))

    def guards(self, server: str) -> bool:
        """Whether some rule wants results of this server's tools searched, cleaned or measured."""
        return self._guarding(server)

    def hides(self, kind: Kind, server: str) -> bool:
        """Whether some rule could hide things of this kind of this server from somebody."""
        return self._hiding(kind, server)

    def renamed(self, visit: Visit, server: str) -> Mapping[str, str]:
        """The tools of a server that this visitor knows by another name: that name -> the server's own."""
        if not self._renaming:
            return _NOTHING
        who = self.who(visit)
        return _NOTHING if who is None else self._renamed(server, self._fitting(who))

    def eyes(self, visit: Visit) -> object:
        """All of a visitor on which depends what is shown to it; equal for visitors who see the same."""
        who = self.who(visit)
        return None if who is None else self._fitting(who)

    def applying(self, visit: Visit, thing: Thing) -> list[int]:
        """The indexes of the rules that apply, in the order of the document; for explanations."""
        who = self.who(visit)
        if who is None or _is_too_long(thing):
            return []
        fitting, near, names = self._fitting(who), self._near(thing.kind, thing.server), _names(thing)
        return [one.index for one in near if fitting & one.bit and any(map(one.fits, names))]

    def _decide(self, thing: Thing, fitting: int) -> Allow | Deny:
        near = [one for one in self._near(thing.kind, thing.server) if fitting & one.bit]
        names = _names(thing)
        applying = [[one for one in near if one.fits(name)] for name in names]
        switches = [next((o for o in reversed(some) if o.enabled is not None), None) for some in applying]
        off = next((found for found in switches if found is not None and not found.enabled), None)
        if off is not None:
            return Deny(off.index, f"disabled by rule {off.index + 1} of the policy")
        indexes = {one.index for some in applying for one in some} if len(names) > 1 else [o.index for o in applying[0]]
        terms = self._folded(tuple(sorted(indexes)))
        return Allow(switches[0].index if switches[0] is not None else None, terms)

    def _fold(self, indexes: tuple[int, ...]) -> Terms:
        return fold((index, self.policy.rules[index]) for index in indexes)

    def _fit(self, who: Who) -> int:
        """The rules that are for this visitor, one bit each."""
        return sum(1 << index for index, rule in enumerate(self.policy.rules) if fits(rule.for_, who))

    def _shapes_something_of(self, server: str) -> bool:
        held = self.server(server)
        return (
            held.pin
            or held.new_tools != "allow"
            or any(
                (rule.enabled is False or rule.read_only or rule.rename or rule.describe or rule.arguments)
                or (rule.hidden_text not in (None, "keep"))
                for rule, patterns in zip(self.policy.rules, self._patterns, strict=True)
                if any(pattern.server(server) for pattern in patterns)
            )
        )

    def _hides_some(self, kind: Kind, server: str) -> bool:
        return any(near.enabled is False for near in self._near(kind, server))

    def _guards_some(self, server: str) -> bool:
        rules = (self.policy.rules[near.index] for near in self._near("tool", server))
        return any(rule.redact or rule.max_result or rule.hidden_text not in (None, "keep") for rule in rules)

    def _fold_general(self, server: str, fitting: int) -> Terms:
        near = self._near("tool", server)
        return self._folded(tuple(one.index for one in near if fitting & one.bit and one.fits(ANY_NAME)))

    def _renames(self, server: str, fitting: int) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for index in self._renaming:
            rule = self.policy.rules[index]
            place, _, own = rule.match[0].removeprefix("tool:").partition("/")
            if place == server and fitting >> index & 1:
                found = {given: name for given, name in found.items() if name != own}
                found[rule.rename or own] = own
        return found

    def _cut_down(self, kind: Kind, server: str) -> tuple[_Near, ...]:
        """The rules about one kind of one server that say something, in the order of the document."""
        near = []
        for index, (rule, patterns) in enumerate(zip(self.policy.rules, self._patterns, strict=True)):
            names = tuple(p.name for p in patterns if kind in p.kinds and p.server(server))
            if names and _says_something(rule):
                near.append(_Near(index, 1 << index, names[0] if len(names) == 1 else _any_of(names), rule.enabled))
        return tuple(near)


def fits(whom: Whom | None, who: Who) -> bool:
    """Whether a rule for `whom` is for this visitor."""
    if whom is None:
        return True
    return (
        (whom.roles is None or who.role in whom.roles)
        and (whom.groups is None or any(group in whom.groups for group in who.groups))
        and (whom.people is None or _is_one_of(who, whom.people))
        and (whom.service_accounts is None or (who.account != "" and who.account in whom.service_accounts))
        and (whom.clients is None or (who.client != "" and who.client in whom.clients))
        and (whom.networks is None or _is_in(who.address, whom))
    )


def _is_one_of(who: Who, people: tuple[str, ...]) -> bool:
    return who.id in people or (who.email != "" and who.email in map(folded_email, people))


def _is_in(address: str, whom: Whom) -> bool:
    """Whether the address lies in one of the networks; one that cannot be read lies in none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in whom.networks or ())


def _names(thing: Thing) -> tuple[str, ...]:
    return readings(thing.name) if thing.kind in URI_KINDS else (thing.name,)


def _is_too_long(thing: Thing) -> bool:
    return thing.kind in URI_KINDS and len(thing.name) > LONGEST_URI


def _says_something(rule: Rule) -> bool:
    return rule.enabled is not None or bool(rule.limits) or any(getattr(rule, name) is not None for name in FOLDED)


def _any_of(tests: tuple[Test, ...]) -> Test:
    return lambda name: any(test(name) for test in tests)
