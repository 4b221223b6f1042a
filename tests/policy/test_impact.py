"""What changes is told once, for all whom it meets, in the words of the policy; and nothing else is told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.document import EMPTY, Policy, parse
from portkey_mcp.policy.impact import MOST_LINES, impact, visitors

WORKSPACE = Workspace("demo", "Demo", {}, {})
LINEAR = [Thing("tool", "linear", name) for name in ("delete_comment", "delete_issue", "list_issues")]
GITHUB = [Thing("tool", "github", name) for name in ("create_issue", "create_pr", "get_pr")]
THINGS = LINEAR + GITHUB
CI = Visit(Principal("key:1", "ci", "service", {"demo": "member"}), Endpoint("hub", WORKSPACE))


def policy(*rules: dict[str, Any], **members: Any) -> Policy:
    return parse({"rules": list(rules), **members})


def told(before: Policy, after: Policy, things: list[Thing] = THINGS, *others: Visit) -> list[str]:
    return impact(before, after, things, [*visitors(before, after, WORKSPACE), *others])


def new(*rules: dict[str, Any], things: list[Thing] = THINGS, **members: Any) -> list[str]:
    return told(EMPTY, policy(*rules, **members), things)


def test_nothing_is_told_when_nothing_changes() -> None:
    assert new() == []
    assert told(policy({"match": "*", "timeout": "60s"}), policy({"match": ["*"], "timeout": "1m"})) == []


def test_what_disappears_comes_first_and_is_told_for_those_whom_it_meets() -> None:
    assert new(
        {"match": "*", "timeout": "60s"},
        {"match": ["linear/delete_*", "github/create_pr"], "for": {"roles": ["member", "viewer"]}, "enabled": False},
    ) == [
        "member and viewer: github/create_pr and 2 more would disappear",
        "owner and admin: timeout 60 s on all 6 tools",
        "member and viewer: timeout 60 s on all 3 tools",
    ]


def test_what_meets_all_is_told_for_everybody() -> None:
    assert new({"match": "linear/delete_*", "enabled": False}) == ["everybody: linear/delete_* would disappear"]
    hidden = policy({"match": "linear/delete_issue", "enabled": False})
    assert told(hidden, EMPTY) == ["everybody: linear/delete_issue would appear"]


def test_limits_that_come_go_and_change_are_told() -> None:
    def limited(*limits: dict[str, Any]) -> Policy:
        return policy({"match": "github/create_*", "limits": list(limits)})

    hourly = {"calls": 20, "per": "hour", "each": "user"}
    assert told(EMPTY, limited(hourly)) == [
        "everybody: github/create_* gets a limit of 20 calls per hour for each user"
    ]
    assert told(limited(hourly), EMPTY) == [
        "everybody: github/create_* loses the limit of 20 calls per hour for each user"
    ]
    assert told(limited(hourly), limited({**hourly, "calls": 5}, {"concurrent": 2})) == [
        "everybody: github/create_* gets a limit of 2 calls at the same time for the whole workspace",
        "everybody: the limit of github/create_* becomes 5 calls per hour for each user, not 20",
    ]


def test_every_term_is_told_with_what_it_was_before() -> None:
    before = policy({"match": "linear/*", "timeout": "30s", "require_approval": True, "rename": None})
    after = policy({"match": "linear/*", "timeout": "60s", "when": 'args.a == "{b}"'})
    assert told(before, after) == [
        "everybody: timeout 60 s on linear/* (was: timeout 30 s)",
        'everybody: only when args.a == "{b}" on linear/*',
        "everybody: on linear/* no longer: a person is asked before each call",
    ]


def test_a_rename_is_told_by_both_names() -> None:
    renamed = policy({"match": "linear/list_issues", "rename": "issues"})
    assert told(EMPTY, renamed) == ["everybody: linear/list_issues is called issues"]
    assert told(renamed, EMPTY) == ["everybody: linear/list_issues is called by its own name again"]


def test_a_key_is_named_only_where_it_fares_otherwise_than_its_role() -> None:
    limits = [{"calls": 20, "per": "hour"}]
    for_keys = policy({"match": "github/create_*", "for": {"service_accounts": ["ci"]}, "limits": limits})
    assert told(EMPTY, for_keys, THINGS, CI) == [
        "ci (API key): github/create_* gets a limit of 20 calls per hour for the whole workspace"
    ]
    for_all = policy({"match": "github/create_*", "enabled": False})
    assert told(EMPTY, for_all, THINGS, CI) == ["everybody: github/create_* would disappear"]


@pytest.mark.parametrize(
    ("whom", "label"),
    [
        ({"groups": ["ops"]}, "group ops"),
        ({"people": ["p7"]}, "person p7"),
        ({"clients": ["cursor"]}, "client cursor"),
        ({"networks": ["10.0.0.0/8"]}, "member from 10.0.0.0/8"),
    ],
)
def test_whoever_a_rule_names_is_among_the_visitors(whom: dict[str, Any], label: str) -> None:
    assert new({"match": "linear/delete_*", "for": whom, "enabled": False}) == [
        f"{label}: linear/delete_* would disappear"
    ]


def test_a_pattern_stands_for_what_nobody_knows() -> None:
    assert new({"match": "files/write_*", "enabled": False}, {"match": "prompt:*", "enabled": False}) == [
        "everybody: files/write_* and 1 more would disappear"
    ]
    assert new({"match": "*", "timeout": "60s"}, things=[]) == ["everybody: timeout 60 s on *"]


def test_what_holds_for_servers_and_the_document_is_told_too() -> None:
    assert new(servers={"linear": {"pin": True, "allow_sampling": False}}, time_zone="Europe/Berlin") == [
        "server linear: a tool whose definition changes waits for a person",
        "server linear: may not ask for sampling",
        "days, weeks and months begin by the clocks of Europe/Berlin, not UTC",
    ]
    assert new(on_store_error="allow") == ["calls with limits pass while they cannot be counted"]


def test_a_long_answer_is_cut_and_counted() -> None:
    lines = new(*({"match": f"linear/{name}", "timeout": f"{name}s"} for name in range(1, 50)))
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "and 19 more"


RULES = st.lists(
    st.fixed_dictionaries(
        {"match": st.sampled_from(["*", "linear/*", "linear/delete_*", "github/get_pr"])},
        optional={
            "enabled": st.booleans(),
            "timeout": st.sampled_from(["1s", "2s"]),
            "for": st.fixed_dictionaries({"roles": st.sampled_from([["member"], ["viewer"]])}),
        },
    ),
    max_size=4,
)


@given(RULES, RULES)
def test_it_is_silent_exactly_when_every_decision_stays(old: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    before, after = policy(*old), policy(*other)
    whole = visitors(before, after, WORKSPACE)

    def decided(given: Policy) -> list[Any]:
        rules = Rules(given)
        found = (rules.decide(visit, thing) for visit in whole for thing in THINGS)
        return [decision.terms if isinstance(decision, Allow) else None for decision in found]

    assert (impact(before, after, THINGS, whole) == []) == (decided(before) == decided(after))
