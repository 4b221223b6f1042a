from typing import Any

import anyio
import pytest

from portkey_mcp.errors import InvalidRequest
from portkey_mcp.gateway.call import Call
from portkey_mcp.gateway.schemas import Schemas, callable_tools
from portkey_mcp.model import Endpoint, Era, Visit, Workspace
from portkey_mcp.wire import Json
from tests.gateway.house import ADA
from tests.gateway.memory_link import MemoryLink, error

pytestmark = pytest.mark.anyio

MARKED: Json = {"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": "City"}}}
OTHER: Json = {"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": "Town"}}}
INVALID: Json = {"type": "object", "properties": {"city": {"type": "number", "x-mcp-header": "City"}}}


class Listing:
    """`tools/list` of an upstream whose tools may change."""

    def __init__(self, **tools: Any) -> None:
        self.tools: Any = [{"name": name, "inputSchema": schema} for name, schema in tools.items()]
        self.asked = 0

    async def __call__(self, params: Json) -> Json:
        self.asked += 1
        if isinstance(self.tools, Exception):
            raise self.tools
        start = int(params.get("cursor", 0))
        more = {"nextCursor": str(start + 1)} if isinstance(self.tools, list) and start + 1 < len(self.tools) else {}
        return {"tools": self.tools[start : start + 1] if isinstance(self.tools, list) else self.tools, **more}


def call(
    arguments: Json, era: Era = "legacy", name: str = "weather", method: str = "tools/call", **headers: str
) -> Call:
    visit = Visit(ADA, Endpoint("server", Workspace("team", "Team", {}, {}), "alpha"))
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    return Call(visit, 1, method, {"name": name, "arguments": arguments}, era, "v", headers=sent)


@pytest.fixture
def link() -> MemoryLink:
    return MemoryLink(era="modern")


async def test_marked_arguments_travel_in_headers_to_a_modern_http_upstream(link: MemoryLink) -> None:
    listing, schemas = Listing(other={}, weather=MARKED), Schemas()

    assert await schemas.headers(call({"city": "Rome"}), link, listing) == {"Mcp-Param-City": "Rome"}
    assert await schemas.headers(call({"city": "Köln"}), link, listing) == {"Mcp-Param-City": "=?base64?S8O2bG4=?="}
    assert await schemas.headers(call({"city": None}), link, listing) == {}
    assert listing.asked == 2


@pytest.mark.parametrize("transport", ["stdio", "sse"])
async def test_other_wires_have_no_such_headers(transport: str) -> None:
    listing = Listing(weather=MARKED)

    assert await Schemas().headers(call({"city": "x"}), MemoryLink(), listing) is None
    assert await Schemas().headers(call({"city": "x"}), MemoryLink(era="modern", transport=transport), listing) is None
    assert listing.asked == 0


async def test_what_has_no_arguments_or_is_no_tool_call_needs_no_schema(link: MemoryLink) -> None:
    listing = Listing(weather=MARKED)

    assert await Schemas().headers(call({}), link, listing) is None
    assert await Schemas().headers(call({"city": "x"}, method="prompts/get"), link, listing) is None
    assert listing.asked == 0


@pytest.mark.parametrize("headers", [{}, {"mcp_param_city": "Oslo"}, {"mcp_param_city": "=?base64?\xe9?="}])
@pytest.mark.parametrize("upstream", ["legacy", "modern"])
async def test_a_modern_clients_headers_must_say_what_its_body_says(headers: dict[str, str], upstream: Era) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await Schemas().headers(
            call({"city": "Rome"}, "modern", **headers), MemoryLink(era=upstream), Listing(weather=MARKED)
        )
    assert caught.value.code == -32020


async def test_a_header_without_its_argument_is_refused(link: MemoryLink) -> None:
    with pytest.raises(InvalidRequest):
        await Schemas().headers(call({}, "modern", mcp_param_city="Rome"), link, Listing(weather=MARKED))


async def test_a_client_that_knows_a_newer_schema_is_believed(link: MemoryLink) -> None:
    listing, schemas = Listing(weather=MARKED), Schemas()
    await schemas.headers(call({"city": "Rome"}), link, listing)
    listing.tools = Listing(weather=OTHER).tools
    headers = await schemas.headers(call({"city": "Rome"}, "modern", mcp_param_town="Rome"), link, listing)

    assert headers == {"Mcp-Param-Town": "Rome"}


async def test_an_unknown_tool_is_not_looked_for_again_and_again(link: MemoryLink) -> None:
    listing, schemas = Listing(weather=MARKED), Schemas()
    for _ in range(3):
        assert await schemas.headers(call({"city": "x"}, name="nobody"), link, listing) is None

    assert listing.asked == 1


async def test_what_was_forgotten_is_fetched_again(link: MemoryLink) -> None:
    listing, schemas = Listing(weather=MARKED), Schemas()
    await schemas.headers(call({"city": "x"}), link, listing)
    schemas.forget(link)
    await schemas.headers(call({"city": "x"}), link, listing)

    assert listing.asked == 2


@pytest.mark.parametrize("tools", [None, 7, [7, {}, {"name": 7}], [{"name": "weather"}], error(-32601)])
async def test_tools_of_another_shape_or_none_at_all_cost_no_call(link: MemoryLink, tools: Any) -> None:
    listing = Listing()
    listing.tools = tools

    assert not await Schemas().headers(call({"city": "x"}), link, listing)
    assert not await Schemas().headers(call({"city": "x"}, "modern"), link, listing)


async def test_a_list_that_never_ends_is_cut_off(link: MemoryLink) -> None:
    pages = 0

    async def endless(params: Json) -> Json:
        nonlocal pages
        pages += 1
        return {"tools": [], "nextCursor": str(pages)}

    with anyio.fail_after(10):
        assert await Schemas().headers(call({"city": "x"}), link, endless) is None
    assert pages == 100


async def test_a_tool_whose_marks_are_invalid_is_not_offered_over_modern_http(link: MemoryLink) -> None:
    good, bad = {"name": "good", "inputSchema": MARKED}, {"name": "bad", "inputSchema": INVALID}

    assert callable_tools(link, {"tools": [good, bad, 7], "x": None}) == {"tools": [good, 7], "x": None}
    assert callable_tools(MemoryLink(), {"tools": [bad]}) == {"tools": [bad]}
    assert callable_tools(link, {"tools": None}) == {"tools": None}
    assert await Schemas().headers(call({"city": 1}, name="bad"), link, Listing(bad=INVALID)) is None
