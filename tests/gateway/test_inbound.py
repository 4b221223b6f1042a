import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from portkey_mcp.gateway.inbound import (
    LARGEST_INTRODUCTION,
    BadMessage,
    InAnswer,
    Inbound,
    InNotification,
    InRequest,
    read,
)
from portkey_mcp.wire import Json
from tests.gateway.house import PROTOCOL_KEY, envelope

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
MEMBERS = {
    "jsonrpc": st.just("2.0") | JSON,
    "id": JSON,
    "method": st.sampled_from(["tools/call", "tasks/get", "initialize"]) | JSON,
    "params": st.fixed_dictionaries({}, optional={"_meta": st.just(envelope()) | JSON, "name": JSON, "taskId": JSON})
    | JSON,
    "result": JSON,
    "error": JSON,
}
VALUES = st.sampled_from(["2026-07-28", "2025-11-25", "tools/call", "=?base64?\xe9?=", "=?base64?YQ==?="]) | st.text(
    st.characters(max_codepoint=255), max_size=12
)
ROUTING = st.dictionaries(st.sampled_from(["mcp-protocol-version", "mcp-method", "mcp-name"]), VALUES)


def from_wire(message: Any, headers: dict[str, str] | None = None) -> Inbound:
    found = Headers(headers or {})
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return read(body, found, found.items())


def refused(message: Any, headers: dict[str, str] | None = None) -> BadMessage:
    with pytest.raises(BadMessage) as caught:
        from_wire(message, headers)
    return caught.value


def request(method: str = "tools/list", params: Any = None, ident: Any = 1) -> Json:
    return {"jsonrpc": "2.0", "id": ident, "method": method, **({} if params is None else {"params": params})}


def modern(method: str, params: Json, **headers: str) -> tuple[Json, dict[str, str]]:
    return request(method, {"_meta": envelope(), **params}), {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }


def test_a_client_that_says_too_much_of_itself_is_refused() -> None:
    message, headers = modern("tools/list", {"_meta": envelope({"x": "y" * LARGEST_INTRODUCTION})})

    error = refused(message, headers)

    assert (error.code, error.id) == (-32602, 1)
    assert "larger than" in error.message


@given(st.binary(max_size=200), ROUTING)
def test_no_bytes_do_worse_than_a_bad_message(body: bytes, headers: dict[str, str]) -> None:
    assert refused(body, headers).code in (-32700, -32600)


@given(st.fixed_dictionaries({}, optional=MEMBERS), ROUTING)
def test_no_json_does_worse_than_a_bad_message(message: Json, headers: dict[str, str]) -> None:
    with suppress(BadMessage):
        from_wire(message, headers)


@given(JSON, ROUTING)
def test_json_that_is_no_object_is_a_bad_message(value: Any, headers: dict[str, str]) -> None:
    if not isinstance(value, dict):
        refused(value, headers)


def test_a_request_without_a_version_header_is_legacy_and_speaks_the_oldest_http_version() -> None:
    message = from_wire(request("tools/call", {"name": "x", "big": 2**80, "null": None}, ident="1"))

    assert isinstance(message, InRequest)
    assert (message.id, message.era, message.version) == ("1", "legacy", "2025-03-26")
    assert message.params == {"name": "x", "big": 2**80, "null": None}


def test_an_id_keeps_its_type() -> None:
    one, text = from_wire(request(ident=1)), from_wire(request(ident="1"))

    assert isinstance(one, InRequest)
    assert isinstance(text, InRequest)
    assert one.id == 1
    assert text.id == "1"


@pytest.mark.parametrize("ident", [None, True, 1.5, [], {}])
def test_an_id_that_is_no_string_and_no_integer_is_refused(ident: Any) -> None:
    bad = refused(request(ident=ident))

    assert (bad.code, bad.id) == (-32600, None)


def test_a_batch_is_refused_by_name() -> None:
    assert "Batches" in refused([request()]).message


def test_duplicate_member_names_are_refused() -> None:
    assert "duplicate" in refused(b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}').message


def test_params_that_are_no_object_are_refused_with_the_requests_id() -> None:
    bad = refused({**request(), "params": [1]})

    assert (bad.code, bad.id) == (-32602, 1)


def test_a_message_without_an_id_is_a_notification() -> None:
    message = from_wire({"jsonrpc": "2.0", "method": "notifications/initialized"})

    assert message == InNotification("notifications/initialized", None, "legacy")


def test_a_modern_notification_at_an_unknown_version_is_refused() -> None:
    bad = refused({"jsonrpc": "2.0", "method": "notifications/x"}, {"mcp-protocol-version": "2099-01-01"})

    assert (bad.code, bad.data["requested"]) == (-32022, "2099-01-01")


def test_an_answer_keeps_its_result_or_its_error() -> None:
    assert from_wire({"jsonrpc": "2.0", "id": "q", "result": None}) == InAnswer("q", {"result": None})
    assert from_wire({"jsonrpc": "2.0", "id": "q", "error": {"code": 1}}) == InAnswer("q", {"error": {"code": 1}})


def test_an_answer_with_both_or_neither_is_refused() -> None:
    refused({"jsonrpc": "2.0", "id": "q"})
    refused({"jsonrpc": "2.0", "id": "q", "result": {}, "error": {}})


def test_a_modern_client_may_not_send_answers() -> None:
    refused({"jsonrpc": "2.0", "id": "q", "result": {}}, {"mcp-protocol-version": "2026-07-28"})


def test_a_modern_request_brings_its_version_and_capabilities() -> None:
    meta = envelope({"elicitation": {}}, **{"io.modelcontextprotocol/clientInfo": {"name": "me"}})
    message = from_wire(*modern("tools/call", {"_meta": meta, "name": "x"}, mcp_name="x"))

    assert isinstance(message, InRequest)
    assert (message.era, message.version) == ("modern", "2026-07-28")
    assert message.capabilities == {"elicitation": {}}
    assert message.client_info == {"name": "me"}


def test_a_modern_request_without_client_info_is_served() -> None:
    message = from_wire(*modern("tools/list", {}))

    assert isinstance(message, InRequest)
    assert message.client_info == {}


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({"mcp_method": "tools/list"}, {"name": "x"}),
        ({"mcp_name": "y"}, {"name": "x"}),
        ({}, {"name": "x"}),
        ({"mcp_name": "=?base64?\xe9?="}, {"name": "x"}),
        ({"mcp_protocol_version": "2025-11-25", "mcp_name": "x"}, {"name": "x"}),
    ],
)
def test_headers_that_contradict_the_body_are_refused(headers: dict[str, str], params: Json) -> None:
    bad = refused(*modern("tools/call", params, **headers))

    assert (bad.code, bad.id) == (-32020, 1)


def test_a_routing_header_that_is_there_twice_is_refused() -> None:
    message, headers = modern("tools/list", {})
    raw = [(name.encode(), value.encode()) for name, value in [*headers.items(), ("mcp-method", "tools/list")]]
    twice = Headers(raw=raw)

    with pytest.raises(BadMessage, match="more than once"):
        read(json.dumps(message).encode(), twice, twice.items())


def test_the_name_header_of_a_task_request_is_its_task() -> None:
    assert isinstance(from_wire(*modern("tasks/get", {"taskId": "t"}, mcp_name="t")), InRequest)
    assert refused(*modern("tasks/get", {"taskId": "t"}, mcp_name="u")).code == -32020
    assert refused(*modern("tasks/get", {"taskId": "t"}, mcp_name="=?base64?\xe9?=")).code == -32020


def test_an_unknown_modern_version_names_those_that_are_served() -> None:
    meta = {**envelope(), PROTOCOL_KEY: "2099-01-01"}
    bad = refused(*modern("tools/list", {"_meta": meta}, mcp_protocol_version="2099-01-01"))

    assert (bad.code, bad.data) == (-32022, {"supported": ["2026-07-28"], "requested": "2099-01-01"})


def test_a_modern_request_without_its_envelope_is_refused() -> None:
    assert refused(request(params={}), {"mcp-protocol-version": "2026-07-28"}).code == -32602
    assert refused(
        *modern("tools/list", {"_meta": {**envelope(), "io.modelcontextprotocol/clientCapabilities": 1}})
    ).code
