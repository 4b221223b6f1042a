import pytest

from portkey_mcp.gateway.pages import MOST_PAGES, pages
from portkey_mcp.wire import Json

pytestmark = pytest.mark.anyio


async def test_pages_follow_their_cursors_even_an_empty_one_and_keep_what_was_asked() -> None:
    following = {None: "", "": "c", "c": None}
    asked: list[Json] = []

    async def ask(params: Json) -> Json:
        asked.append(params)
        cursor = following[params.get("cursor")]
        return {"page": len(asked), **({} if cursor is None else {"nextCursor": cursor})}

    assert [page["page"] async for page in pages(ask, {"_meta": {"k": 1}})] == [1, 2, 3]
    assert asked == [{"_meta": {"k": 1}, **more} for more in ({}, {"cursor": ""}, {"cursor": "c"})]


async def test_a_cursor_that_leads_to_itself_or_is_no_text_ends_the_list() -> None:
    async def circles(params: Json) -> Json:
        return {"nextCursor": "same"}

    async def numbers(params: Json) -> Json:
        return {"nextCursor": 2}

    assert len([page async for page in pages(circles, {})]) == 2
    assert len([page async for page in pages(numbers, {})]) == 1


async def test_a_list_that_never_ends_is_cut_off() -> None:
    async def endless(params: Json) -> Json:
        return {"nextCursor": params.get("cursor", "") + "x"}

    assert len([page async for page in pages(endless, {})]) == MOST_PAGES
