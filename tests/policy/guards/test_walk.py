"""Strings inside JSON are changed, and everything else is what it was."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.policy.guards.walk import changed, is_payload, replaced
from portkey_mcp.wire import DEEPEST

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
IMAGE = {"type": "image", "mimeType": "image/png", "data": "aGVsbG8="}


@given(JSON)
def test_what_does_not_change_is_the_same_object(value: Any) -> None:
    assert changed(value, lambda text: text, keys=True) is value


def said(value: Any, *, message: bool) -> list[str]:
    """The texts that `replaced` hands on, in this order."""
    seen: list[str] = []
    replaced(value, lambda text: (seen.append(text), text)[1], message=message)  # type: ignore[func-returns-value]
    return seen


def strings(value: Any) -> list[str]:
    """Every string in a value but names."""
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inside for text in strings(one)]


@given(JSON)
def test_every_string_is_seen_once_and_the_value_is_not_touched(value: Any) -> None:
    before = repr(value)
    seen: list[str] = []
    made = changed(value, lambda text: (seen.append(text), text + "!")[1])  # type: ignore[func-returns-value]
    assert seen == strings(value)
    assert strings(made) == [text + "!" for text in seen]
    assert repr(value) == before


@given(JSON, st.booleans())
def test_all_that_was_said_is_replaced_in_one_order(value: Any, message: bool) -> None:
    before = repr(value)
    assert replaced(value, lambda text: text, message=message) is value
    seen: list[str] = []
    replaced(value, lambda text: (seen.append(text), "!")[1], message=message)  # type: ignore[func-returns-value]
    assert seen == said(value, message=message)
    assert not Counter(strings(value)) - Counter(seen) or message
    assert repr(value) == before


def test_whole_numbers_are_read_as_they_are_written_and_stay_numbers() -> None:
    value = {
        "a": [1, -20, 3.0, 2.5, True, None, 10**50],
        "phone": 491701234567,
        "b": {"mobile_no": [149170123, "x"]},
        "tel": -1,
    }
    assert said(value, message=False) == ["1", "-20", "3", "+491701234567", "+149170123", "x", "-1"]
    assert replaced(value, lambda text: text, message=False) is value
    made = replaced(value, lambda text: "gone" if text in ("3", "+149170123") else text, message=False)
    assert made == {**value, "a": [1, -20, "gone", 2.5, True, None, 10**50], "b": {"mobile_no": ["gone", "x"]}}


def test_names_are_read_in_messages_but_those_that_mcp_gives() -> None:
    message = {
        "content": [{"type": "text", "text": "t", "own": 1, "size": 7}],
        "structuredContent": {"size": 8, "x": 9},
    }
    assert said(message, message=True) == ["text", "t", "1", "own", "8", "9", "size", "x"]
    assert said(message, message=False) == ["text", "t", "1", "7", "8", "9"]
    assert said({"_meta": {"text": "t"}}, message=True) == ["t", "text"]


def test_of_names_that_become_alike_none_is_lost() -> None:
    value = {"structuredContent": {"x": 1, "a": 2, "b": 3, "c": 4, "x (2)": 5}}
    made = replaced(value, lambda text: "x" if text in "abc" else text, message=True)["structuredContent"]
    assert made == {"x": 1, "x (3)": 2, "x (4)": 3, "x (5)": 4, "x (2)": 5}


def test_only_the_way_to_what_changed_is_made_anew() -> None:
    value = {"kept": {"a": ["x"]}, "list": [{"b": "x"}, {"c": "change"}]}
    made = changed(value, lambda text: "changed" if text == "change" else text)
    assert made == {"kept": {"a": ["x"]}, "list": [{"b": "x"}, {"c": "changed"}]}
    assert made["kept"] is value["kept"]
    assert made["list"][0] is value["list"][0]


def test_names_of_members_change_only_when_asked_for() -> None:
    assert changed({"a": 1}, str.upper) == {"a": 1}
    assert changed([{"a": "x"}], str.upper, keys=True) == [{"A": "X"}]


@pytest.mark.parametrize("value", [{"a ": 1, "a": 2}, {"a": 2, "a ": 1}])
def test_of_two_names_that_become_alike_the_right_one_stays(value: dict[str, int]) -> None:
    assert changed(value, str.strip, keys=True) == {"a": 2}


def test_of_two_wrong_names_that_become_alike_the_first_stays() -> None:
    assert changed({"a ": 1, " a": 2}, str.strip, keys=True) == {"a": 1}


@pytest.mark.parametrize(
    ("block", "name", "payload"),
    [
        (IMAGE, "data", True),
        ({**IMAGE, "type": "audio"}, "data", True),
        ({"uri": "x", "mimeType": "a/b", "blob": "AA\r\nAA=="}, "blob", True),
        ({"uri": "x", "blob": "AAAA"}, "blob", True),
        ({"data": "aGVsbG8="}, "data", False),
        ({"mimeType": "a/b", "data": "aGVsbG8="}, "data", False),
        ({"mimeType": "a/b", "blob": "aGVsbG8="}, "blob", False),
        ({**IMAGE, "type": "text"}, "data", False),
        ({**IMAGE, "type": ["image"]}, "data", False),
        (IMAGE, "mimeType", False),
        ({**IMAGE, "data": "ghp_no_base64"}, "data", False),
        ({**IMAGE, "data": "eyJh.eyJh.AAAA"}, "data", False),
        ({**IMAGE, "data": {"text": "x"}}, "data", False),
        ({**IMAGE, "data": "two words"}, "data", False),
    ],
)
def test_a_payload_is_base64_where_mcp_puts_it(block: dict[str, Any], name: str, payload: bool) -> None:
    assert is_payload(block, name) is payload
    untouched = replaced({"content": [block]}, lambda text: text + "!", message=True)["content"][0]
    assert (untouched[name] == block[name]) is payload or not isinstance(block[name], str)


@pytest.mark.parametrize("name", ["structuredContent", "_meta"])
def test_nothing_is_a_payload_where_a_server_says_what_it_likes_nor_in_arguments(name: str) -> None:
    assert IMAGE["data"] in said({name: {"content": [IMAGE]}}, message=True)
    assert IMAGE["data"] in said({"content": [IMAGE]}, message=False)


def test_all_levels_that_are_read_can_be_walked_from_deep_in_a_program() -> None:
    value: Any = "x"
    for level in range(DEEPEST):
        value = {"a": value} if level % 2 else [value]

    def below(frames: int) -> Any:
        return below(frames - 1) if frames else [changed(value, str.upper), replaced(value, str.upper, message=True)]

    assert [text for one in below(300) for text in said(one, message=False)] == ["X", "X"]
