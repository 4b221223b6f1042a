"""What is no message: each gets its exact error, and calls of others notice nothing. HTTP's part: `…_http.py`."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.stories.house_undisturbed import Others, others
from tests.stories.raw_client import ENVELOPE, LEGACY, MODERN, Json
from tests.stories.raw_upstream_house import raw_house

pytestmark = pytest.mark.anyio

REQUEST: Json = {"jsonrpc": "2.0", "id": 1, "method": "vendor/x"}

BATCH = "Batches are not part of MCP since 2025-06-18; send one message per POST"
NO_OBJECT = "The body must be one JSON-RPC request, notification or response object"
NOTHING = "Not a JSON-RPC request, notification or response"
NO_ID = 'The member "id" must be a string or an integer'
NO_METHOD = 'The member "method" must be a string'
NO_PARAMS = 'The member "params" must be an object'
NO_VERSION = 'The member "jsonrpc" must be "2.0"'
NO_GREETING = "initialize needs params.protocolVersion, capabilities and clientInfo"
NO_NAME = "tools/call needs params.name, a string"
DEEP = b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":'

NOT_JSON: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "Expecting value"),
    "cut off": (b'{"jsonrpc":"2.0",', "Expecting property name"),
    "two values": (b"{} {}", "Extra data"),
    "UTF-16": (json.dumps(REQUEST).encode("utf-16"), "not UTF-8 at byte 0"),
    "invalid UTF-8": (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', "not UTF-8 at byte 34"),
    "a form": (b"jsonrpc=2.0&id=1", "Expecting value"),
    "duplicate member": (b'{"jsonrpc":"2.0","id":1,"id":1,"method":"x"}', "duplicate member name 'id'"),
    "duplicate after unescaping": (b'{"id":1,"\\u0069d":1}', "duplicate member name 'id'"),
    "nested duplicate": (DEEP + b'[{"b":1,"b":2}]}}', "duplicate member name 'b'"),
    "NaN": (DEEP + b"NaN}}", "NaN is not JSON"),
    "Infinity": (DEEP + b"-Infinity}}", "-Infinity is not JSON"),
    "a number beyond floats": (DEEP + b"1e999}}", "number 1e999 is out of range"),
    "an integer of 5000 digits": (DEEP + b"9" * 5000 + b"}}", "Exceeds the limit"),
    "too deep": (DEEP + b"[" * 500 + b"]" * 500 + b"}}", "nested too deeply"),
    "far too deep": (b"[" * 100_000, "nested too deeply"),
}

NO_MESSAGE: dict[str, tuple[Any, int, str, Any]] = {
    "a batch": ([REQUEST, REQUEST], -32600, BATCH, None),
    "an empty batch": ([], -32600, BATCH, None),
    "a text": ("x", -32600, NO_OBJECT, None),
    "null": (None, -32600, NO_OBJECT, None),
    "a number": (5, -32600, NO_OBJECT, None),
    "an empty object": ({}, -32600, NO_VERSION, None),
    "no jsonrpc": ({"id": 1, "method": "x"}, -32600, NO_VERSION, 1),
    "another jsonrpc": ({**REQUEST, "jsonrpc": "1.0"}, -32600, NO_VERSION, 1),
    "jsonrpc a number": ({**REQUEST, "jsonrpc": 2.0}, -32600, NO_VERSION, 1),
    "only an id": ({"jsonrpc": "2.0", "id": "a"}, -32600, NOTHING, "a"),
    "result and error": ({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}}, -32600, NOTHING, 1),
    "an answer without an id": ({"jsonrpc": "2.0", "result": {}}, -32600, NOTHING, None),
    "id null": ({**REQUEST, "id": None}, -32600, NO_ID, None),
    "id a float": ({**REQUEST, "id": 1.0}, -32600, NO_ID, None),
    "id a bool": ({**REQUEST, "id": True}, -32600, NO_ID, None),
    "id a list": ({**REQUEST, "id": [1]}, -32600, NO_ID, None),
    "id an object": ({**REQUEST, "id": {}}, -32600, NO_ID, None),
    "method a number": ({**REQUEST, "method": 5}, -32600, NO_METHOD, 1),
    "method null": ({**REQUEST, "method": None}, -32600, NO_METHOD, 1),
    "params a list": ({**REQUEST, "params": [1]}, -32602, NO_PARAMS, 1),
    "params null": ({**REQUEST, "params": None}, -32602, NO_PARAMS, 1),
    "params a text": ({**REQUEST, "params": "x"}, -32602, NO_PARAMS, 1),
    "params of a notification": ({"jsonrpc": "2.0", "method": "x", "params": [1]}, -32602, NO_PARAMS, None),
    "initialize without params": ({**REQUEST, "method": "initialize"}, -32602, NO_GREETING, 1),
}

GREETING: Json = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
META = "params._meta must be an object carrying the required 'io.modelcontextprotocol/protocolVersion' and "
META += "'io.modelcontextprotocol/clientCapabilities' envelope keys"
MISSING = "params._meta is missing the required envelope key(s): io.modelcontextprotocol/"
MISMATCH = "mcp-protocol-version header does not match the request envelope's protocol version"
REMOVED = ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"]


@pytest.fixture(scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Others]:
    async with raw_house(tmp_path_factory.mktemp("raw")) as made:
        yield await others(made)


async def refused(room: Others, era: str, body: Any, status: int, error: Json, ident: Any, **headers: str) -> None:
    """A body gets exactly this answer, while and after others are served."""
    message = body if isinstance(body, bytes | dict) else json.dumps(body).encode()
    async with room.undisturbed():
        heard = await room.clients[era].post(message, **headers)
    assert heard.headers["content-type"] == "application/json"
    assert (heard.status, heard.messages) == (status, [{"jsonrpc": "2.0", "id": ident, "error": error}])


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("name", NOT_JSON)
async def test_what_is_not_json_is_a_parse_error(room: Others, name: str, era: str) -> None:
    body, reason = NOT_JSON[name]
    async with room.undisturbed():
        heard = await room.clients[era].post(body)
    error = heard.answer["error"]
    assert (heard.status, heard.answer["id"], error["code"]) == (400, None, -32700)
    assert error["message"].startswith(f"Parse error: {reason}")
    assert error.keys() == {"code", "message"}


@pytest.mark.parametrize("name", NO_MESSAGE)
async def test_json_that_is_no_message_is_refused_in_words(room: Others, name: str) -> None:
    body, code, text, ident = NO_MESSAGE[name]
    await refused(room, "legacy", body, 400, {"code": code, "message": text}, ident)


@pytest.mark.parametrize("member", GREETING)
@pytest.mark.parametrize("wrong", [None, 5, []], ids=["null", "number", "list"])
async def test_a_greeting_with_a_wrong_member_is_refused(room: Others, member: str, wrong: Any) -> None:
    body = {**REQUEST, "method": "initialize", "params": {**GREETING, member: wrong}}
    await refused(room, "legacy", body, 400, {"code": -32602, "message": NO_GREETING}, 1)


@pytest.mark.parametrize("params", [{}, {"name": 5}, {"name": None}, {"name": ["x"]}], ids=str)
async def test_a_legacy_tool_call_without_a_name_is_refused(room: Others, params: Json) -> None:
    error = {"code": -32602, "message": NO_NAME}
    await refused(room, "legacy", {**REQUEST, "method": "tools/call", "params": params}, 200, error, 1)


@pytest.mark.parametrize("params", [{}, {"name": None}], ids=str)
async def test_a_modern_tool_call_without_a_name_is_refused(room: Others, params: Json) -> None:
    message = room.clients["modern"].request("tools/call", params, ident=1)
    await refused(room, "modern", message, 400, {"code": -32602, "message": NO_NAME}, 1)


@pytest.mark.parametrize("method", ["server/discover", "subscriptions/listen"])
async def test_a_method_of_the_other_era_does_not_exist_for_a_legacy_client(room: Others, method: str) -> None:
    error = {"code": -32601, "message": f"Method not found: {method}"}
    await refused(room, "legacy", {**REQUEST, "method": method, "params": {}}, 200, error, 1)


@pytest.mark.parametrize("method", REMOVED)
async def test_a_method_of_the_other_era_does_not_exist_for_a_modern_client(room: Others, method: str) -> None:
    message = room.clients["modern"].request(method, {**GREETING, "uri": "x:y", "level": "info"}, ident=1)
    error = {"code": -32601, "message": f"Method not found: {method}"}
    await refused(room, "modern", message, 404, error, 1)


@pytest.mark.parametrize("member", ["protocolVersion", "clientCapabilities"])
async def test_an_envelope_without_a_required_member_is_refused(room: Others, member: str) -> None:
    meta = {key: value for key, value in ENVELOPE.items() if not key.endswith(member)}
    error = {"code": -32602, "message": MISSING + member}
    await refused(room, "modern", {**REQUEST, "params": {"_meta": meta}}, 400, error, 1)


@pytest.mark.parametrize("params", [{}, {"_meta": None}, {"_meta": []}], ids=["none", "null", "list"])
async def test_a_modern_request_without_an_envelope_is_refused(room: Others, params: Json) -> None:
    error = {"code": -32602, "message": META}
    await refused(room, "modern", {**REQUEST, "params": params}, 400, error, 1)


async def test_an_envelope_without_client_info_is_served(room: Others) -> None:
    meta = {key: value for key, value in ENVELOPE.items() if not key.endswith("clientInfo")}
    params = {"_meta": meta, "say": {"result": {"resultType": "complete"}}}
    assert (await room.clients["modern"].post({**REQUEST, "params": params})).answer["result"]


@pytest.mark.parametrize("wrong", [None, [], "x", 5, True], ids=repr)
async def test_client_capabilities_of_a_wrong_type_are_refused(room: Others, wrong: Any) -> None:
    meta = {**ENVELOPE, "io.modelcontextprotocol/clientCapabilities": wrong}
    error = {"code": -32602, "message": "clientCapabilities must be an object"}
    await refused(room, "modern", {**REQUEST, "params": {"_meta": meta}}, 400, error, 1)


async def test_a_version_that_is_not_served_is_refused_with_those_that_are(room: Others) -> None:
    meta = {**ENVELOPE, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    data = {"supported": [MODERN], "requested": "2099-01-01"}
    error = {"code": -32022, "message": "Unsupported protocol version", "data": data}
    message = {**REQUEST, "params": {"_meta": meta}}
    await refused(room, "modern", message, 400, error, 1, mcp_protocol_version="2099-01-01")


@pytest.mark.parametrize("version", ["", LEGACY, "2099-01-01", "x"])
async def test_a_version_header_that_contradicts_the_body_is_refused(room: Others, version: str) -> None:
    message = {**REQUEST, "params": {"_meta": ENVELOPE}}
    error = {"code": -32020, "message": MISMATCH}
    await refused(room, "modern", message, 400, error, 1, mcp_protocol_version=version)


@pytest.mark.parametrize("method", ["", "vendor/y", "VENDOR/X"])
async def test_a_method_header_that_contradicts_the_body_is_refused(room: Others, method: str) -> None:
    message = {**REQUEST, "params": {"_meta": ENVELOPE}}
    error = {"code": -32020, "message": "mcp-method header does not match the request body's method"}
    await refused(room, "modern", message, 400, error, 1, mcp_method=method)


@pytest.mark.parametrize("name", ["", "y", "X", "=?base64?eQ==?=", "=?base64?!?="])
async def test_a_name_header_that_contradicts_the_body_is_refused(room: Others, name: str) -> None:
    message = room.clients["modern"].request("tools/call", {"name": "x"}, ident=1)
    error = {"code": -32020, "message": "mcp-name header does not match the request body's 'name' parameter"}
    await refused(room, "modern", message, 400, error, 1, mcp_name=name)


async def test_a_modern_client_may_not_answer(room: Others) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "result": {}}
    await refused(room, "modern", body, 400, {"code": -32600, "message": NOTHING}, 1)


async def test_an_answer_that_nobody_waits_for_is_taken_and_dropped(room: Others) -> None:
    for ident in ("nope", 1, 2**70):
        async with room.undisturbed():
            heard = await room.clients["legacy"].post({"jsonrpc": "2.0", "id": ident, "result": {}})
        assert (heard.status, heard.body) == (202, b"")
