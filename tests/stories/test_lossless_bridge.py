"""Between the eras: what no schema knows survives, and nothing but the listed members is added or taken away."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.stories.raw_client import ENVELOPE, INFO, RawClient, canonical
from tests.stories.raw_upstream_house import RawHouse, raw_house
from tests.stories.raw_upstream_script import LARGE, LEGACY_HELLO, Json

pytestmark = pytest.mark.anyio

SERVER_INFO = "io.modelcontextprotocol/serverInfo"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"

ODD: Json = {
    "": [None, {}, [], 1.0, -0.0, LARGE, "\ud800", "\N{WAVING HAND SIGN}\u2028"],
    "deep": [[[[[[{"": {"": None}}]]]]]],
    "com.example/x": {"jsonrpc": None, "id": 2**100},
}

CONTENT: list[Any] = [
    {"type": "com.example/hologram", "x": ODD},
    {"type": "text", "text": "\ud800", "_meta": ODD},
    None,
]

CROSSINGS = [("legacy", "modern"), ("legacy", "modern-child"), ("modern", "legacy"), ("modern", "child")]
"""Era of the client, and a server of the other era."""

FIRST: list[Json] = [
    {"method": "notifications/progress", "params": {"progressToken": "$token", "progress": 9, "x": ODD}},
    {"method": "notifications/vendor/odd", "params": ODD},
    {"method": "notifications/vendor/null", "params": None},
    {"method": "notifications/vendor/bare", "x": {"beside": None}},
    {"method": "notifications/progress", "params": {"progressToken": "$token", "progress": 1, "total": None}},
]


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RawHouse]:
    async with raw_house(tmp_path_factory.mktemp("raw")) as made:
        yield made


def expected(era: str, result: Json) -> Json:
    """A tool's result as the other era has it (`bridge/envelope.py`)."""
    if era == "legacy":
        return {key: value for key, value in result.items() if key not in ("resultType", "ttlMs", "cacheScope")}
    meta = {**result.get("_meta", {}), SERVER_INFO: LEGACY_HELLO["serverInfo"]}
    return {"resultType": "complete", **result, "_meta": meta}


async def result_of(house: RawHouse, era: str, server: str, result: Json) -> Json:
    result = result if era == "modern" else {"resultType": "complete", "ttlMs": 5, "cacheScope": "public", **result}
    client = await house.through(server, era)
    answer = (await client.call("tools/call", {"name": "x", "say": {"result": result}})).answer
    assert canonical(answer["result"]) == canonical(expected(era, result))
    return dict(answer["result"])


@pytest.mark.parametrize(("era", "server"), CROSSINGS)
async def test_unknown_members_of_a_result_survive(house: RawHouse, era: str, server: str) -> None:
    full = {"content": CONTENT, "structuredContent": ODD, "isError": None, "x": ODD, "": None, "_meta": ODD}
    results: list[Json] = [full, {"content": []}, {"x": None}]
    for result in results:
        await result_of(house, era, server, result)


@pytest.mark.parametrize("server", ["modern", "modern-child"])
async def test_structured_content_that_is_no_object_does_not_reach_a_legacy_client(
    house: RawHouse, server: str
) -> None:
    client = await house.through(server, "legacy")
    for structured in (None, [1], "x", 5):
        result = {"resultType": "complete", "content": CONTENT, "structuredContent": structured, "x": ODD}
        answer = (await client.call("tools/call", {"name": "x", "say": {"result": result}})).answer
        assert canonical(answer["result"]) == canonical({"content": CONTENT, "x": ODD})


@pytest.mark.parametrize("structured", [None, [1, ODD], "x"], ids=["null", "list", "text"])
async def test_structured_content_of_any_kind_reaches_a_modern_client(house: RawHouse, structured: Any) -> None:
    result = await result_of(house, "modern", "legacy", {"content": [], "structuredContent": structured})
    assert "structuredContent" in result


@pytest.mark.parametrize(("era", "server"), CROSSINGS)
async def test_errors_of_a_vendor_survive(house: RawHouse, era: str, server: str) -> None:
    client = await house.through(server, era)
    errors: list[Json] = [
        {"code": 4711, "message": "no", "data": ODD, "x": None},
        {"code": "E42", "message": None},
        {"code": {"vendor": 1}},
        {},
        {"code": -32601, "message": "gone", "data": None},
    ]
    for error in errors:
        answer = (await client.call("tools/call", {"name": "x", "say": {"error": error}})).answer
        assert canonical(answer["error"]) == canonical(error)


@pytest.mark.parametrize(("era", "server"), CROSSINGS)
async def test_notifications_survive_in_their_order(house: RawHouse, era: str, server: str) -> None:
    client = await house.through(server, era)
    say = {"first": FIRST, "result": {"resultType": "complete", "x": 1}}
    for token in ("abc", 7, 2**64):
        heard = await client.call("tools/call", {"name": "x", "say": say, "_meta": {"progressToken": token}})
        filled = [
            {**each, "params": {**each["params"], "progressToken": token}} if "progress" in each["method"] else each
            for each in FIRST
        ]
        assert canonical(heard.notifications) == canonical([{"jsonrpc": "2.0", **each} for each in filled])


async def sent(house: RawHouse, client: RawClient, server: str, params: Json) -> Json:
    """The params that an upstream receives."""
    await client.call("vendor/sent", params)
    params = house.upstream(server).requests("vendor/sent")[-1]["params"]
    assert isinstance(params, dict)
    return params


async def test_a_modern_upstream_receives_a_legacy_clients_params_and_who_it_is(house: RawHouse) -> None:
    capabilities = {"roots": {"listChanged": None}, "vendor": ODD}
    client = await house.through("modern", "legacy", capabilities)
    received = await sent(house, client, "modern", {"x": ODD, "": None, "_meta": ODD})
    meta = {**ODD, **ENVELOPE, CAPABILITIES: capabilities}
    assert INFO in meta.values()
    assert canonical(received) == canonical({"x": ODD, "": None, "_meta": meta})


async def test_a_legacy_upstream_receives_a_modern_clients_params_without_the_envelope(house: RawHouse) -> None:
    client = await house.through("legacy", "modern")
    received = await sent(house, client, "legacy", {"x": ODD, "": None, "_meta": ODD})
    assert canonical(received) == canonical({"x": ODD, "": None, "_meta": ODD})
    assert canonical(await sent(house, client, "legacy", {"x": ODD})) == canonical({"x": ODD})
    greeting = house.legacy.requests("initialize")[-1]["params"]
    assert canonical(greeting["capabilities"]) == canonical(ENVELOPE[CAPABILITIES])
    assert canonical(greeting["clientInfo"]) == canonical(INFO)
