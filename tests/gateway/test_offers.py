"""Definitions are known before a call, remember what was sent, and are asked for again when that may have changed."""

import pytest

from portkey_mcp.errors import UpstreamDown
from portkey_mcp.gateway import offers as module
from portkey_mcp.gateway.freshness import Freshness
from portkey_mcp.gateway.offers import Defined, Offers, by_name, defined, digest_in
from portkey_mcp.registry.definitions import digest_of
from portkey_mcp.wire import Json, Raw
from tests.gateway.memory_link import MemoryLink, error

pytestmark = pytest.mark.anyio

READ: Json = {"name": "read", "description": "Reads."}


class Listed:
    """A server's list, and how often it was asked for."""

    def __init__(self, *pages: Json) -> None:
        self.pages, self.asked = list(pages), 0

    async def __call__(self, params: Json) -> Json:
        self.asked += 1
        return self.pages[int(params.get("cursor", 0))]


async def test_a_tool_is_looked_up_once_for_each_link() -> None:
    offers, link, listed = Offers(), MemoryLink(), Listed({"tools": [READ]})
    for _ in range(3):
        assert await offers.tool(link, "read", listed, Freshness()) == READ
    assert listed.asked == 1
    await offers.tool(MemoryLink(), "read", listed, Freshness())
    assert listed.asked == 2


async def test_all_pages_are_read() -> None:
    listed = Listed({"tools": [READ], "nextCursor": "1"}, {"tools": [{"name": "write"}]})
    assert await Offers().tool(MemoryLink(), "write", listed, Freshness()) == {"name": "write"}


async def test_a_server_that_says_that_its_tools_changed_is_asked_again() -> None:
    offers, link, listed, freshness = Offers(), MemoryLink(), Listed({"tools": [READ]}), Freshness()
    await offers.tool(link, "read", listed, freshness)
    freshness.changed(link.server.key, "ada")
    await offers.tool(link, "read", listed, freshness)
    assert listed.asked == 1
    freshness.changed(link.server.key)
    listed.pages = [{"tools": [{**READ, "description": "Poison."}]}]
    assert await offers.tool(link, "read", listed, freshness) == {"name": "read", "description": "Poison."}


async def test_a_tool_that_is_not_there_is_looked_for_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    offers, link, listed = Offers(), MemoryLink(), Listed({"tools": [READ]})
    assert await offers.tool(link, "write", listed, Freshness()) is None
    assert await offers.tool(link, "write", listed, Freshness()) is None
    assert listed.asked == 1
    monkeypatch.setattr(module, "REFRESH_AFTER", 0.0)
    assert await offers.tool(link, "write", listed, Freshness()) is None
    assert listed.asked == 2


async def test_a_server_that_refuses_to_list_offers_nothing_and_one_that_is_down_says_nothing() -> None:
    async def refuses(params: Json) -> Json:
        raise error(-32601)

    async def down(params: Json) -> Json:
        raise UpstreamDown("alpha", "gone")

    assert await Offers().tool(MemoryLink(), "read", refuses, Freshness()) is None
    with pytest.raises(UpstreamDown):
        await Offers().tool(MemoryLink(), "read", down, Freshness())


def test_a_definition_remembers_what_was_sent_whatever_is_made_of_it() -> None:
    page = Raw({"tools": [READ, "odd"], "x": 1}, b'{"tools":[{"name":"read","description":"Reads."},"odd"],"x":1}')
    marked = defined(page)
    assert isinstance(marked, Raw)
    assert marked == page
    assert marked.text == page.text
    assert defined(page) is marked
    [tool, odd] = marked["tools"]
    assert isinstance(tool, Defined)
    assert tool.digest == digest_of(READ)
    assert tool.but({"name": "other"}).digest == tool.digest
    assert tool.but({}).sent == READ
    assert digest_in(odd) == digest_in(READ) == ""


def test_tools_without_a_name_are_nobodys() -> None:
    assert by_name({"tools": [READ, {"title": "x"}, {"name": 7}, None]}) == {"read": READ}
    assert by_name({}) == {}
    assert defined({"tools": None}) == {"tools": None}


async def test_a_list_that_shows_other_tools_makes_what_was_known_old() -> None:
    offers, link, freshness = Offers(), MemoryLink(), Freshness()
    listed = Listed({"tools": [READ, {"name": "write"}]})
    await offers.tool(link, "read", listed, freshness)
    for page, whole, asked_again in (
        ({"tools": [READ, {"name": "write"}]}, True, False),
        ({"tools": [READ], "nextCursor": "1"}, True, False),
        ({"tools": [READ]}, False, False),
        ({"tools": [READ]}, True, True),
        ({"tools": [READ, {"name": "write", "description": "Poison."}]}, True, True),
        ({"tools": [{"name": "new"}]}, False, True),
    ):
        before = listed.asked
        offers.heard(link, page, whole=whole)
        await offers.tool(link, "read", listed, freshness)
        assert (listed.asked > before) is asked_again, page
    offers.heard(MemoryLink(), {"tools": []}, whole=True)
