"""What a decision of policy costs by itself: 200 rules, 500 tools, visitors of every role; no I/O, no gateway."""

from collections.abc import Callable, Sequence
from time import process_time

from benchmarks.figures import Cost
from portkey_mcp.model import Endpoint, Principal, Role, Visit, Workspace
from portkey_mcp.policy.decide import Rules, Thing
from portkey_mcp.policy.document import Policy, parse

RULES, TOOLS, SERVERS = 200, 500, 10
ROLES: tuple[Role, ...] = ("owner", "admin", "member", "viewer")

ROUNDS = 5
"""Of each measurement; the median counts."""


def decisions() -> list[Cost]:
    """Microseconds of a decision that was made before, of one that was not, and of compiling the document."""
    policy, visits, things = document(), visitors(), tools()
    rules = Rules(policy)
    asked = [(visit, thing) for visit in visits for thing in things]
    first = _middle(lambda: _deciding(Rules(policy), asked))
    again = _middle(lambda: _deciding(rules, asked))
    compiled = _middle(lambda: _timed(lambda: Rules(policy)))
    return [
        Cost("decision_first", f"policy: a first decision, {RULES} rules, {TOOLS} tools", first / len(asked), "µs"),
        Cost("decision", f"policy: a decision, {RULES} rules, {TOOLS} tools", again / len(asked), "µs"),
        Cost("policy_compiled", f"policy: compiling {RULES} rules", compiled, "µs"),
    ]


def document() -> Policy:
    """Rules of every kind, a tenth of them about each server."""
    rules: list[dict[str, object]] = [{"match": "*", "timeout": "60s", "limits": [{"calls": 10**6, "per": "day"}]}]
    for number in range(1, RULES):
        server = f"server-{number % SERVERS}"
        kinds: tuple[dict[str, object], ...] = (
            {"match": f"{server}/delete_{number}*", "enabled": False},
            {"match": f"{server}/*_{number}", "for": {"roles": ["viewer"]}, "enabled": False},
            {"match": f"{server}/tool_{number}", "limits": [{"calls": 100, "per": "hour", "each": "user"}]},
            {"match": f"{server}/create_*", "for": {"groups": ["contractors"]}, "max_result": "150KB"},
        )
        rules.append(kinds[number % len(kinds)])
    return parse({"version": 1, "rules": rules})


def tools() -> Sequence[Thing]:
    """The tools that are decided about."""
    verbs = ("tool", "create", "delete", "list", "get")
    return [Thing("tool", f"server-{n % SERVERS}", f"{verbs[n % len(verbs)]}_{n}") for n in range(TOOLS)]


def visitors() -> Sequence[Visit]:
    """One of each role."""
    hub = Endpoint("hub", Workspace("bench", "Bench", {}, {}))
    return [Visit(Principal(role, role, "person", {"bench": role}), hub) for role in ROLES]


def _deciding(rules: Rules, asked: Sequence[tuple[Visit, Thing]]) -> float:
    def decide() -> None:
        for visit, thing in asked:
            rules.decide(visit, thing)

    return _timed(decide)


def _timed(work: Callable[[], object]) -> float:
    began = process_time()
    work()
    return (process_time() - began) * 1e6


def _middle(measure: Callable[[], float]) -> float:
    return sorted(measure() for _ in range(ROUNDS))[ROUNDS // 2]
