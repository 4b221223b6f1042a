"""What a changed policy would change for whom, in few lines that a person reads before saving it. Pure.

    member and viewer: linear/delete_issue and 3 more would disappear
    ci (API key): github/create_* gets a limit of 20 calls per hour for each user
    everybody: timeout 60 s on all 34 tools

Where nobody knows what a pattern matches, the pattern stands for it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, get_args

from portkey_mcp.model import Endpoint, Principal, Role, Visit, Workspace
from portkey_mcp.policy.decide import Allow, Deny, Rules, Thing
from portkey_mcp.policy.document import Policy, ServerPolicy
from portkey_mcp.policy.explain import TOOLS_ONLY
from portkey_mcp.policy.match import Pattern, compile_pattern
from portkey_mcp.policy.parts import Limit
from portkey_mcp.policy.terms import FOLDED, FREE, Terms
from portkey_mcp.policy.wording import amount_text, each_text, limit_text, listing, term_text, thing_text

MOST_LINES: Final = 30
"""Lines of which more would not be read."""

_ALONE: Final[Mapping[tuple[str, object], str]] = {
    ("pin", True): "a tool whose definition changes waits for a person",
    ("pin", False): "a tool whose definition changes no longer waits for a person",
    ("new_tools", "review"): "a new tool waits for a person",
    ("new_tools", "allow"): "a new tool no longer waits for a person",
    ("allow_sampling", False): "may not ask for sampling",
    ("allow_sampling", True): "may ask for sampling",
    ("allow_elicitation", False): "may not ask people anything",
    ("allow_elicitation", True): "may ask people",
    ("allow_roots", False): "may not ask for roots",
    ("allow_roots", True): "may ask for roots",
    ("on_store_error", "deny"): "calls with limits are refused while they cannot be counted",
    ("on_store_error", "allow"): "calls with limits pass while they cannot be counted",
}


class _Change(NamedTuple):
    """A change of one thing for one visitor; what is alike is told once. `text` has a place for the things."""

    rank: int
    text: str


_GONE: Final = _Change(0, "{} would disappear")
_NEW: Final = _Change(1, "{} would appear")

_Changes = Mapping[_Change, str]
"""Each change of what one visitor sees, and what it meets is called."""


def impact(before: Policy, after: Policy, things: Sequence[Thing], visitors: Sequence[Visit]) -> list[str]:
    """What changes for these visitors, the most drastic first; empty when nothing does.

    The first person of a role, of whom nothing else is known, stands for the role: who fares alike is not named.
    """
    shown = [*things, *_stand_ins(before, after, things)]
    old, new = Rules(before), Rules(after)
    names = _Names(before, after, things, shown)
    told = _grouped([_Seen(visit, _changes(old, new, visit, shown, names)) for visit in visitors])
    lines = [f"{who}: {change.text.format(called)}" for who, change, called in told]
    lines += _of_servers(before, after)
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], f"and {len(lines) - MOST_LINES} more"]


def visitors(before: Policy, after: Policy, workspace: Workspace) -> list[Visit]:
    """One visitor of each role, and one, a member, of each group, person, client, and network that a rule names."""
    endpoint = Endpoint("hub", workspace)

    def one(name: str, role: Role, ident: str = "", groups: tuple[str, ...] = (), client: str = "") -> Principal:
        return Principal(ident, name, "person", {workspace.slug: role}, groups, client=client)

    found = [Visit(one(role, role), endpoint) for role in get_args(Role)]
    whoms = [rule.for_ for policy in (before, after) for rule in policy.rules if rule.for_ is not None]
    for whom in whoms:
        found += (Visit(one(f"group {group}", "member", groups=(group,)), endpoint) for group in whom.groups or ())
        found += (Visit(one(f"person {ident}", "member", ident), endpoint) for ident in whom.people or ())
        found += (Visit(one(f"client {client}", "member", client=client), endpoint) for client in whom.clients or ())
        found += (
            Visit(one(f"member from {network}", "member"), endpoint, str(network.network_address))
            for network in whom.networks or ()
        )
    return list({visit.principal.name: visit for visit in found}.values())


class _Seen(NamedTuple):
    visit: Visit
    changes: _Changes

    @property
    def role(self) -> Role | None:
        return self.visit.principal.role_in(self.visit.endpoint.workspace.slug)

    @property
    def is_plain(self) -> bool:
        """Whether nothing but its role is known of this visitor, who then may stand for the whole role."""
        who = self.visit.principal
        return who.kind == "person" and not (who.groups or who.client or self.visit.address)

    @property
    def label(self) -> str:
        name = self.visit.principal.name
        return f"{name} (API key)" if self.visit.principal.kind == "service" else name


def _grouped(seen: Sequence[_Seen]) -> list[tuple[str, _Change, str]]:
    """Each change once, with all whom it meets; who fares like the rest of their role is not named."""
    of_roles: dict[Role | None, _Seen] = {}
    for one in seen:
        if one.is_plain:
            of_roles.setdefault(one.role, one)
    own = [
        one for one in seen if (rest := of_roles.get(one.role)) is one or rest is None or rest.changes != one.changes
    ]
    whom: dict[tuple[_Change, str], list[str]] = {}
    for one in own:
        for change, called in one.changes.items():
            whom.setdefault((change, called), []).append(one.label)
    told = [
        ("everybody" if len(labels) == len(own) > 1 else listing(labels, most=4), *what)
        for what, labels in whom.items()
    ]
    return sorted(told, key=lambda line: line[1].rank)


def _changes(old: Rules, new: Rules, visit: Visit, things: Sequence[Thing], names: "_Names") -> _Changes:
    found: dict[_Change, list[Thing]] = {}
    stays: list[Thing] = []
    for thing in things:
        was, would = old.decide(visit, thing), new.decide(visit, thing)
        if isinstance(was, Allow) and isinstance(would, Allow):
            stays.append(thing)
        for change in _compared(was, would, thing):
            found.setdefault(change, []).append(thing)
    # What is hidden from this visitor, before or after, has no terms: "everything" leaves it out.
    return {
        change: names.of(frozenset(met), frozenset(things if change in (_GONE, _NEW) else stays))
        for change, met in found.items()
    }


def _compared(was: Allow | Deny, would: Allow | Deny, thing: Thing) -> Iterator[_Change]:
    if isinstance(was, Allow) and isinstance(would, Allow):
        if was.terms != would.terms:
            yield from _terms(was.terms, would.terms, thing)
            yield from _limits(was.terms, would.terms)
    elif isinstance(was, Allow):
        yield _GONE
    elif isinstance(would, Allow):
        yield _NEW


def _terms(was: Terms, would: Terms, thing: Thing) -> Iterator[_Change]:
    for rank, member in enumerate(FOLDED, start=10):
        old, new, free = (getattr(terms, member) for terms in (was, would, FREE))
        if old == new or (member in TOOLS_ONLY and thing.kind != "tool"):
            continue
        before, after = (_escaped(term_text(member, value)) if value != free else "" for value in (old, new))
        if member == "rename":
            yield _Change(rank, f"{{}} is {after or 'called by its own name again'}")
        elif not after:
            yield _Change(rank, f"on {{}} no longer: {before}")
        else:
            yield _Change(rank, f"{after} on {{}}" + (f" (was: {before})" if before else ""))


def _limits(was: Terms, would: Terms) -> Iterator[_Change]:
    old, new = ([counted.limit for counted in terms.limits] for terms in (was, would))
    lost, gained = _without(old, new), _without(new, old)
    for limit in gained:
        other = next((one for one in lost if _alike(one) == _alike(limit)), None)
        if other is None:
            yield _Change(2, f"{{}} gets a limit of {limit_text(limit)}")
            continue
        lost.remove(other)
        text = f"{amount_text(limit, limit.amount)} {each_text(limit)}, not {other.amount:,}"
        yield _Change(3, f"the limit of {{}} becomes {text}")
    for limit in lost:
        yield _Change(4, f"{{}} loses the limit of {limit_text(limit)}")


def _without(limits: Iterable[Limit], others: Iterable[Limit]) -> list[Limit]:
    """The limits, without as many of each as there are among the others."""
    left = list(limits)
    for limit in others:
        if limit in left:
            left.remove(limit)
    return left


def _alike(limit: Limit) -> tuple[object, ...]:
    """All of a limit but its amount."""
    return limit.cost is None, limit.concurrent is None, limit.per, limit.each


def _of_servers(before: Policy, after: Policy) -> Iterator[str]:
    """What changes for a server as a whole, or in the document as a whole."""
    for name in sorted(before.servers.keys() | after.servers.keys()):
        old, new = (policy.servers.get(name, ServerPolicy()) for policy in (before, after))
        for member in ServerPolicy.model_fields:
            value = getattr(new, member)
            if value != getattr(old, member):
                yield f"server {name}: {_ALONE[member, value]}"
    if after.time_zone != before.time_zone:
        yield f"days, weeks and months begin by the clocks of {after.time_zone}, not {before.time_zone}"
    if after.on_store_error != before.on_store_error:
        yield _ALONE["on_store_error", after.on_store_error]


class _Names:
    """Names for sets of things: a pattern of the policies that fits just these, how many they are, or the first."""

    def __init__(self, before: Policy, after: Policy, things: Sequence[Thing], shown: Sequence[Thing]) -> None:
        self._known = frozenset(things)
        self._patterns: dict[str, frozenset[Thing]] = {}
        for text in dict.fromkeys(_texts(after, before)):
            pattern = compile_pattern(text)
            self._patterns[text] = frozenset(thing for thing in shown if _fits(pattern, thing))

    def of(self, things: frozenset[Thing], among: frozenset[Thing]) -> str:
        """What these are called, in a line, where only those `among` count."""
        if things == among and len(things) > 1:
            tools = all(thing.kind == "tool" for thing in things) and things <= self._known
            return f"all {len(things)} tools" if tools else "everything"
        for text, fitting in self._patterns.items():
            if fitting & among == things:
                return text
        first, *rest = sorted(thing_text(thing) for thing in things)
        return f"{first} and {len(rest)} more" if rest else first


def _stand_ins(before: Policy, after: Policy, things: Sequence[Thing]) -> Iterator[Thing]:
    """For each pattern that matches nothing known, a thing that is called like it: its own `*` fit it."""
    seen: set[Thing] = set()
    for text in _texts(after, before):
        pattern = compile_pattern(text)
        head, _, name = text.partition("/")
        kind = next(kind for kind in ("tool", "prompt", "resource") if kind in pattern.kinds)
        stand_in = Thing(kind, head.rpartition(":")[2], name or "*")
        if stand_in not in seen and not any(_fits(pattern, thing) for thing in things):
            seen.add(stand_in)
            yield stand_in


def _texts(*policies: Policy) -> Iterator[str]:
    return (text for policy in policies for rule in policy.rules for text in rule.match)


def _fits(pattern: Pattern, thing: Thing) -> bool:
    return thing.kind in pattern.kinds and pattern.server(thing.server) and pattern.name(thing.name)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
