"""All pages of one upstream list, one after the other."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from portkey_mcp.wire import Json

MOST_PAGES: Final = 100
"""A list that never ends is cut off here."""

ListPage = Callable[[Json], Awaitable[Json]]
"""Sends one list request with these params and returns the raw result."""


async def pages(ask: ListPage, params: Json) -> AsyncIterator[Json]:
    """Each page's raw result. Ends at the last page, at a cursor that leads nowhere, or after `MOST_PAGES`.

    An empty cursor is one like any other (2025-11-25 server/utilities/pagination). Raises what asking raises.
    """
    for _ in range(MOST_PAGES):
        page = await ask(params)
        yield page
        cursor = page.get("nextCursor")
        if not isinstance(cursor, str) or cursor == params.get("cursor"):
            return
        params = {**params, "cursor": cursor}
