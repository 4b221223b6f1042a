"""Nothing in a policy is silently no value at all, or one that cannot be stored."""

from typing import Any

import pytest

from portkey_mcp.errors import Mistakes
from portkey_mcp.registry.document import parse_policy
from portkey_mcp.registry.values import MOST, value_problems

RULE = "rules:\n  - match: a/b\n    "


def lines(text: str) -> list[str]:
    with pytest.raises(Mistakes) as wrong:
        parse_policy(text, "f")
    return str(wrong.value).splitlines()


@pytest.mark.parametrize("member", ["for", "enabled", "timeout", "when"])
def test_a_key_that_was_left_open_holds_for_nobody_and_nothing(member: str) -> None:
    assert lines(f"{RULE}{member}:") == [
        f"f:3:{6 + len(member)}: the key {member!r} has no value; give it one, or leave the key out"
    ]


def test_a_key_left_open_that_is_wrong_anyway_is_one_mistake() -> None:
    assert lines("rules:") == ["f:1:7: expected a list, found nothing"]
    assert lines(f"{RULE}limits:\n    enabled:") == [
        "f:3:12: expected a list, found nothing",
        "f:4:13: the key 'enabled' has no value; give it one, or leave the key out",
    ]


def test_an_argument_may_be_filled_in_with_null() -> None:
    policy, data = parse_policy(f"{RULE}arguments: {{x: {{value: null}}, y: {{value: [null]}}}}", "f")

    assert policy.rules[0].arguments is not None
    assert data["rules"][0]["arguments"] == {"x": {"value": None}, "y": {"value": [None]}}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (".nan", "is no number that JSON has; expected a finite one"),
        ("{1: 2}", "expected text as a key; put it in quotes"),
        ("!!binary aGk=", "is YAML's bytes, which JSON has not; expected text, a number, true, false or a list"),
        ("&a [*a]", "is nested deeper than 100 levels"),
    ],
)
def test_what_json_does_not_have_is_placed(value: str, said: str) -> None:
    assert lines(f"{RULE}arguments: {{x: {{value: {value}}}}}") == [f"f:3:28: {said}"]


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    bomb: Any = "x"
    for _ in range(50):
        bomb = [bomb, bomb]

    assert value_problems(bomb) == [((), f"the document has more than {MOST} values, or aliases stand for so many")]
