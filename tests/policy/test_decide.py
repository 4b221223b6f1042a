"""Hidden is uncallable, later rules win, and no other spelling opens what is denied."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.model import Access, Endpoint, McpServer, Principal, Role, Visit, Workspace
from portkey_mcp.policy import decide
from portkey_mcp.policy.decide import Allow, Deny, Rules, Thing
from portkey_mcp.policy.document import EMPTY, parse
from portkey_mcp.policy.match import KINDS, LONGEST_URI, Kind, compile_pattern, readings
from tests.policy.semantics import HIDDEN, SEMANTICS, WORKSPACE, visit


def rules(*given_rules: dict[str, object]) -> Rules:
    return Rules(parse({"rules": list(given_rules)}))


READ = Thing("tool", "files", "read_file")


def test_without_rules_a_member_may_do_everything() -> None:
    assert Rules(EMPTY).decide(visit(), READ) == Allow(None)


def test_without_a_role_in_the_workspace_nothing_is_allowed() -> None:
    everything = rules({"match": "*", "enabled": True})
    assert everything.decide(visit(None), READ) == Deny(None, "no role in this workspace")


def test_a_later_rule_overrides_an_earlier_one() -> None:
    decided = rules({"match": "*", "enabled": False}, {"match": "files/read_*", "enabled": True}, {"match": "*"})
    assert decided.decide(visit(), READ) == Allow(1)
    assert decided.decide(visit(), Thing("tool", "files", "write")) == Deny(0, "disabled by rule 1 of the policy")
    assert isinstance(decided.decide(visit(), Thing("prompt", "files", "read_file")), Deny)


@pytest.mark.parametrize(
    ("whom", "visitor", "denied"),
    [
        ({"roles": ["member", "viewer"]}, visit("member"), True),
        ({"roles": ["viewer"]}, visit("member"), False),
        ({"groups": ["a", "b"]}, visit(groups=("b",)), True),
        ({"groups": ["a"]}, visit(groups=()), False),
        ({"people": ["p1"]}, visit(who="p1"), True),
        ({"people": ["Somebody"]}, visit(who="p1"), False),
        ({"roles": ["member"], "groups": ["a"]}, visit("member", groups=("b",)), False),
        ({"roles": ["member"], "groups": ["a"], "people": ["p1"]}, visit("member", groups=("a",)), True),
    ],
)
def test_a_rule_applies_to_those_whom_all_its_members_fit(
    whom: dict[str, list[str]], visitor: Visit, denied: bool
) -> None:
    decided = rules({"match": "*", "for": whom, "enabled": False})
    assert isinstance(decided.decide(visitor, READ), Deny) is denied


@pytest.mark.parametrize(
    "uri", ["file:///public/../secret", "file:///%73ecret", "FILE:/secret", "file://LocalHost/secret"]
)
def test_a_resource_is_denied_under_every_spelling_of_its_uri(uri: str) -> None:
    closed = rules({"match": "resource:files/file:///secret*", "enabled": False})
    assert closed.decide(visit(), Thing("resource", "files", uri)) == Deny(0, "disabled by rule 1 of the policy")
    opened = rules(
        {"match": "resource:files/*", "enabled": False}, {"match": "resource:files/file:///public/*", "enabled": True}
    )
    assert isinstance(opened.decide(visit(), Thing("resource", "files", uri)), Deny)
    assert opened.decide(visit(), Thing("resource", "files", "file:///public/a%20b")) == Allow(1)


def test_a_denied_template_does_not_hide_the_resources_it_describes() -> None:
    decided = rules({"match": "resource:files/note://{id}", "enabled": False})
    assert isinstance(decided.decide(visit(), Thing("template", "files", "note://{id}")), Deny)
    assert decided.decide(visit(), Thing("resource", "files", "note://1")) == Allow(None)


@pytest.mark.parametrize(
    ("given_rules", "who", "thing", "holds"), [row[1:] for row in SEMANTICS], ids=[row[0] for row in SEMANTICS]
)
def test_what_a_policy_means(given_rules: list[dict[str, Any]], who: Visit, thing: Thing, holds: object) -> None:
    decision = rules(*given_rules).decide(who, thing)
    if holds == HIDDEN:
        assert isinstance(decision, Deny)
        return
    assert isinstance(decision, Allow)
    assert isinstance(holds, dict)
    found = {name: getattr(decision.terms, name) for name in decision.terms.said}
    if decision.terms.limits:
        found["limits"] = [counted.limit.amount for counted in decision.terms.limits]
    assert found == holds


def test_rules_touch_only_servers_they_could_deny_something_of() -> None:
    decided = rules({"match": "files/x", "enabled": True}, {"match": "prompt:lin*/x", "enabled": False}, {"match": "*"})
    assert not decided.touches("files")
    assert decided.touches("linear")
    assert not Rules(EMPTY).touches("files")


NAMES = st.sampled_from(["a", "b", "ab", "*", "a*", "?", "[a]", "a/b"])
SERVERS = st.sampled_from(["one", "two"])
PATTERNS = st.one_of(
    st.just("*"),
    st.builds(
        lambda k, s, n: f"{k}{s}/{n}", st.sampled_from(["", "prompt:", "resource:"]), SERVERS | st.just("*"), NAMES
    ),
)
WHOM = st.none() | st.fixed_dictionaries(
    {}, optional={"groups": st.just(["g"]), "roles": st.lists(st.sampled_from(["member", "admin"]), min_size=1)}
).filter(bool)
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "match": PATTERNS | st.lists(PATTERNS, min_size=1, max_size=3),
            "enabled": st.none() | st.booleans(),
            "for": WHOM,
        }
    ),
    max_size=6,
)
THINGS = st.builds(Thing, st.sampled_from(KINDS), SERVERS, st.sampled_from(["a", "b", "ab", "[a]", "a/b", "c\n"]))
VISITS = st.builds(
    lambda role, groups: visit(role, groups=groups),
    st.sampled_from(["member", "admin", None]),
    st.sampled_from([(), ("g",)]),
)


@given(RULES, VISITS, st.lists(THINGS))
def test_a_list_keeps_exactly_what_may_be_called(
    given_rules: list[dict[str, object]], visitor: Visit, things: list[Thing]
) -> None:
    decided = rules(*given_rules)
    kept = decided.keep(visitor, things)
    assert kept == [thing for thing in things if isinstance(decided.decide(visitor, thing), Allow)]


@given(RULES, VISITS, THINGS)
def test_a_rule_for_everybody_at_the_end_decides(
    given_rules: list[dict[str, object]], visitor: Visit, thing: Thing
) -> None:
    last = len(given_rules)
    allowed = rules(*given_rules, {"match": "*", "enabled": True}).decide(visitor, thing)
    denied = rules(*given_rules, {"match": "*", "enabled": False}).decide(visitor, thing)
    if visitor.principal.workspaces:
        assert allowed == Allow(last)
        assert isinstance(denied, Deny)
        assert denied.rule == last
    else:
        assert isinstance(allowed, Deny)
        assert isinstance(denied, Deny)


@given(RULES, VISITS, THINGS)
def test_the_order_of_members_and_of_patterns_in_a_rule_changes_nothing(
    given_rules: list[dict[str, object]], visitor: Visit, thing: Thing
) -> None:
    def turned(rule: dict[str, object]) -> dict[str, object]:
        match = rule["match"]
        return {**dict(reversed(rule.items())), "match": match[::-1] if isinstance(match, list) else match}

    assert rules(*given_rules).decide(visitor, thing) == rules(*map(turned, given_rules)).decide(visitor, thing)


@given(RULES, VISITS, THINGS)
def test_an_untouched_server_denies_members_nothing(
    given_rules: list[dict[str, object]], visitor: Visit, thing: Thing
) -> None:
    decided = rules(*given_rules)
    if visitor.principal.workspaces and not decided.touches(thing.server):
        assert isinstance(decided.decide(visitor, thing), Allow)


@given(RULES, VISITS, THINGS)
def test_the_decision_is_that_of_the_last_rule_that_fits(
    given_rules: list[dict[str, object]], visitor: Visit, thing: Thing
) -> None:
    expected: int | None = None
    for index, rule in enumerate(given_rules):
        whom = rule["for"] or {}
        assert isinstance(whom, dict)
        match = [rule["match"]] if isinstance(rule["match"], str) else rule["match"]
        assert isinstance(match, list)
        about = [p for p in map(compile_pattern, match) if thing.kind in p.kinds and p.server(thing.server)]
        mine = visitor.principal.role_in("demo") in whom.get("roles", ["member", "admin"])
        mine = mine and ("groups" not in whom or visitor.principal.groups == ("g",))
        if rule["enabled"] is not None and mine and any(p.name(thing.name) for p in about):
            expected = index
    if visitor.principal.workspaces:
        assert rules(*given_rules).decide(visitor, thing).rule == expected


@pytest.mark.parametrize("kind", ["resource", "template"])
def test_a_uri_too_long_to_be_read_is_denied_unread_where_there_is_a_rule_about_such(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(decide, "readings", lambda uri: (read.append(uri), readings(uri))[1])
    decided = rules({"match": "resource:files/*", "timeout": "5s"})
    longest, longer = (Thing(kind, "files", "x:" + "%25" * 2730 + rest) for rest in ("", "y"))
    assert (len(longest.name), len(longer.name)) == (LONGEST_URI, LONGEST_URI + 1)
    assert isinstance(decided.decide(visit(), longest), Allow)
    assert read == [longest.name]
    assert decided.decide(visit(), longer) == Deny(None, "its URI is longer than 8192 characters")
    assert decided.applying(visit(), longer) == []
    assert decided.decide(visit(), longer._replace(server="other")) == Allow(None)
    assert decided.decide(visit(), Thing("tool", "files", longer.name)) == Allow(None)
    assert read == [longest.name]


def test_a_group_of_one_workspace_counts_in_no_other() -> None:
    closed = rules({"match": "*", "enabled": False}, {"match": "*", "for": {"groups": ["ops"]}, "enabled": True})
    roles: dict[str, Role] = {"demo": "member", "other": "member"}
    for own, allowed in (({"demo": ("ops",)}, True), ({"other": ("ops",)}, False), ({}, False)):
        visitor = Visit(Principal("p1", "Ada", "person", roles, own_groups=own), Endpoint("server", WORKSPACE, "files"))
        assert isinstance(closed.decide(visitor, READ), Allow) is allowed


def test_a_server_is_there_for_whom_it_is_whatever_the_rules_and_their_role_say() -> None:
    files = McpServer("w", "files", "http", access=Access(("p1",), ("ops",)))
    place = Workspace("w", "W", {"files": files}, {})
    decided = rules({"match": "*", "enabled": True})

    def about(who: str, *groups: str, role: Role = "owner") -> Allow | Deny:
        return decided.decide(Visit(Principal(who, "X", "person", {"w": role}, groups), Endpoint("hub", place)), READ)

    assert isinstance(about("p1", role="viewer"), Allow)
    assert isinstance(about("p2", "ops"), Allow)
    denied = about("p2")
    assert isinstance(denied, Deny)
    assert "for certain people and groups" in denied.reason
