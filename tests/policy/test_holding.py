"""An expression sees who asks, about what, and when it is where the workspace is."""

from datetime import UTC, datetime

import pytest

from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.document import parse
from portkey_mcp.policy.holding import condition_holds

HUB = Endpoint("hub", Workspace("team", "Team", {}, {}))
CI = Visit(Principal("key:1", "ci", "service", {"team": "member"}, ("ops",), client="claude"), HUB)
STRANGER = Visit(Principal("x", "x", "person"), HUB)
THING = Thing("tool", "github", "create_issue")
LATE = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)


def holds(when: str | None, visit: Visit = CI) -> bool:
    rules = Rules(parse({"time_zone": "Europe/Berlin", "rules": [{"match": "*", **({"when": when} if when else {})}]}))
    decision = rules.decide(CI, THING)
    assert isinstance(decision, Allow)
    found = {"args": {"n": 1}, "annotations": {"readOnlyHint": True}, "now": LATE}
    return condition_holds(rules, decision.terms, visit, THING, **found)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "when",
    [
        "principal.id == 'key:1' && principal.name == 'ci' && principal.kind == 'service'",
        "principal.role == 'member' && principal.groups == ['ops'] && principal.client == 'claude'",
        "tool.server == 'github' && tool.name == 'create_issue' && tool.kind == 'tool'",
        "tool.annotations.readOnlyHint && args.n == 1",
        "now.day == 25 && now.hour == 0 && now.minute == 30",
    ],
)
def test_what_an_expression_sees(when: str) -> None:
    assert holds(when)


def test_without_a_condition_it_holds_but_never_for_a_stranger() -> None:
    assert holds(None)
    assert not holds(None, STRANGER)
    assert not holds("true", STRANGER)
