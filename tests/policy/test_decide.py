"""Hidden is uncallable, later rules win, and no other spelling opens what is denied."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.model import Endpoint, Principal, Role, Visit, Workspace
from portkey_mcp.policy.decide import Allow, Deny, Rules, Thing
from portkey_mcp.policy.document import EMPTY, parse
from portkey_mcp.policy.match import KINDS, compile_pattern

WORKSPACE = Workspace("demo", "Demo", {}, {})


def visit(
    role: Role | None = "member",
    *,
    who: str = "p1",
    groups: tuple[str, ...] = (),
    client: str = "",
    address: str = "",
) -> Visit:
    roles: dict[str, Role] = {} if role is None else {"demo": role}
    principal = Principal(who, "Somebody", "person", workspaces=roles, groups=groups, client=client)
    return Visit(principal, Endpoint("server", WORKSPACE, "files"), address)


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


DELETE = Thing("tool", "linear", "delete_issue")
CREATE = Thing("tool", "linear", "create_issue")
CONTRACTOR = visit("member", groups=("contractors",))
OFFICE, HOME = visit(address="10.1.2.3"), visit(address="192.168.7.7")
BOT = Visit(Principal("key:1", "ci", "service", {"demo": "member"}), Endpoint("server", WORKSPACE, "files"))
ADA = Visit(
    Principal("person:1", "Ada", "person", {"demo": "member"}, email="ada@example.com"),
    Endpoint("server", WORKSPACE, "files"),
)
CLAUDE = visit(client="https://claude.ai/oauth/claude")

HIDDEN = "hidden"
DAY, HOUR = {"calls": 1000, "per": "day", "each": "user"}, {"calls": 20, "per": "hour", "each": "user"}

# Each line: what it shows, the rules, who asks, about what, and what then holds: HIDDEN, or the terms that are set.
SEMANTICS: list[tuple[str, list[dict[str, Any]], Visit, Thing, object]] = [
    # match
    ("without a rule everything is free", [], visit(), DELETE, {}),
    ("* is about everything", [{"match": "*", "enabled": False}], visit(), DELETE, HIDDEN),
    ("a pattern is about one server", [{"match": "files/*", "enabled": False}], visit(), DELETE, {}),
    ("? is any one character", [{"match": "linear/delete?issue", "enabled": False}], visit(), DELETE, HIDDEN),
    ("case counts", [{"match": "linear/Delete_*", "enabled": False}], visit(), DELETE, {}),
    (
        "any of several patterns is enough",
        [{"match": ["a/b", "linear/delete_*"], "enabled": False}],
        visit(),
        DELETE,
        HIDDEN,
    ),
    ("prompts are no tools", [{"match": "prompt:linear/*", "enabled": False}], visit(), DELETE, {}),
    ("a tool that is named so", [{"match": "tool:linear/*", "enabled": False}], visit(), DELETE, HIDDEN),
    # order and override
    (
        "a later rule overrides",
        [{"match": "*", "enabled": False}, {"match": "linear/*", "enabled": True}],
        visit(),
        DELETE,
        {},
    ),
    (
        "an earlier one does not",
        [{"match": "linear/*", "enabled": True}, {"match": "*", "enabled": False}],
        visit(),
        DELETE,
        HIDDEN,
    ),
    (
        "member by member",
        [{"match": "*", "timeout": "60s", "max_arguments": "1KB"}, {"match": "linear/*", "timeout": "5s"}],
        visit(),
        DELETE,
        {"timeout": 5.0, "max_arguments": 1000},
    ),
    (
        "what a rule does not say stays as it was",
        [{"match": "*", "require_approval": True}, {"match": "linear/*", "timeout": "5s"}],
        visit(),
        DELETE,
        {"require_approval": True, "timeout": 5.0},
    ),
    (
        "what is switched on can be switched off",
        [
            {"match": "*", "require_approval": True, "redact": ["email"]},
            {"match": "linear/*", "require_approval": False, "redact": []},
        ],
        visit(),
        DELETE,
        {"require_approval": False, "redact": ()},
    ),
    # accumulation
    (
        "limits add up",
        [{"match": "*", "limits": [DAY]}, {"match": "linear/*", "limits": [HOUR]}],
        visit(),
        DELETE,
        {"limits": [1000, 20]},
    ),
    (
        "an empty list takes none away",
        [{"match": "*", "limits": [DAY]}, {"match": "linear/*", "limits": []}],
        visit(),
        DELETE,
        {"limits": [1000]},
    ),
    (
        "of a hidden tool nothing is left",
        [{"match": "*", "limits": [DAY]}, {"match": "linear/delete_*", "enabled": False}],
        visit(),
        DELETE,
        HIDDEN,
    ),
    # for
    ("for a role", [{"match": "*", "for": {"roles": ["viewer"]}, "enabled": False}], visit("viewer"), DELETE, HIDDEN),
    (
        "for others it says nothing",
        [{"match": "*", "for": {"roles": ["viewer"]}, "enabled": False}],
        visit(),
        DELETE,
        {},
    ),
    (
        "for a group",
        [{"match": "*", "for": {"groups": ["contractors"]}, "limits": [HOUR]}],
        CONTRACTOR,
        CREATE,
        {"limits": [20]},
    ),
    (
        "all members of `for` must fit",
        [{"match": "*", "for": {"roles": ["admin"], "groups": ["contractors"]}, "enabled": False}],
        CONTRACTOR,
        CREATE,
        {},
    ),
    ("for a person", [{"match": "*", "for": {"people": ["p1"]}, "enabled": False}], visit(), CREATE, HIDDEN),
    (
        "for a person by the e-mail address",
        [{"match": "*", "for": {"people": ["Ada@Example.com"]}, "enabled": False}],
        ADA,
        CREATE,
        HIDDEN,
    ),
    (
        "by a name alone nobody is",
        [{"match": "*", "for": {"people": ["Somebody"]}, "enabled": False}],
        visit(),
        CREATE,
        {},
    ),
    (
        "for an API key by its name",
        [{"match": "*", "for": {"service_accounts": ["ci"]}, "enabled": False}],
        BOT,
        CREATE,
        HIDDEN,
    ),
    (
        "a person called like a key is none",
        [{"match": "*", "for": {"service_accounts": ["Somebody"]}, "enabled": False}],
        visit(),
        CREATE,
        {},
    ),
    (
        "for a client",
        [{"match": "*", "for": {"clients": ["https://claude.ai/oauth/claude"]}, "enabled": False}],
        CLAUDE,
        CREATE,
        HIDDEN,
    ),
    (
        "who has no client is no client",
        [{"match": "*", "for": {"clients": ["https://claude.ai/oauth/claude"]}, "enabled": False}],
        visit(),
        CREATE,
        {},
    ),
    (
        "from a network",
        [{"match": "*", "enabled": False}, {"match": "*", "for": {"networks": ["10.0.0.0/8"]}, "enabled": True}],
        OFFICE,
        CREATE,
        {},
    ),
    (
        "from elsewhere",
        [{"match": "*", "enabled": False}, {"match": "*", "for": {"networks": ["10.0.0.0/8"]}, "enabled": True}],
        HOME,
        CREATE,
        HIDDEN,
    ),
    (
        "from nobody knows where",
        [{"match": "*", "enabled": False}, {"match": "*", "for": {"networks": ["10.0.0.0/8"]}, "enabled": True}],
        visit(),
        CREATE,
        HIDDEN,
    ),
]


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


def test_a_group_of_one_workspace_counts_in_no_other() -> None:
    closed = rules({"match": "*", "enabled": False}, {"match": "*", "for": {"groups": ["ops"]}, "enabled": True})
    roles: dict[str, Role] = {"demo": "member", "other": "member"}
    for own, allowed in (({"demo": ("ops",)}, True), ({"other": ("ops",)}, False), ({}, False)):
        visitor = Visit(Principal("p1", "Ada", "person", roles, own_groups=own), Endpoint("server", WORKSPACE, "files"))
        assert isinstance(closed.decide(visitor, READ), Allow) is allowed
