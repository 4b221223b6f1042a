"""A program flips one switch in a document that a person wrote, and the person finds all else as it was."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import Mistake, Mistakes
from portkey_mcp.registry.document import parse_policy
from portkey_mcp.registry.policy_text import HEADER, set_member

TEAM = """\
# yaml-language-server: $schema=policy.schema.json
version: 1            # the only one there is

rules:
  # Everybody, everywhere.
  - match: "*"
    timeout:   60s
    max_result: 150KB
    limits: [ {calls: 1000, per: day, each: user} ]  \N{SPACE}

  - match: "linear/delete_*"   # ask ops first
    enabled: false
  - match: 'files/write_file'
    for: {roles: [member], groups: [contractors]}
    enabled: no      # until March

  #- match: "old/*"
  #  enabled: false
  - {match: github/create_*, require_approval: true, when: "args.repo.startsWith('acme/')"}
  - match:
      - mail/*
      - "prompt:mail/*"
    describe: |
      Reads mail.

      Slowly.
    limits:
      # two at a time
      - concurrent: 2
        each: [user,
               tool]
servers:
  linear: {new_tools: review, pin: true}   # changed definitions wait
"""

FLUSH = """\
rules:
- match: files/*
  redact: [email, secrets]
-   match:   "files/read"
    enabled: true
time_zone: Europe/Berlin
"""

FLOW = """\
{ version: 1, rules: [
    {match: "a/*", enabled: true},   # first
    { match: "b/*" , limits: [{calls: 5, per: hour}] }
  ] }
"""

AS_JSON = '{\n  "version": 1,\n  "rules": [\n    {"match": "a/*", "enabled": true}\n  ]\n}\n'

DOCUMENTS = (TEAM, FLUSH, FLOW, AS_JSON, TEAM.replace("\n", "\r\n"), FLUSH.rstrip("\n"))

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "enabled": st.booleans(),
    "require_approval": st.booleans(),
    "timeout": st.sampled_from(["1s", "5m"]),
    "describe": st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
    | st.just("two\nlines: #x"),
    "when": st.sampled_from(['args.a[0] == "x, {y}"', "true", "principal.name != '#'"]),
    "limits": st.just([{"calls": 5, "per": "day", "each": ["user", "tool"]}, {"concurrent": 1}]),
    "arguments": st.just({"a: b": {"value": None}, "#": {"hidden": True}}),
}


def matches(text: str) -> list[tuple[str, Any]]:
    rules = yaml.safe_load(text)["rules"]
    return [(rule["match"], rule.get("for")) for rule in rules if isinstance(rule["match"], str)]


def lost(before: str, after: str) -> int:
    """How many lines of the one are not in the other any more, in their order."""
    remaining, missing = after.split("\n"), 0
    for line in before.split("\n"):
        if line in remaining:
            del remaining[: remaining.index(line) + 1]
        else:
            missing += 1
    return missing


@given(st.data())
def test_one_member_is_set_and_every_other_line_stays(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(DOCUMENTS))
    match, for_ = data.draw(st.sampled_from([*matches(text), ("new/tool", None), ("*", {"roles": ["viewer"]})]))
    member = data.draw(st.sampled_from(sorted(VALUES)))
    value = data.draw(VALUES[member])
    changed = set_member(text, match, member, value, for_)

    before, after = parse_policy(text, "f")[1], parse_policy(changed, "f")[1]
    assert {**after, "rules": 0} == {**before, "rules": 0}
    found = [rule for rule in after["rules"] if (rule["match"], rule.get("for")) == (match, for_)]
    assert found[-1][member] == value
    assert [rule for rule in before["rules"] if rule not in after["rules"]][1:] == []
    was_there = any(member in rule for rule in before["rules"])
    assert lost(text, changed) <= (5 if was_there and member in ("limits", "describe") else 1)
    assert set_member(changed, match, member, value, for_) == changed


@given(st.data())
def test_what_was_added_can_be_taken_out_again_without_a_trace(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([TEAM, FLUSH, FLOW, TEAM.replace("\n", "\r\n"), FLUSH.rstrip("\n")]))
    match, for_ = data.draw(st.sampled_from([*matches(text), ("new/tool", {"roles": ["viewer"]})]))
    added = set_member(text, match, "hidden_text", "remove", for_)

    assert added != text
    assert set_member(added, match, "hidden_text", None, for_) == text


@pytest.mark.parametrize("text", DOCUMENTS)
def test_flipping_one_switch_changes_one_line(text: str) -> None:
    match = next(rule["match"] for rule in yaml.safe_load(text)["rules"] if "enabled" in rule and "for" not in rule)
    changed = set_member(text, match, "enabled", not dict(_enabled(text))[match])
    pairs = list(zip(text.splitlines(keepends=True), changed.splitlines(keepends=True), strict=True))

    assert len([1 for before, after in pairs if before != after]) == 1


def _enabled(text: str) -> list[tuple[str, bool]]:
    return [(rule["match"], rule["enabled"]) for rule in yaml.safe_load(text)["rules"] if "enabled" in rule]


def test_a_rule_that_a_later_one_would_override_is_followed_by_a_new_one() -> None:
    text = "rules:\n  - match: files/read\n    enabled: false\n  - match: files/*\n    enabled: false\n"
    changed = set_member(text, "files/read", "enabled", True)

    assert changed == text + '  - match: "files/read"\n    enabled: true\n'
    assert set_member(changed, "files/read", "enabled", False).endswith('"files/read"\n    enabled: false\n')


def test_a_rule_for_other_roles_or_things_overrides_nothing() -> None:
    text = "rules:\n  - match: a/*\n    for: {roles: [viewer]}\n    enabled: false\n"
    for other in ("b/*", "a/*\n    for: {roles: [member]}"):
        document = f"{text}  - match: {other}\n    enabled: false\n"
        assert set_member(document, "a/*", "enabled", True, {"roles": ["viewer"]}) == document.replace(
            "enabled: false", "enabled: true", 1
        )


def test_a_list_of_one_pattern_is_that_pattern_and_the_order_of_roles_is_nothing() -> None:
    text = "rules:\n  - match: [a/b]\n    for: {roles: [viewer, member]}\n    enabled: false\n"

    assert set_member(text, "a/b", "enabled", True, {"roles": ["member", "viewer"]}) == text.replace("false", "true")


def test_nothing_at_all_becomes_a_small_document() -> None:
    assert set_member("", "a/b", "enabled", False, {"roles": ["viewer"]}) == (
        HEADER + 'version: 1\nrules:\n  - match: "a/b"\n    for: {roles: [viewer]}\n    enabled: false\n'
    )
    assert set_member("# mine\n", "a/b", "cost", 5).startswith("# mine\nversion: 1\n")


def test_a_rule_left_with_nothing_to_say_goes() -> None:
    assert "linear/delete" not in set_member(TEAM, "linear/delete_*", "enabled", None)
    whom = {"roles": ["member"], "groups": ["contractors"]}
    assert "write_file" not in set_member(TEAM, "files/write_file", "enabled", None, whom)
    assert set_member(TEAM, "files/write_file", "enabled", None) == TEAM
    assert set_member("rules:\n  - match: a/b\n    cost: 5\n", "a/b", "cost", None) == "rules: []\n"


def test_anchors_and_merged_keys_are_left_alone() -> None:
    text = "rules:\n  - &slow\n    match: a/b\n    timeout: 5m\n  - <<: *slow\n    match: c/d\n"
    changed = set_member(text, "a/b", "timeout", "1s")

    assert changed == text + '  - match: "a/b"\n    timeout: 1s\n'
    assert parse_policy(changed, "f")[0].rules[1].timeout == 300
    merged = set_member(text, "c/d", "timeout", "1s")
    assert merged == text + "    timeout: 1s\n"


def test_what_no_program_can_change_is_a_persons_to_edit() -> None:
    ends_in_blank_lines = "rules:\n  - match: a/b\n    describe: |+\n      x\n\n"
    with pytest.raises(Mistake, match="edit it yourself"):
        set_member(ends_in_blank_lines, "c/d", "enabled", False)


def test_what_is_no_policy_is_not_changed() -> None:
    with pytest.raises(Mistakes, match="enabeld"):
        set_member("rules: [{match: a/b, enabeld: true}]", "a/b", "enabled", False)
