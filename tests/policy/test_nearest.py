"""A slip is recognised, a wildcard is kept, and what is like nothing is like nothing."""

import pytest

from portkey_mcp.policy.nearest import nearest_name, nearest_pattern

NAMES = ["delete_issue", "delete_comment", "list_issues", "getTeam"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("delete_isue", "delete_issue"), ("Delete_Issue", "delete_issue"), ("get_team", "getTeam"), ("zzz", None)],
)
def test_the_nearest_name_is_found_whatever_its_case(name: str, nearest: str | None) -> None:
    assert nearest_name(name, NAMES) == nearest


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [
        ("delte_*", "delete_*"),
        ("*_isue", "*_issue"),
        ("Delete*", "delete*"),
        ("delete-*", "delete_*"),
        ("delete_?ssues", "delete_issue"),
        ("delete_isue", "delete_issue"),
        ("zzz*", None),
    ],
)
def test_a_pattern_keeps_its_wildcards_where_that_fits(pattern: str, nearest: str | None) -> None:
    assert nearest_pattern(pattern, NAMES) == nearest


def test_of_no_names_none_is_near() -> None:
    assert nearest_name("a", []) is None
    assert nearest_pattern("a*", []) is None
