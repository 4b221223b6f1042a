"""The explanation agrees with the decision, names every rule that applies, and says what a call now would meet."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.model import Endpoint, Principal, Visit, Workspace
from portkey_mcp.policy.decide import Allow, Rules, Thing
from portkey_mcp.policy.document import EMPTY, Policy, parse
from portkey_mcp.policy.explain import Demand, Explanation, Saying, Step, explain
from portkey_mcp.policy.limits import charges_of, left_of
from portkey_mcp.policy.terms import FREE

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
VISIT = Visit(
    Principal("p1", "Ada", "person", workspaces={"demo": "member"}),
    Endpoint("server", Workspace("demo", "Demo", {}, {}), "files"),
)
READ = Thing("tool", "files", "read_file")


def policy(*rules: dict[str, Any]) -> Policy:
    return parse({"rules": list(rules)})


def asked(given: Policy, thing: Thing = READ, visit: Visit = VISIT, **known: Any) -> Explanation:
    return explain(given, visit, thing, now=NOW, **known)


LAYERED = policy(
    {"match": "*", "enabled": False, "timeout": "60s"},
    {"match": "files/read_*", "enabled": True, "limits": [{"calls": 20, "per": "hour", "each": "user"}]},
    {"match": "files/*", "for": {"roles": ["viewer"]}, "enabled": False},
    {"match": ["linear/*", "files/read_file"], "timeout": "5m"},
)


def test_every_rule_that_applies_is_listed_with_what_it_says_and_what_overrides_it() -> None:
    assert asked(LAYERED).steps == (
        Step(
            1,
            ("*",),
            "everybody",
            (Saying("enabled", "disables", 2), Saying("timeout", "timeout 60 s", 4)),
            decides=False,
        ),
        Step(
            2,
            ("files/read_*",),
            "everybody",
            (Saying("enabled", "enables", None), Saying("limits.1", "20 calls per hour for each user", None)),
            decides=True,
        ),
        Step(
            4, ("linear/*", "files/read_file"), "everybody", (Saying("timeout", "timeout 5 min", None),), decides=False
        ),
    )


def test_the_terms_in_force_are_named_with_their_rules_in_the_order_in_which_a_call_meets_them() -> None:
    found = asked(LAYERED)
    assert (found.verdict, found.reason, found.role) == ("allowed", "enabled by rule 2 of the policy", "member")
    assert found.demands == (
        Demand("limits", "20 calls per hour for each user", 2),
        Demand("timeout", "timeout 5 min", 4),
    )


def test_an_explanation_becomes_json() -> None:
    assert json.loads(json.dumps(asdict(asked(LAYERED))))["steps"][1]["says"][0]["overridden_by"] is None


def test_a_denial_names_its_rule() -> None:
    found = asked(LAYERED, Thing("prompt", "files", "review"))
    assert (found.verdict, found.reason) == ("hidden", "disabled by rule 1 of the policy")
    assert [step.rule for step in found.steps if step.decides] == [1]
    assert found.demands == ()


def test_a_denial_through_another_spelling_of_the_uri_names_its_rule() -> None:
    given = policy({"match": "resource:files/file:///secret", "enabled": False})
    found = asked(given, Thing("resource", "files", "file:///a/../secret"))
    assert not found.allowed
    assert [step.decides for step in found.steps] == [True]


def test_without_rules_nothing_stands_against_it() -> None:
    found = asked(EMPTY)
    assert (found.verdict, found.reason, found.steps, found.demands) == ("allowed", "no rule says otherwise", (), ())


def test_a_stranger_is_told_apart_from_a_denied_member() -> None:
    found = asked(LAYERED, visit=Visit(Principal("p2", "Bob", "person"), VISIT.endpoint))
    assert (found.verdict, found.reason, found.role, found.steps) == ("hidden", "no role in this workspace", None, ())


GUARDED = policy(
    {"match": "files/*", "when": 'args.path.startsWith("/srv/") && principal.role == "member"'},
    {"match": "files/write_*", "arguments": {"path": {"value": "/srv/notes"}}},
)


@pytest.mark.parametrize(
    ("args", "verdict", "holds"),
    [
        (None, "depends", None),
        ({"path": "/srv/a"}, "allowed", True),
        ({"path": "/etc/passwd"}, "refused", False),
        ({}, "refused", False),
    ],
)
def test_a_condition_is_tried_where_arguments_are_given(args: Any, verdict: str, holds: bool | None) -> None:
    found = asked(GUARDED, args=args)
    assert (found.verdict, [demand.holds for demand in found.demands]) == (verdict, [holds])


def test_a_condition_sees_what_policy_fills_in() -> None:
    write = Thing("tool", "files", "write_file")
    assert asked(GUARDED, write, args={}).verdict == "allowed"
    found = asked(GUARDED, write, args={"path": "/etc"})
    assert (found.verdict, found.reason) == ("refused", "the call gives an argument that rule 2 sets or hides")


@pytest.mark.parametrize(
    ("annotations", "verdict"), [(None, "depends"), ({"readOnlyHint": True}, "allowed"), ({}, "hidden")]
)
def test_read_only_looks_at_what_the_tool_says(annotations: Any, verdict: str) -> None:
    given = policy({"match": "*", "read_only": True})
    assert asked(given, annotations=annotations).verdict == verdict
    assert asked(given, Thing("prompt", "files", "x")).verdict == "allowed"


@pytest.mark.parametrize(("used", "verdict"), [(0, "allowed"), (15, "allowed"), (16, "refused"), (20, "refused")])
def test_a_limit_with_too_little_left_for_one_call_refuses(used: int, verdict: str) -> None:
    given = policy({"match": "*", "cost": 5, "limits": [{"cost": 20, "per": "day"}, {"concurrent": 2}]})
    decision = Rules(given).decide(VISIT, READ)
    assert isinstance(decision, Allow)
    charges = charges_of(decision.terms, VISIT, READ, "UTC", NOW)
    found = asked(given, used=left_of(charges, [used, 0], "UTC", NOW))
    assert found.verdict == verdict
    assert [demand.left and demand.left["left"] for demand in found.demands] == [None, 20 - used, 2]


def test_a_person_who_is_asked_and_a_definition_under_review_are_said() -> None:
    given = policy({"match": "files/*", "require_approval": True})
    assert (asked(given).verdict, asked(given).reason) == ("asked", "rule 1 wants a person to approve each call")
    held = asked(given, review="pending review since 2026-11-20")
    assert (held.verdict, held.reason) == ("hidden", "its newest definition is pending review since 2026-11-20")
    assert held.allowed


def test_a_name_that_a_renamed_tool_took_over_leads_to_that_tool() -> None:
    found = asked(policy({"match": "files/read_text", "rename": "read_file"}))
    assert (found.verdict, found.reason) == (
        "hidden",
        "under this name callers reach files/read_text, which the policy renames",
    )


def test_what_equals_having_no_rule_is_no_demand() -> None:
    given = policy({"match": "*", "require_approval": True}, {"match": "files/*", "require_approval": False, "cost": 1})
    assert asked(given).demands == ()


PATTERNS = st.sampled_from(["*", "files/*", "files/a*", "files/ab", "prompt:files/*", "resource:files/*", "x/*"])
RULES = st.lists(
    st.fixed_dictionaries(
        {"match": PATTERNS | st.lists(PATTERNS, min_size=1, max_size=2)},
        optional={
            "enabled": st.booleans(),
            "timeout": st.sampled_from(["1s", "2s"]),
            "require_approval": st.booleans(),
            "cost": st.integers(0, 3),
            "for": st.fixed_dictionaries({"roles": st.sampled_from([["member"], ["viewer"]])}),
            "limits": st.just([{"calls": 1, "per": "day"}]),
        },
    ),
    max_size=6,
)
THINGS = st.builds(
    Thing, st.sampled_from(["tool", "prompt", "resource"]), st.just("files"), st.sampled_from(["a", "ab", "b"])
)


@given(RULES, THINGS, st.sampled_from(["member", "viewer", None]))
def test_it_agrees_with_the_decision(rules: list[dict[str, Any]], thing: Thing, role: Any) -> None:
    given = policy(*rules)
    visit = Visit(Principal("p", "P", "person", workspaces={"demo": role} if role else {}), VISIT.endpoint)
    decision, found = Rules(given).decide(visit, thing), asked(given, thing, visit)

    assert found.allowed == isinstance(decision, Allow)
    assert found.allowed == (found.verdict != "hidden")
    assert [step.rule for step in found.steps if step.decides] == ([] if decision.rule is None else [decision.rule + 1])
    if not isinstance(decision, Allow):
        return
    terms = decision.terms
    holding = {
        saying.member: step.rule - 1
        for step in found.steps
        for saying in step.says
        if saying.overridden_by is None and not saying.member.startswith("limits")
    }
    assert holding == {**terms.said, **({} if decision.rule is None else {"enabled": decision.rule})}
    for demand in found.demands:
        if demand.member != "limits":
            assert terms.said[demand.member] + 1 == demand.rule
    assert {demand.member for demand in found.demands if demand.member != "limits"} == {
        member for member in terms.said if getattr(terms, member) != getattr(FREE, member)
    }
