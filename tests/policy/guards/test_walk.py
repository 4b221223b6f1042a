"""Strings inside JSON are changed, and everything else is what it was."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.policy.guards.walk import changed, is_payload, strings
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


@given(JSON)
def test_every_string_is_seen_once_and_the_value_is_not_touched(value: Any) -> None:
    before = repr(value)
    seen: list[str] = []
    made = changed(value, lambda text: (seen.append(text), text + "!")[1])
    assert sorted(seen) == sorted(strings(value))
    assert sorted(strings(made)) == sorted(text + "!" for text in seen)
    assert repr(value) == before


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
        ({"uri": "x", "mimeType": "a/b", "blob": "AA\r\nAA=="}, "blob", True),
        ({"data": "aGVsbG8="}, "data", False),
        (IMAGE, "mimeType", False),
        ({**IMAGE, "data": "ghp_no_base64"}, "data", False),
        ({**IMAGE, "data": "eyJh.eyJh.AAAA"}, "data", False),
        ({**IMAGE, "data": {"text": "x"}}, "data", False),
        ({**IMAGE, "data": "two words"}, "data", False),
    ],
)
def test_a_payload_is_base64_next_to_its_type(block: dict[str, Any], name: str, payload: bool) -> None:
    assert is_payload(block, name) is payload
    untouched = changed(block, lambda text: text + "!", payloads=False)
    assert (untouched[name] == block[name]) is payload or not isinstance(block[name], str)


def test_all_levels_that_are_read_can_be_walked_from_deep_in_a_program() -> None:
    value: Any = "x"
    for level in range(DEEPEST):
        value = {"a": value} if level % 2 else [value]

    def below(frames: int) -> Any:
        return below(frames - 1) if frames else changed(value, lambda text: text + "!", keys=False)

    assert strings(below(300)) == ["x!"]
