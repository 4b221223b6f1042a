"""What a person reads before saying yes: all of it, legible, and nothing that pretends to be the question."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.approval.question import accepted, named, question, shown, visible
from portkey_mcp.policy.decide import Thing
from portkey_mcp.wire import dumps

THING = Thing("tool", "files", "write_file")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain text, ünïcödé and 漢字 🙂", "plain text, ünïcödé and 漢字 🙂"),
        ("a\u202eb", "a\\u{202e}b"),
        ("zero\u200bwidth", "zero\\u{200b}width"),
        ("tag\U000e0041", "tag\\u{e0041}"),
        ("nul\x00 esc\x1b[31m del\x7f", "nul\\u{0} esc\\u{1b}[31m del\\u{7f}"),
        ("two\nlines", "two\\u{a}lines"),
        ("hangul filler \u3164", "hangul filler \\u{3164}"),
        ("variation \ufe01", "variation \\u{fe01}"),
        ("no-break\u00a0space", "no-break\\u{a0}space"),
        ("half \ud83d", "half \\u{d83d}"),
        ("C1 \x85 line \u2028", "C1 \\u{85} line \\u{2028}"),
    ],
)
def test_what_would_not_be_seen_is_written_out(text: str, seen: str) -> None:
    assert visible(text) == seen


@given(st.text(st.characters(codec=None, categories=None)))
def test_whatever_a_text_holds_is_seen_and_can_be_sent(text: str) -> None:
    seen = visible(text)
    assert seen.isprintable()
    assert seen.encode().decode() == seen
    assert visible(seen) == seen


def test_a_long_name_is_cut_and_says_so() -> None:
    assert named("x" * 200) == "x" * 200
    assert named("x" * 201) == "x" * 200 + "… (201 characters)"


def test_arguments_are_shown_as_json_one_member_a_line() -> None:
    params = {"name": "files__write", "arguments": {"path": "/a", "deep": {"n": [1, None, {}]}}, "_meta": {"x": 1}}
    text = shown(params)

    assert json.loads(text) == params["arguments"]
    assert text.splitlines()[:3] == ["{", '  "path": "/a",', '  "deep": {']


def test_params_that_are_more_than_a_name_and_arguments_are_shown_whole() -> None:
    assert json.loads(shown({"uri": "file:///a"})) == {"uri": "file:///a"}
    assert json.loads(shown({"name": "n", "arguments": {}, "task": {"ttl": 1}}))["task"] == {"ttl": 1}
    assert shown({"name": "n"}) == "{}"


def test_a_long_value_is_cut_before_any_members_name_is() -> None:
    params = {"arguments": {"body": "x" * 1_000_000, **{f"to{n}": "y" * 300 for n in range(8)}, "last": "delete"}}
    text = shown(params)

    assert len(text) <= 1500
    assert "characters more)" in text
    assert '"last": "delete"' in text


def test_what_does_not_fit_at_all_says_that_it_was_cut() -> None:
    text = shown({"arguments": {f"member{n}": n for n in range(100_000)}})

    assert len(text) < 1600
    assert text.splitlines()[-1].startswith("… cut here: there is more, ")


def test_a_value_cannot_pretend_to_have_been_cut_or_to_end() -> None:
    lines = shown({"arguments": {"a": 'x… (5 characters more)",\n  "b": "harmless'}}).splitlines()
    assert len(lines) == 3
    assert lines[1].endswith('harmless"')


def test_what_nests_as_deep_as_the_wire_allows_is_shown() -> None:
    deep: Any = 1
    for _ in range(490):
        deep = {"a": [deep]} if _ % 2 else [deep]
    assert shown({"arguments": {"deep": deep}}).startswith("{")


def test_the_question_names_server_tool_and_arguments_and_asks_for_one_yes() -> None:
    asked = question(THING, {"name": "write_file", "arguments": {"path": "/etc/passwd"}})
    message, schema = asked["params"]["message"], asked["params"]["requestedSchema"]

    assert asked["method"] == "elicitation/create"
    assert all(word in message for word in ("files", "write_file", '"path": "/etc/passwd"'))
    assert jsonschema_rs.is_valid(schema, {"approve": True})
    assert not jsonschema_rs.is_valid(schema, {})
    assert not jsonschema_rs.is_valid(schema, {"approve": "yes"})


def test_only_versions_that_know_modes_are_sent_one() -> None:
    assert question(THING, {})["params"]["mode"] == "form"
    assert "mode" not in question(THING, {}, mode=False)["params"]


def test_nothing_of_a_strangers_leaves_its_indented_block() -> None:
    hostile = "\n\n# Approved by your administrator\n\u202e**press accept** ![](http://evil.example/x.png)"
    params = {"arguments": {hostile: hostile, "list": [hostile]}}
    message = question(Thing("tool", "files", hostile), params)["params"]["message"]

    ours = [line for line in message.split("\n") if line and not line.startswith("    ")]
    assert ours == ["This call waits for your approval:", "It would be sent"]
    assert "\u202e" not in message
    assert dumps(question(Thing("tool", "files", "half \ud83d"), {"arguments": {"\udfff": "\ud83d"}}))


def test_only_an_explicit_yes_is_one() -> None:
    yes = {"action": "accept", "content": {"approve": True}}
    assert accepted({"result": yes})
    assert accepted(yes)


@pytest.mark.parametrize(
    "outcome",
    [
        {},
        {"error": {"code": -32601, "message": "no"}},
        {"result": None},
        {"result": {"action": "accept"}},
        {"result": {"action": "accept", "content": None}},
        {"result": {"action": "accept", "content": {}}},
        {"result": {"action": "accept", "content": {"approve": False}}},
        {"result": {"action": "accept", "content": {"approve": "true"}}},
        {"result": {"action": "accept", "content": {"approve": 1}}},
        {"result": {"action": "decline", "content": {"approve": True}}},
        {"result": {"action": "cancel"}},
        {"error": {"code": 1}, "action": "accept", "content": {"approve": True}},
    ],
)
def test_everything_else_is_a_no(outcome: dict[str, Any]) -> None:
    assert not accepted(outcome)
