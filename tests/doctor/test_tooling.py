"""Tools, and whether clients can use them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.doctor.tooling import LONGEST_NAME, MOST_TOOLS, judged


@pytest.mark.parametrize(
    ("names", "verdict", "what"),
    [
        (["a"], "good", "1 tool"),
        (["a", "b"], "good", "2 tools"),
        ([], "doubtful", "the list of tools is empty"),
        (["x" * LONGEST_NAME], "good", "1 tool"),
        (["x" * (LONGEST_NAME + 1)], "bad", "1 have names over 64 characters"),
        (["a.b", "ü"], "doubtful", "2 have names with other characters"),
        ([3], "doubtful", "(none)"),
        (["a", "b", "a"], "bad", "names that occur twice: a"),
        ([f"t{n}" for n in range(MOST_TOOLS + 1)], "doubtful", "more than 128 tools"),
    ],
)
def test_a_list_of_tools_is_judged(names: list[Any], verdict: str, what: str) -> None:
    findings = list(judged([{"name": name} for name in names], 0.1))

    assert any(f.verdict == verdict and what in f.what for f in findings), findings


def test_good_names_give_nothing_to_mend() -> None:
    assert [f.verdict for f in judged([{"name": "x" * LONGEST_NAME}, {"name": "a-b_C"}], 0.1)] == ["good"]


@given(st.lists(st.dictionaries(st.just("name"), st.text() | st.none() | st.integers())))
def test_whatever_tools_are_called_they_are_judged(tools: list[dict[str, Any]]) -> None:
    assert list(judged(tools, 0.0))
