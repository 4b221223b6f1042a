"""Comments and trailing commas are passed over; what stands in strings is not touched."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.registry.jsonc import parse
from portkey_mcp.wire import MalformedJson

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_plain_json_means_what_it_says(value: Any, indent: int | None, ascii_only: bool) -> None:
    assert parse(json.dumps(value, indent=indent, ensure_ascii=ascii_only)) == value


def test_comments_and_trailing_commas_are_passed_over() -> None:
    text = """\ufeff// first
    {"url": "https://x/,}", /* "a": 1, */ "list": [1, 2, // two
    ],
    "quote": "\\"// no comment",
    }"""
    assert parse(text) == {"url": "https://x/,}", "list": [1, 2], "quote": '"// no comment'}


def test_errors_name_the_line_of_the_text() -> None:
    with pytest.raises(MalformedJson, match="line 3 column 9"):
        parse('{ /* one\n two */ "a": 1,\n "b": 2 "c": 3}')


def test_duplicate_names_are_refused() -> None:
    with pytest.raises(MalformedJson, match="duplicate member name 'a'"):
        parse('{"a": 1, "a": 2,}')
