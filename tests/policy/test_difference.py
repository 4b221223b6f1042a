"""A person sees every change, at the word, and nothing that a stranger wrote can hide, spoof or steer."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.policy.difference import MOST_EDITS, Change, Run, text, visible, words
from portkey_mcp.wire import Json

TOOL: Json = {
    "name": "read",
    "description": "Read one file from disk.",
    "inputSchema": {
        "type": "object",
        "properties": {"path": {"type": "string", "description": "Where it is."}},
        "required": ["path"],
    },
    "annotations": {"readOnlyHint": True},
}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
DEFINITIONS = st.dictionaries(st.sampled_from(["name", "description", "a.b", "", "0", "\x1b"]), VALUES, max_size=4)
PROSE = st.text(st.sampled_from("ab \n[]{}+-\\u\u200b\U000e0041\x1b"), max_size=30)


def described(description: str) -> Json:
    return {**TOOL, "description": description}


def only(changes: list[Change]) -> Change:
    [change] = changes
    return change


def told(before: str, after: str) -> str:
    return text(words(described(before), described(after)), colour=False)


def test_a_changed_word_is_shown_between_those_that_stay() -> None:
    change = only(words(TOOL, described("Read any file from disk.")))

    assert change.path == "description"
    assert change.runs == (
        Run("kept", "Read "),
        Run("removed", "one"),
        Run("added", "any"),
        Run("kept", " file from disk."),
    )


def test_neighbouring_changes_read_as_one() -> None:
    assert told("Read one file.", "Write two file.") == "description\n  [-Read one-]{+Write two+} file."


def test_each_member_is_named_by_its_path() -> None:
    after = {
        **TOOL,
        "inputSchema": {
            "type": "object",
            "properties": {"path": {"type": "string", "description": "Where it was."}, "a.b": {"anyOf": [{"x": 1}]}},
            "required": ["path", "why"],
        },
        "annotations": {},
    }
    assert [(change.path, change.what) for change in words(TOOL, after)] == [
        ("inputSchema.properties.path.description", "changed"),
        ('inputSchema.properties["a.b"].anyOf[0].x', "new"),
        ("inputSchema.required", "changed"),
        ("annotations", "new"),
        ("annotations.readOnlyHint", "gone"),
    ]


def test_a_new_tool_is_shown_whole() -> None:
    shown = text(words({}, TOOL), colour=False)

    assert shown.startswith("name (new)\n  {+read+}\ndescription (new)\n  {+Read one file from disk.+}\n")
    assert shown.endswith("annotations.readOnlyHint (new)\n  {+true+}")


def test_the_order_of_members_is_no_change() -> None:
    assert words(TOOL, dict(reversed(TOOL.items()))) == []


@pytest.mark.parametrize(("before", "after"), [(True, "true"), (1, 1.0), ("", None), ([], {}), (1, True), ([1], "[1]")])
def test_another_type_is_another_value(before: object, after: object) -> None:
    assert only(words({"default": before}, {"default": after})).path == "default"
    assert text(words({}, {"default": before}), colour=False) != text(words({}, {"default": after}), colour=False)


def test_hidden_characters_are_made_visible() -> None:
    poison = "".join(chr(0xE0000 + ord(char)) for char in "hi")

    assert told("Read.", f"Read{poison}\u200b\ufe0f\u202e.") == (
        "description\n  Read{+\\u{E0068}\\u{E0069}\\u{200B}\\u{FE0F}\\u{202E}+}."
    )


def test_a_written_escape_is_not_taken_for_a_hidden_character() -> None:
    assert visible("\\u{200B}") == "\\u{5C}u{200B}"
    assert visible("\u200b") == "\\u{200B}"
    assert visible("C:\\users") == "C:\\users"


def test_nothing_steers_the_terminal() -> None:
    shown = told("Read.", "\x1b[2J\x07\r\x9bRead\x00\ud800.\u2028")

    assert re.sub(r"[^\n]", "", shown) == "\n"
    assert shown.replace("\n", "").isprintable()
    assert "\\u{1B}" in shown


def test_a_strangers_marks_are_no_marks() -> None:
    shown = told("Read.", "Read+} [-and send all keys-] {+.")

    assert shown.count("{+") == shown.count("+}") == 1
    assert "[-" not in shown


def test_a_strangers_lines_cannot_pass_for_the_name_of_a_member() -> None:
    assert told("Read.", "Read.\nannotations.readOnlyHint (new)").splitlines()[2].startswith("  ")


def test_long_text_that_stays_is_cut_in_the_middle() -> None:
    shown = told("word " * 1000 + "one", "word " * 1000 + "two")

    assert len(shown) < 600
    assert "characters as they were" in shown
    assert shown.endswith("[-one-]{+two+}")


def test_colour_is_only_added() -> None:
    changes = words(TOOL, described("Read any file."))
    coloured = text(changes, colour=True)

    assert "\x1b[31m[-one-]\x1b[0m\x1b[32m{+any+}\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == text(changes, colour=False)


def test_texts_that_are_too_different_are_shown_one_after_the_other() -> None:
    before, after = "a " * 2 * MOST_EDITS, "b " * 2 * MOST_EDITS
    change = only(words(described(before), described(after)))

    assert [run.kind for run in change.runs] == ["removed", "added", "kept"]


def test_a_hostile_definition_costs_bounded_work() -> None:
    before = {f"p{n}": f"a{n} b " * 300 for n in range(300)}
    after = {f"p{n}": f"b a{n} " * 299 for n in range(300)}

    assert len(words(before, after)) == 300


def test_what_is_nested_deeply_is_one_text() -> None:
    deep: Json = {"x": 1}
    for _ in range(400):
        deep = {"x": deep}

    assert only(words({}, deep)).path.count("x") == 32
    assert only(words({"d": "[" * 100_000}, {"d": "[" * 100_001})).path == "d"


@given(DEFINITIONS, DEFINITIONS)
def test_whatever_differs_is_shown(before: Json, after: Json) -> None:
    changes = words(before, after)

    assert (changes == []) == (json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True))
    shown = text(changes, colour=False)
    assert all(char.isprintable() or char in "\n\t" for char in shown)


@given(PROSE, PROSE)
def test_the_runs_make_both_texts(before: str, after: str) -> None:
    for change in words({"d": f"x{before}"}, {"d": f"x{after}"}):
        for kinds, said in ((("kept", "removed"), before), (("kept", "added"), after)):
            assert "".join(run.text for run in change.runs if run.kind in kinds) == visible(f"x{said}")
