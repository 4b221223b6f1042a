"""What no schema knows: a raw client hears the same, JSON-equal, from a raw upstream directly and through the gateway.

Same era on both sides; what must change between eras, and what survives there too, is in `test_lossless_bridge`.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.stories.raw_client import INFO, LEGACY, RawClient, canonical
from tests.stories.raw_upstream_house import Pairs, pairs
from tests.stories.raw_upstream_script import LARGE, LEGACY_HELLO, MODERN_HELLO, Json

pytestmark = pytest.mark.anyio

SERVERS = ["legacy", "modern", "child"]

DEEP: Any = "bottom"
for _ in range(100):
    DEEP = {"": [DEEP, None]}

ODD: Json = {
    "": {"": [[], {}, "", None, False]},
    "null": None,
    "large": [LARGE, -LARGE, 2**200, 10**30],
    "floats": [1.0, -0.0, 0.1, 1e-300, 1.7976931348623157e308, 5e-324],
    "surrogates": ["\ud800", "a\udfffb", "\ud83d\ude00"],
    "unicode": "\x00\x1f\x7f\x85\u2028\u2029\ufeff\uffff\N{WAVING HAND SIGN}",
    "like a member": {"jsonrpc": "1.0", "id": None, "method": "x", "params": [], "result": 1, "error": 2},
    "__proto__": {"constructor": None},
    "deep": DEEP,
}

RESULTS: dict[str, Json] = {
    "a content type that nobody knows": {"content": [{"type": "com.example/hologram", "frames": [None, ODD]}, {}]},
    "structured content that is null": {"content": [], "structuredContent": None, "isError": None},
    "structured content that is no object": {"content": [], "structuredContent": [1, LARGE]},
    "content of a wrong type": {"content": "text", "isError": "maybe"},
    "odd values everywhere": {"content": [{"type": "text", "text": "\ud800", "x": ODD}], "structuredContent": ODD},
    "an odd _meta": {"content": [], "_meta": {**ODD, "com.example/x": None, "progressToken": 7}},
    "an empty _meta": {"content": [], "_meta": {}},
    "a _meta that is no object": {"content": [], "_meta": None},
    "a result type of an extension": {"resultType": "com.example/later", "handle": ODD},
    "a task": {"resultType": "task", "taskId": "t-1", "status": "working", "ttlMs": None, "x": ODD},
    "members of both eras": {"content": [], "ttlMs": -5, "cacheScope": "vendor", "nextCursor": ""},
    "nothing that a tool result has": {"x": 1},
}

ERRORS: dict[str, Json] = {
    "a vendor code and odd data": {"code": 4711, "message": "no", "data": ODD},
    "data that is null": {"code": -32000, "message": "", "data": None},
    "members that nobody knows": {"code": -32603, "message": "no", "retryable": None, "x": [LARGE]},
    "a code that is a text": {"code": "E42", "message": "no"},
    "a code that is an object": {"code": {"vendor": 1}, "message": None},
    "a code that is too large": {"code": LARGE, "message": "no"},
    "nothing": {},
    "a modern code": {"code": -32022, "message": "no", "data": {"supported": ["2026-07-28"], "requested": "x"}},
    "a missing method": {"code": -32601, "message": "gone", "data": [None]},
}

METHODS: dict[str, Json] = {
    "vendor/unknown": {"x": ODD},
    "": {"x": 1},
    "tools/list": {"cursor": "", "x": None},
    "resources/read": {"uri": " odd:\N{WAVING HAND SIGN}\x85 ", "x": ODD},
    "prompts/get": {"name": "", "arguments": {"": "\ud800"}},
    "completion/complete": {"ref": {"type": "ref/vendor", "x": None}, "argument": ODD},
}


@pytest.fixture(scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pairs]:
    async with pairs(tmp_path_factory.mktemp("raw")) as made:
        yield made


async def same(two: Pairs, server: str, method: str, params: Json | None) -> list[Json]:
    """Send one request both ways; returns what was heard once it is found to be equal."""
    message = two.author[server].request(method, params)
    directly, through = await two.at[server].direct(message), await two.at[server].through(message)
    assert canonical(through) == canonical(directly)
    return through


def call(say: Json, **more: Any) -> Json:
    return {"name": "anything", "arguments": {}, "say": say, **more}


@pytest.mark.parametrize("stream", [False, True], ids=["as JSON", "as events"])
@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize("server", SERVERS)
async def test_a_result_arrives_as_it_was_sent(two: Pairs, server: str, result: Json, stream: bool) -> None:
    result = {"resultType": "complete", **result} if server == "modern" else result
    [answer] = await same(two, server, "tools/call", call({"result": result, "stream": stream}))
    assert canonical(answer["result"]) == canonical(result)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("server", SERVERS)
async def test_an_error_arrives_as_it_was_sent(two: Pairs, server: str, error: Json) -> None:
    [answer] = await same(two, server, "tools/call", call({"error": error}))
    assert canonical(answer["error"]) == canonical(error)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("server", SERVERS)
async def test_any_method_is_answered_by_the_upstream(two: Pairs, server: str, method: str) -> None:
    result = {"resultType": "complete", "x": ODD, "tools": [{"name": None, "x": ODD}, 5]}
    await same(two, server, method, {**METHODS[method], "say": {"result": result}})


@pytest.mark.parametrize("server", SERVERS)
async def test_a_method_that_nobody_knows_is_refused_in_the_upstreams_words(two: Pairs, server: str) -> None:
    [answer] = await same(two, server, "vendor/unknown", None)
    assert answer["error"]["vendor"] == [LARGE]


@pytest.mark.parametrize("server", SERVERS)
async def test_notifications_arrive_as_they_were_sent_and_in_their_order(two: Pairs, server: str) -> None:
    first: list[Json] = [
        {"method": "notifications/progress", "params": {"progressToken": "$token", "progress": 9, "x": ODD}},
        {"method": "notifications/message", "params": {"level": "vendor", "data": ODD, "logger": None}},
        {"method": "notifications/vendor/odd", "params": ODD},
        {"method": "notifications/vendor/null", "params": None},
        {"method": "notifications/vendor/list", "params": [1, None]},
        {"method": "notifications/vendor/bare", "x": {"beside": None}},
        {"method": "notifications/progress", "params": {"progressToken": "$token", "progress": 1.5, "total": None}},
        {"method": "", "params": {"_meta": {"x": None}}},
    ]
    say = {"first": first, "result": {"resultType": "complete", "x": 1}}
    for token in ("abc", "1", 7, 0, 2**64):
        heard = await same(two, server, "tools/call", call(say, _meta={"progressToken": token}))
        assert [message.get("method") for message in heard[:-1]] == [message["method"] for message in first]
        assert canonical(heard[0]["params"]["progressToken"]) == canonical(token)


@pytest.mark.parametrize("ident", ["", "x", "\ud800", 0, -1, 2**70], ids=ascii)
@pytest.mark.parametrize("server", SERVERS)
async def test_an_answer_bears_the_id_of_its_request(two: Pairs, server: str, ident: str | int) -> None:
    message = two.author[server].request("vendor/x", {"say": {"result": {"resultType": "complete"}}}, ident=ident)
    [answer] = await two.at[server].through(message)
    assert canonical(answer["id"]) == canonical(ident)


async def test_the_greeting_of_a_legacy_upstream_arrives_as_it_was_sent(two: Pairs) -> None:
    for server in ("legacy", "child"):
        hello = await RawClient(two.house.http, two.house.gateway.at("team", server), "legacy").hello()
        assert canonical(hello["result"]) == canonical(LEGACY_HELLO)


async def test_the_greeting_of_a_modern_upstream_arrives_as_it_was_sent(two: Pairs) -> None:
    [answer] = await same(two, "modern", "server/discover", {"x": ODD})
    assert canonical(answer["result"]) == canonical(MODERN_HELLO)


@pytest.mark.parametrize(
    "params", [None, {}, {"x": ODD, "_meta": {"com.example/x": ODD}}], ids=["none", "empty", "odd"]
)
@pytest.mark.parametrize("method", ["vendor/sent", "tools/list"])
@pytest.mark.parametrize("server", ["legacy", "modern"])
async def test_an_upstream_receives_what_the_client_sent(
    two: Pairs, server: str, method: str, params: Json | None
) -> None:
    upstream = two.house.upstream(server)
    message = two.author[server].request(method, params)
    before = len(upstream.requests(method))
    await two.at[server].direct(message)
    await two.at[server].through(message)
    directly, through = ({**sent, "id": None} for sent in upstream.requests(method)[before:])
    assert canonical(through) == canonical(directly)


async def test_a_child_receives_what_the_client_sent(two: Pairs) -> None:
    params = {"x": ODD, "_meta": {"com.example/x": ODD, "": None}}
    for post in (two.at["child"].direct, two.at["child"].through):
        await post(two.author["child"].request("vendor/told", params))
        [told] = await post(two.author["child"].request("raw/told"))
        received = [message for message in told["result"]["received"] if message.get("method") == "vendor/told"]
        assert canonical(received[-1]["params"]) == canonical(params)


async def test_a_legacy_upstream_is_told_who_the_client_is(two: Pairs) -> None:
    capabilities = {"roots": {"listChanged": None, "x": LARGE}, "vendor": ODD, "sampling": {}}
    besides = {"vendor": ODD, "_meta": {"com.example/x": LARGE}}
    await two.house.through("legacy", "legacy", capabilities, besides)
    greeting = two.house.legacy.requests("initialize")[-1]["params"]
    expected = {"protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": INFO, **besides}
    assert canonical(greeting) == canonical(expected)


async def test_a_legacy_clients_notifications_reach_the_upstream_as_they_were_sent(two: Pairs) -> None:
    client, upstream = two.author["legacy"], two.house.legacy
    for params in (ODD, {}, None):
        before = len(upstream.requests("notifications/vendor/up"))
        heard = await client.notify("notifications/vendor/up", params)
        assert (heard.status, heard.body) == (202, b"")
        await upstream.until(lambda before=before: len(upstream.requests("notifications/vendor/up")) > before)
        expected: Json = {"jsonrpc": "2.0", "method": "notifications/vendor/up"}
        sent = expected if params is None else {**expected, "params": params}
        assert canonical(upstream.requests("notifications/vendor/up")[-1]) == canonical(sent)


async def test_questions_of_a_legacy_upstream_and_their_answers_arrive_as_they_were_sent(two: Pairs) -> None:
    questions: list[Json] = [
        {"id": 0, "method": "elicitation/create", "params": {"message": "?", "requestedSchema": ODD, "x": None}},
        {"id": "zero", "method": "sampling/createMessage", "params": {"messages": [], "_meta": ODD}},
        {"id": 2**70, "method": "vendor/question", "params": [1, None]},
        {"id": "", "method": "roots/list"},
    ]
    outcomes: list[Json] = [
        {"result": {"action": "vendor", "content": ODD}},
        {"error": {"code": -1, "message": "no", "data": ODD, "x": None}},
        {"result": None},
        {"result": {"roots": [{"uri": "\ud800", "x": LARGE}]}},
    ]
    heard: list[Json] = []

    def answer(question: Json) -> Json:
        heard.append({key: value for key, value in question.items() if key not in ("jsonrpc", "id")})
        return outcomes[[asked["method"] for asked in questions].index(question["method"])]

    client = await two.house.through("legacy", "legacy", {"elicitation": {}, "sampling": {}, "roots": {}})
    result = (await client.post(client.request("tools/call", call({"ask": questions})), answer)).answer["result"]

    asked = [{key: value for key, value in question.items() if key != "id"} for question in questions]
    assert sorted(map(canonical, heard)) == sorted(map(canonical, asked))
    told = [{"id": question["id"], **outcome} for question, outcome in zip(questions, outcomes, strict=True)]
    assert canonical(result["answers"]) == canonical(told)


async def test_frames_of_a_listen_stream_arrive_as_they_were_sent(two: Pairs) -> None:
    tag = {"io.modelcontextprotocol/subscriptionId": "$request", "com.example/x": None}
    first = [
        {"method": "notifications/subscriptions/acknowledged", "params": {"notifications": {"x": ODD}, "_meta": tag}},
        {"method": "notifications/tools/list_changed", "params": {"_meta": {**tag, "y": LARGE}}},
        {"method": "notifications/vendor/changed", "params": {"x": ODD, "_meta": tag}},
    ]
    say = {"first": first, "result": {"resultType": "complete", "x": ODD}}
    params = {"notifications": {"toolsListChanged": True, "x": None}, "say": say, "x": ODD}
    message = two.author["modern"].request("subscriptions/listen", params, ident="mine")
    through = await two.at["modern"].through(message)
    directly = await two.at["modern"].direct(message)
    tagged = {**directly[-1]["result"], "_meta": {"io.modelcontextprotocol/subscriptionId": "mine"}}
    assert canonical(through[:-1]) == canonical(directly[:-1])
    assert canonical(through[-1]["result"]) == canonical(tagged)
