from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import InvalidRequest
from portkey_mcp.gateway.merged import PAGE, STALE_META, greeting, list_result, page_of
from portkey_mcp.gateway.visible import LISTINGS
from portkey_mcp.wire import Json

TOOLS = LISTINGS["tools/list"]


def things(*names: str) -> list[Json]:
    return [{"name": name} for name in names]


def all_pages(found: list[Json]) -> list[Json]:
    given_out, cursor = page_of(found, TOOLS, None)
    pages = 1
    while cursor is not None:
        page, cursor = page_of(found, TOOLS, cursor)
        given_out += page
        pages += 1
        assert pages <= len(found) // PAGE + 1
    return given_out


def test_a_list_that_fits_is_one_page_without_a_cursor() -> None:
    assert page_of(things("a", "b"), TOOLS, None) == (things("a", "b"), None)
    assert page_of(things(*map(str, range(PAGE))), TOOLS, None)[1] is None


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 1])
def test_pages_give_everything_once_and_in_order(count: int) -> None:
    found = things(*map(str, range(count)))

    assert all_pages(found) == found


@given(st.lists(st.sampled_from("abc"), min_size=PAGE - 2, max_size=2 * PAGE + 2))
def test_paging_ends_even_where_a_server_lists_a_name_twice(names: list[str]) -> None:
    assert all_pages(things(*names)) == things(*names)


def test_a_cursor_outlives_things_that_come_and_go_elsewhere() -> None:
    names = [f"{number:04}" for number in range(PAGE + 10)]
    _, cursor = page_of(things(*names), TOOLS, None)
    page, _ = page_of(things("0000-new", *names[50:]), TOOLS, cursor)

    assert page == things(*names[PAGE:])


def test_a_cursor_whose_thing_is_gone_is_refused() -> None:
    names = [f"{number:04}" for number in range(PAGE + 10)]
    _, cursor = page_of(things(*names), TOOLS, None)

    with pytest.raises(InvalidRequest) as caught:
        page_of(things(*names[PAGE:]), TOOLS, cursor)
    assert caught.value.code == -32602


@given(st.text() | st.integers() | st.none() | st.lists(st.integers(), max_size=2))
def test_no_cursor_that_a_client_makes_up_does_worse_than_an_invalid_request(cursor: Any) -> None:
    if cursor is not None:
        with pytest.raises(InvalidRequest) as caught:
            page_of(things("a"), TOOLS, cursor)
        assert caught.value.code == -32602


@pytest.mark.parametrize("text", ["W10=", "WzFd", "e30=", "MQ==", "WyJhIiwxZTQwMF0=", "WyJhIiwiYiJd", "WyJhIiwwXQ=="])
def test_a_cursor_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        page_of(things("a"), TOOLS, text)


def test_a_modern_list_is_private() -> None:
    result = list_result("modern", "tools", things("a"), "next", [])

    assert result == {
        "resultType": "complete",
        "tools": things("a"),
        "nextCursor": "next",
        "cacheScope": "private",
    }


def test_a_stale_list_says_so() -> None:
    assert list_result("modern", "tools", [], None, ["files"])["_meta"] == {STALE_META: ["files"]}


def test_a_legacy_list_has_no_modern_members() -> None:
    assert list_result("legacy", "tools", things("a"), None, []) == {"tools": things("a")}


def test_a_legacy_greeting_speaks_the_clients_version_and_joins_instructions() -> None:
    hellos: list[tuple[str, Json]] = [("a", {"instructions": "Be kind."}), ("b", {}), ("c", {"instructions": "Hurry."})]
    hello = greeting("Team", "legacy", "2025-06-18", hellos)

    assert hello["protocolVersion"] == "2025-06-18"
    assert hello["serverInfo"]["title"] == "Team"
    assert hello["instructions"] == "# a\nBe kind.\n\n# c\nHurry."
    assert greeting("Team", "legacy", "1999-01-01", [])["protocolVersion"] == "2025-11-25"


def test_a_modern_greeting_offers_tasks_only_where_a_server_has_them() -> None:
    tasks: Json = {"capabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}}

    assert "extensions" not in greeting("T", "modern", "", [("a", {"capabilities": {}})])["capabilities"]
    assert "extensions" in greeting("T", "modern", "", [("a", tasks)])["capabilities"]
    assert greeting("T", "modern", "", [])["cacheScope"] == "private"
