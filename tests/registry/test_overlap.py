"""Rules that could be about the same are never taken for apart."""

import fnmatch
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portkey_mcp.policy.match import glob
from portkey_mcp.registry.overlap import globs_overlap, may_overlap, patterns_overlap

GLOB = st.text("ab*?", max_size=6)
TEXT = st.text("ab", max_size=6)


@given(GLOB, GLOB, TEXT)
@example("a*", "*b", "ab")
def test_a_text_that_fits_both_globs_shows_that_they_overlap(one: str, other: str, text: str) -> None:
    if glob(one)(text) and glob(other)(text):
        assert globs_overlap(one, other)


@given(st.text("ab", max_size=6), GLOB)
def test_a_glob_without_wildcards_overlaps_what_it_fits(text: str, other: str) -> None:
    assert globs_overlap(text, other) == fnmatch.fnmatchcase(text, other) == globs_overlap(other, text)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("*", "files/read", True),
        ("files/*", "files/read_*", True),
        ("files/read_*", "files/write_*", False),
        ("files/read", "mail/read", False),
        ("f*/read", "*s/re?d", True),
        ("files/read", "prompt:files/read", False),
        ("prompt:*", "prompt:files/read", True),
        ("tool:files/a", "files/a", True),
        ("resource:files/file:///a", "template:files/file:///b", True),
        ("resource:files/file:///a", "resource:mail/file:///a", False),
    ],
)
def test_patterns(one: str, other: str, said: bool) -> None:
    assert patterns_overlap(one, other) is patterns_overlap(other, one) is said


@pytest.mark.parametrize(
    ("whom", "other", "said"),
    [
        (None, {"roles": ["viewer"]}, True),
        ({"roles": ["member"]}, {"roles": ["viewer"]}, False),
        ({"roles": ["member", "viewer"]}, {"roles": ["viewer"]}, True),
        ({"groups": ["a"]}, {"groups": ["b"]}, True),
        ({"groups": ["a"]}, {"roles": ["viewer"]}, True),
    ],
)
def test_a_visitor_has_one_role_and_may_have_many_groups(whom: Any, other: Any, said: bool) -> None:
    assert may_overlap({"match": "a/b", "for": whom}, {"match": ["c/d", "a/*"], "for": other}) is said
