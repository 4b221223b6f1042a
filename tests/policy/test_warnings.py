"""Each kind of probable mistake is named with its rule, and what may well be meant is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.policy import warnings as module
from portkey_mcp.policy.decide import Thing
from portkey_mcp.policy.document import parse
from portkey_mcp.policy.match import compile_pattern
from portkey_mcp.policy.warnings import MOST_COMPARED, covers, warnings

SERVERS = ["files", "github", "linear"]
THINGS = [
    *(Thing("tool", "linear", name) for name in ("delete_issue", "delete_comment", "list_issues")),
    *(Thing("tool", "github", name) for name in ("create_issue", "create_pr")),
]


def warned(*rules: dict[str, Any], **members: Any) -> list[str]:
    return warnings(parse({"rules": list(rules), **members}), SERVERS, THINGS)


ON: dict[str, Any] = {"timeout": "60s"}


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("linear/delte_*", "linear/delte_* matches no tool of server linear; did you mean linear/delete_*?"),
        (
            "linear/delete_isue",
            "linear/delete_isue matches no tool of server linear; did you mean linear/delete_issue?",
        ),
        ("linear/zzz*", "linear/zzz* matches no tool of server linear"),
        ("liner/*", "liner/* names no server of this workspace; did you mean linear?"),
        ("zzz*/x", "zzz*/x names no server of this workspace"),
    ],
)
def test_a_pattern_that_matches_nothing_is_named_with_the_nearest_one(match: str, said: str) -> None:
    assert warned({"match": ["linear/list_issues", match], **ON}) == [f"rule 1: {said}"]


@pytest.mark.parametrize(
    "match",
    ["linear/delete_*", "*/create_*", "*", "prompt:*", "files/anything", "prompt:linear/x", "resource:linear/note://*"],
)
def test_nothing_is_doubted_where_it_matches_or_nobody_knows(match: str) -> None:
    assert warned({"match": match, **ON}) == []


def test_a_server_entry_without_a_server_is_named() -> None:
    assert warned(servers={"linaer": {"pin": True}, "files": {"pin": True}}) == [
        "servers: linaer: there is no such server here; did you mean linear?"
    ]


def test_a_rule_that_later_ones_override_whole_has_no_effect() -> None:
    assert warned(
        {"match": "linear/delete_*", "enabled": False, "timeout": "5s"},
        {"match": "linear/*", "timeout": "6s"},
        {"match": "*", "enabled": True},
    ) == ["rule 1: has no effect, since rules 2 and 3 below say all of it anew for everybody; move it below"]


@pytest.mark.parametrize(
    "later",
    [
        {"match": "*", "timeout": "6s"},
        {"match": "*", "enabled": True, "for": {"roles": ["admin"]}},
        {"match": "linear/delete_issue", "enabled": True},
    ],
)
def test_a_rule_that_is_overridden_in_part_or_for_some_has_an_effect(later: dict[str, Any]) -> None:
    assert warned({"match": "linear/delete_*", "enabled": False}, later) == []


def test_a_rule_with_limits_always_has_an_effect_and_one_that_says_nothing_has_none() -> None:
    limited = {"match": "linear/*", "limits": [{"calls": 1, "per": "day"}], "timeout": "5s"}
    assert warned(limited, {"match": "*", "timeout": "6s"}) == []
    assert warned({"match": "linear/*"}) == ["rule 1: says nothing about linear/*; it has no effect"]


def test_locking_everybody_out_is_named() -> None:
    everything = {"match": "*", "enabled": False}
    said = ["rule 1: hides everything from everybody; put it first, and below it enable what is to be seen"]
    assert warned(everything) == said
    assert warned(everything, {"match": "linear/*", "enabled": True}) == []
    assert warned({**everything, "for": {"roles": ["viewer"]}}) == []


def test_two_tools_cannot_have_one_new_name() -> None:
    one = {"match": "linear/delete_issue", "rename": "remove"}
    other = {"match": "linear/delete_comment", "rename": "remove"}
    assert warned(one, other) == [
        "rule 2: renames linear/delete_comment to remove, as rule 1 does another tool; only one can have it"
    ]
    assert warned(one, {**other, "match": "github/create_pr"}) == []
    assert warned({**one, "for": {"roles": ["member"]}}, {**other, "for": {"roles": ["admin"]}}) == []
    assert warned(one, {**one, "for": {"roles": ["admin"]}}) == []


def test_a_new_name_that_another_tool_has_hides_that_one() -> None:
    taking = {"match": "linear/delete_issue", "rename": "list_issues"}
    assert len(warned(taking)) == 1
    assert "which is another tool of the server" in warned(taking)[0]
    assert warned(taking, {"match": "linear/list_issues", "rename": "delete_issue"}) == []
    assert warned(taking, {"match": "linear/list_issues", "enabled": False}) == []
    assert warned({**taking, "rename": "delete_issue"}) == []


def test_arguments_of_several_tools_are_doubted() -> None:
    fixed = {"arguments": {"repo": {"value": "acme/x"}}}
    assert warned({"match": "github/create_*", **fixed}) == [
        "rule 1: fixes or hides repo of 2 tools at once; is each meant to have it?"
    ]
    assert warned({"match": "files/*", **fixed}) == [
        "rule 1: fixes or hides repo of several tools at once; is each meant to have it?"
    ]
    assert warned({"match": "github/create_i*", **fixed}) == []


def test_a_limit_that_lets_nothing_pass_is_named() -> None:
    assert warned({"match": "*", "limits": [{"calls": 0, "per": "day"}]}) == [
        "rule 1: a limit of 0 calls per day lets nothing pass; `enabled: false` would hide it"
    ]


def test_a_cost_above_its_limit_is_named_wherever_the_two_meet() -> None:
    budget = {"match": "github/*", "limits": [{"cost": 10, "per": "day"}]}
    assert warned({**budget, "cost": 11}) == [
        "rule 1: one call costs 11 (here), more than 10 cost units per day: never"
    ]
    assert warned(budget, {"match": "*/create_pr", "cost": 50}) == [
        "rule 1: one call costs 50 (by rule 2), more than 10 cost units per day: never"
    ]
    assert warned(budget, {"match": "linear/*", "cost": 50}) == []
    assert warned(budget, {"match": "*/create_pr", "cost": 50}, {"match": "github/*", "cost": 1}) == []
    assert warned({"match": "github/create_pr", "cost": 50}, budget, {"match": "github/*", "cost": 1})[-1:] == [
        "rule 1: has no effect, since rule 3 below says all of it anew for everybody; move it below"
    ]


def test_a_timeout_above_the_hard_one_is_named() -> None:
    assert warned({"match": "*", "timeout": "10m", "max_timeout": "5m"}) == [
        "rule 1: timeout 10 min is longer than max_timeout 5 min, which ends the call first"
    ]
    assert warned({"match": "*", "max_timeout": "5m"}, {"match": "linear/*", "timeout": "10m"}) == [
        "rule 2: timeout 10 min is longer than max_timeout 5 min of rule 1, which ends the call first"
    ]
    assert warned({"match": "*", "timeout": "60s", "max_timeout": "5m"}) == []


def test_names_of_people_groups_and_clients_are_not_doubted() -> None:
    assert warned({"match": "*", "for": {"groups": ["nobody"], "clients": ["x"], "people": ["y"]}, **ON}) == []


def test_very_many_rules_are_looked_at_alone_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, ...]] = []
    monkeypatch.setattr(module, "covers", lambda wide, narrow: (compared.append(narrow), covers(wide, narrow))[1])
    wrong = {"match": "linear/delte_issue", "cost": 11, "limits": [{"cost": 10, "per": "day"}]}
    said = [
        "rule 1: linear/delte_issue matches no tool of server linear; did you mean linear/delete_issue?",
        "rule 1: one call costs 11 (here), more than 10 cost units per day: never",
    ]
    same: list[dict[str, Any]] = [{"match": "github/*", "timeout": "5s"}] * (MOST_COMPARED - 1)
    few = warned(wrong, *same)
    assert few[:2] == said
    assert "rule 2: has no effect" in few[2]
    assert 0 < len(compared) <= (MOST_COMPARED + 1) ** 2
    compared.clear()
    assert warned(wrong, *same, *same[:1]) == [
        *said,
        "rules: these are 301; more than 300 are not compared with each other here, so which of them overrides another "
        "whole, and which cost or timeout cannot be, is not told",
    ]
    assert compared == [("linear/delte_issue",)]  # with itself


def test_of_very_many_wrong_names_all_are_named_and_the_first_get_the_nearest() -> None:
    found = warned(*({"match": f"linear/delete_isue{n}", **ON} for n in range(400)))
    assert len([line for line in found if "matches no tool of server linear" in line]) == 400
    assert 0 < len([line for line in found if "did you mean" in line]) <= 50


PATTERNS = st.sampled_from(
    [
        *("*", "prompt:*", "resource:*", "*/*", "a/*", "a*/*", "a/b*", "a/b", "a/?", "a/*b", "a/b*c", "ab/bc"),
        *("prompt:a/b", "prompt:a/*", "resource:a/*", "resource:a/b*", "resource:a/b"),
    ]
)
THING = st.builds(
    Thing,
    st.sampled_from(["tool", "prompt", "resource"]),
    st.text("ab", min_size=1, max_size=2),
    st.text("abc*?", min_size=1, max_size=4),
)


@given(st.lists(PATTERNS, min_size=1, max_size=2), st.lists(PATTERNS, min_size=1, max_size=2), THING)
def test_what_covers_a_match_is_about_all_of_it(wide: list[str], narrow: list[str], thing: Thing) -> None:
    def about(match: list[str]) -> bool:
        patterns = map(compile_pattern, match)
        return any(thing.kind in p.kinds and p.server(thing.server) and p.name(thing.name) for p in patterns)

    if covers(tuple(wide), tuple(narrow)) and about(narrow):
        assert about(wide)
