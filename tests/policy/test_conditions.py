"""A condition is true or it refuses: nothing that goes wrong in it lets a call through."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.policy.conditions import LONGEST, Condition

MONDAY = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ADA = {"id": "ada", "name": "Ada", "kind": "person", "role": "member", "groups": ["ops"], "client": ""}
TOOL = {"server": "github", "name": "create_issue", "kind": "tool", "annotations": {"readOnlyHint": True}}


def holds(text: str, **args: Any) -> bool:
    return Condition(text).holds(args, ADA, TOOL, MONDAY)


@pytest.mark.parametrize(
    "text",
    [
        "args.repo.startsWith('acme/')",
        "args.repo in ['acme/a', 'acme/b']",
        "args.paths.all(path, path.startsWith('/srv/'))",
        "size(args.paths) <= 2 && !has(args.force)",
        "principal.role == 'member' && 'ops' in principal.groups",
        "tool.annotations.readOnlyHint",
        "now.weekday == 1 && now.hour >= 9 && now.hour < 17",
        "timestamp(now.iso) > timestamp('2026-01-01T00:00:00Z')",
        "args.repo.matches('^acme/[a-z]+$')",
        "args.count * 2 == 4",
    ],
)
def test_conditions_that_hold(text: str) -> None:
    assert holds(text, repo="acme/a", paths=["/srv/a", "/srv/b"], count=2)


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("args.repo == 'x'", {}),
        ("args.repo.startsWith('a')", {"repo": 7}),
        ("args.repo.startsWith('a')", {"repo": None}),
        ("args.repo", {"repo": "text is not true"}),
        ("1", {}),
        ("args.n / 0 == 1", {"n": 1}),
        ("args.n > 5", {"n": 2**70}),
        ("args.l[0].n > 5", {"l": [{"n": -(2**70)}]}),
        ("args.l[9] == 1", {"l": []}),
        ("!args.repo", {"repo": "x"}),
    ],
)
def test_what_goes_wrong_refuses(text: str, args: dict[str, Any]) -> None:
    assert not holds(text, **args)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("args.", "is no CEL expression"),
        ("args.repo ==", "is no CEL expression"),
        ("", "is no CEL expression"),
        ("arg.repo == 'x'", "unknown variable 'arg'; did you mean 'args'"),
        ("me.id == 'x'", "unknown variable 'me'; there are args, principal, tool, now"),
        ("args.repo.startWith('x')", "unknown function 'startWith'; did you mean 'startsWith'"),
        ("args.repo.lower() == 'x'", "unknown function 'lower'"),
        ("x" * (LONGEST + 1), "at most 2000 characters"),
        ("(" * 1900, "is no CEL expression"),
    ],
)
def test_what_is_no_condition_is_said_when_the_document_is_read(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        Condition(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_no_argument_makes_a_condition_raise(value: Any) -> None:
    assert Condition("args.value == args.value && args.value.startsWith('a')").holds(
        {"value": value}, ADA, TOOL, MONDAY
    ) == (isinstance(value, str) and value.startswith("a"))
