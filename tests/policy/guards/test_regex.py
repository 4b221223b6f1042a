"""Expressions of a person's own: linear, and refused with a reason when they are none."""

import sys

import pytest

from portkey_mcp.policy.guards.regex import LONGEST, compile_own


def test_what_is_compiled_searches_like_a_pattern_of_python() -> None:
    found = compile_own(r"TICKET-(\d+)").search("see TICKET-42, please")
    assert (found.start(), found.end(), found[1]) == (4, 13, "42")


def test_places_are_those_of_the_text_and_not_of_its_bytes() -> None:
    assert [found.span() for found in compile_own("x").finditer("é漢😀x😀x")] == [(3, 4), (5, 6)]


def test_an_expression_that_hangs_other_engines_takes_no_time() -> None:
    assert compile_own("(a+)+$").search("a" * 100_000 + "!") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(", "is no RE2 expression: missing \\)"),
        ("(?=a)", "is no RE2 expression: invalid perl operator"),
        (r"(a)\1", "is no RE2 expression: invalid escape sequence"),
        ("a*", "fits an empty text"),
        ("x" * (LONGEST + 1), f"at most {LONGEST} characters"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compile_own(text)


def test_without_re2_there_is_no_expression_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    compile_own.cache_clear()
    with pytest.raises(ValueError, match="need the package google-re2"):
        compile_own("abc")
