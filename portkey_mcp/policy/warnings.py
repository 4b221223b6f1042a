"""What is probably a mistake in a policy, though it is valid: what matches nothing, cannot work, does too much. Pure.

Names of people, groups and clients are never doubted: they come and go elsewhere. Nor is a pattern where nobody knows
what a server has. To compare each rule with each takes the square of their number, so very many are not compared.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from typing import Final

from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.document import Policy, Rule
from portkey_mcp.policy.match import KINDS, Kind, compile_pattern
from portkey_mcp.policy.nearest import nearest_name, nearest_pattern
from portkey_mcp.policy.terms import FOLDED
from portkey_mcp.policy.wording import amount_text, duration_text, listing, printable

COUNTED_KINDS: Final = frozenset({"tool", "prompt"})
"""Kinds that a server lists whole; of resources, templates make any number more."""

MOST_COMPARED: Final = 300
"""Rules that are compared with each other; of more, each is only looked at alone."""

_MOST_NEAREST: Final = 50
"""Wrong names for which the one that was meant is looked for, which takes longer than all else."""


def warnings(policy: Policy, servers: Collection[str], things: Collection[Thing]) -> list[str]:
    """One line for each, in the order of the rules. `things` are those that are known of `servers`."""
    known = _Known(policy, sorted(servers), sorted(set(things)))
    found: list[str] = []
    for index, rule in enumerate(policy.rules):
        for check in _CHECKS:
            found += (f"rule {index + 1}: {text}" for text in check(known, index, rule))
    found += (
        f"servers: {name}: there is no such server here{_did_you_mean(nearest_name(name, known.servers))}"
        for name in policy.servers
        if name not in known.servers
    )
    if not known.compared:
        found.append(
            f"rules: these are {len(policy.rules):,}; more than {MOST_COMPARED} are not compared with each other here, "
            "so which of them overrides another whole, and which cost or timeout cannot be, is not told"
        )
    return list(dict.fromkeys(found))


class _Known:
    """The policy and what is known of the servers it is about. `matched` are the known things of each rule."""

    def __init__(self, policy: Policy, servers: list[str], things: list[Thing]) -> None:
        self.rules, self.servers, self.things = policy.rules, servers, frozenset(things)
        self._held: dict[tuple[str, Kind], list[Thing]] = {}
        for thing in things:
            self._held.setdefault((thing.server, thing.kind), []).append(thing)
        self._of = sorted({thing.server for thing in things})
        self.matched = [{thing for text in rule.match for thing in self._fitting(text)} for rule in policy.rules]
        self.about: dict[Thing, list[Rule]] = {}
        for rule, matched in zip(policy.rules, self.matched, strict=True):
            for thing in matched:
                self.about.setdefault(thing, []).append(rule)
        self.compared = len(policy.rules) <= MOST_COMPARED
        self._nearest = _MOST_NEAREST
        self._covers = lru_cache(maxsize=None)(self._compare)
        self._anew = lru_cache(maxsize=None)(self._is_said_anew)

    def held(self, server: str, kinds: frozenset[Kind]) -> list[Thing]:
        """The known things of these kinds of a server, in the order of their names."""
        return [thing for kind in KINDS if kind in kinds for thing in self._held.get((server, kind), ())]

    def nearest(self, pattern: str, names: Collection[str]) -> str | None:
        """What may have been meant, for the first wrong names; the others may be wrong in the same way."""
        self._nearest -= 1
        return nearest_pattern(pattern, names) if self._nearest >= 0 else None

    def later(self, index: int) -> Iterable[tuple[int, Rule]]:
        """The rules for everybody below a rule that are about all that it is about, with their numbers."""
        if not self.compared:
            return ()
        return (
            (number, rule)
            for number, rule in enumerate(self.rules[index + 1 :], start=index + 2)
            if rule.for_ is None and self._covers(number - 1, index)
        )

    def together(self, index: int, member: str) -> Iterator[tuple[int, Rule]]:
        """The rules that say `member` of something that this rule is about, too, and are not overridden there."""
        places = range(len(self.rules)) if self.compared else (index,)
        saying = [place for place in places if getattr(self.rules[place], member) is not None]
        mine = self.matched[index]
        hidden: set[Thing] = set()  # things about which a rule further below says it anew for everybody
        found = []
        for place in reversed(saying):
            shared = mine & self.matched[place]
            meet = not shared <= hidden if shared else self._covers(place, index) and not self._anew(place, member)
            if meet:
                found.append((place + 1, self.rules[place]))
            if self.rules[place].for_ is None:
                hidden |= shared
        yield from reversed(found)

    def _fitting(self, text: str) -> Iterator[Thing]:
        pattern = compile_pattern(text)
        for server in filter(pattern.server, self._of):
            yield from (thing for thing in self.held(server, pattern.kinds) if pattern.name(thing.name))

    def _is_said_anew(self, place: int, member: str) -> bool:
        return any(getattr(rule, member) is not None for _, rule in self.later(place))

    def _compare(self, wide: int, narrow: int) -> bool:
        return covers(self.rules[wide].match, self.rules[narrow].match)


def covers(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    """Whether everything that `narrow` is about is surely something that `wide` is about."""
    return all(any(_covers(one, other) for one in wide) for other in narrow)


def _covers(wide: str, narrow: str) -> bool:
    if wide in ("*", narrow):
        return True
    one, other = compile_pattern(wide), compile_pattern(narrow)
    if narrow == "*" or not other.kinds <= one.kinds:
        return False
    server, name = _parts(narrow)
    # Read as a name, a glob's `*` fits only where a `*` of the wider one takes it in; a `?` could be taken for it.
    if "?" in wide or not one.server(server):
        return False
    return _parts(wide)[1] == "*" or (other.kinds <= COUNTED_KINDS and one.name(name))


def _parts(pattern: str) -> tuple[str, str]:
    """Server and name of a pattern; `*` for both in `*` and `prompt:*`."""
    head, slash, name = pattern.partition("/")
    return (head.rpartition(":")[2], name) if slash else ("*", "*")


def _unmatched(known: _Known, index: int, rule: Rule) -> Iterator[str]:
    for text in rule.match:
        pattern, (server, name) = compile_pattern(text), _parts(text)
        if server == name == "*":
            continue
        servers = [one for one in known.servers if pattern.server(one)]
        if not servers:
            yield f"{text} names no server of this workspace{_did_you_mean(known.nearest(server, known.servers))}"
            continue
        theirs = {one: [thing.name for thing in known.held(one, pattern.kinds)] for one in servers}
        names = [name for found in theirs.values() for name in found]
        if not pattern.kinds <= COUNTED_KINDS or not all(theirs.values()) or any(map(pattern.name, names)):
            continue
        better = known.nearest(name, names)
        whole = f"{text.removesuffix(name)}{better}" if better else None
        what = f"{next(iter(pattern.kinds))} of server{'s' if len(servers) > 1 else ''} {listing(servers, 'or')}"
        yield f"{text} matches no {what}{_did_you_mean(whole)}"


def _without_effect(known: _Known, index: int, rule: Rule) -> Iterator[str]:
    said = {name for name in ("enabled", *FOLDED) if getattr(rule, name) is not None}
    if not said and not rule.limits:
        yield f"says nothing about {listing(rule.match)}; it has no effect"
        return
    if rule.limits:
        return
    overriding = {
        number: words
        for number, late in known.later(index)
        if (words := {n for n in said if getattr(late, n) is not None})
    }
    if said == set().union(*overriding.values()):
        many = len(overriding) > 1
        by = f"rule{'s' if many else ''} {listing([str(number) for number in overriding])}"
        yield f"has no effect, since {by} below say{'' if many else 's'} all of it anew for everybody; move it below"


def _locks_out(known: _Known, index: int, rule: Rule) -> Iterator[str]:
    if rule.enabled is not False or rule.for_ is not None or "*" not in rule.match:
        return
    if not any(late.enabled for late in known.rules[index + 1 :]):
        yield "hides everything from everybody; put it first, and below it enable what is to be seen"


def _renames(known: _Known, index: int, rule: Rule) -> Iterator[str]:
    if rule.rename is None:
        return
    server, own = _parts(rule.match[0])
    for number, other in enumerate(known.rules[:index] if known.compared else (), start=1):
        taken = other.rename == rule.rename and _parts(other.match[0])[0] == server
        if taken and _parts(other.match[0])[1] != own and not _are_apart(rule, other):
            yield f"renames {server}/{own} to {rule.rename}, as rule {number} does another tool; only one can have it"
    other_tool = Thing("tool", server, rule.rename)
    if rule.rename != own and other_tool in known.things and not _is_out_of_the_way(known, other_tool):
        yield (
            f"renames {server}/{own} to {rule.rename}, which is another tool of the server; that one cannot be "
            "reached then: rename or disable it"
        )


def _is_out_of_the_way(known: _Known, thing: Thing) -> bool:
    """Whether a tool has another name itself, or is hidden from everybody."""
    about = known.about.get(thing, [])
    switch = next((rule for rule in reversed(about) if rule.enabled is not None), None)
    return any(rule.rename for rule in about) or (switch is not None and not switch.enabled and switch.for_ is None)


def _are_apart(one: Rule, other: Rule) -> bool:
    """Whether two rules are surely for different visitors: by role, the one thing of which each has exactly one."""
    mine, theirs = (rule.for_.roles if rule.for_ is not None else None for rule in (one, other))
    return mine is not None and theirs is not None and set(mine).isdisjoint(theirs)


def _fixed_arguments(known: _Known, index: int, rule: Rule) -> Iterator[str]:
    if not rule.arguments:
        return
    found = [thing for thing in known.matched[index] if thing.kind == "tool"]
    if len(found) > 1 or (not found and (len(rule.match) > 1 or "*" in rule.match[0])):
        tools = f"{len(found)} tools" if found else "several tools"
        yield f"fixes or hides {listing(list(rule.arguments))} of {tools} at once; is each meant to have it?"


def _limits(known: _Known, index: int, rule: Rule) -> Iterator[str]:
    for limit in rule.limits:
        if limit.amount == 0:
            yield f"a limit of {amount_text(limit, 0)} lets nothing pass; `enabled: false` would hide it"
        elif limit.cost is not None:
            for number, other in known.together(index, "cost"):
                if (other.cost or 0) > limit.cost:
                    whose = "here" if other is rule else f"by rule {number}"
                    yield f"one call costs {other.cost:,} ({whose}), more than {amount_text(limit, limit.cost)}: never"


def _timeouts(known: _Known, index: int, rule: Rule) -> Iterator[str]:
    if rule.timeout is None or any(late.timeout is not None for _, late in known.later(index)):
        return
    for number, other in known.together(index, "max_timeout"):
        if other.max_timeout is not None and rule.timeout > other.max_timeout:
            whose = "" if other is rule else f" of rule {number}"
            length, most = duration_text(rule.timeout), duration_text(other.max_timeout)
            yield f"timeout {length} is longer than max_timeout {most}{whose}, which ends the call first"


_CHECKS: tuple[Callable[[_Known, int, Rule], Iterator[str]], ...] = (
    _unmatched,
    _without_effect,
    _locks_out,
    _renames,
    _fixed_arguments,
    _limits,
    _timeouts,
)


def _did_you_mean(name: str | None) -> str:
    return f"; did you mean {printable(name)}?" if name else ""
