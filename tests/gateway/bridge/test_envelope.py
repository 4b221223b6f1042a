from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.gateway.bridge import envelope
from portkey_mcp.gateway.bridge.envelope import legacy_result, modern_result
from portkey_mcp.wire import Json, Raw, loads
from tests.gateway.house import CAPABILITIES_KEY, LEVEL_KEY, PROTOCOL_KEY
from tests.gateway.house import envelope as meta_of
from tests.gateway.memory_link import SERVER_INFO_KEY

JSON: Any = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=6,
)
VENDOR = st.dictionaries(st.text("abcxyz/.", max_size=8), JSON, max_size=4)
INFO_KEY = "io.modelcontextprotocol/clientInfo"
HELLO: Json = {"serverInfo": {"name": "old", "version": "1"}}


def test_a_legacy_clients_request_gets_an_envelope_of_what_it_declared() -> None:
    capabilities: Json = {"elicitation": {}, "tasks": {"list": {}}}
    made = envelope.modern_meta({"progressToken": 1}, capabilities, {"name": "me"}, "info")

    assert made == {
        "progressToken": 1,
        CAPABILITIES_KEY: {"elicitation": {}},
        INFO_KEY: {"name": "me"},
        LEVEL_KEY: "info",
    }


def test_an_envelope_says_nothing_of_what_is_not_known() -> None:
    assert envelope.modern_meta({}, {}, {}, None) == {CAPABILITIES_KEY: {}}


@given(VENDOR, VENDOR)
def test_a_legacy_upstream_gets_everything_but_the_envelope(params: Json, meta: Json) -> None:
    sent = {
        **params,
        "_meta": {**meta, **meta_of({}, **{LEVEL_KEY: "info"})},
        "inputResponses": {},
        "requestState": "s",
    }

    assert envelope.legacy_params(sent) == {**params, **({"_meta": meta} if meta else {})}


def test_absent_params_stay_absent() -> None:
    assert envelope.legacy_params(None) is None


@given(VENDOR, VENDOR)
def test_a_legacy_client_gets_everything_but_what_is_modern(result: Json, meta: Json) -> None:
    modern = {**result, "resultType": "complete", "ttlMs": 1, "cacheScope": "public"}
    stamped = {**modern, "_meta": {**meta, SERVER_INFO_KEY: {"name": "new"}}}

    assert envelope.legacy_result("vendor/x", modern) == result
    assert envelope.legacy_result("vendor/x", stamped) == {**result, **({"_meta": meta} if meta else {})}


def test_a_legacy_client_gets_structured_content_only_if_it_is_an_object() -> None:
    text: Json = {"content": [{"type": "text", "text": "[1]"}]}

    assert envelope.legacy_result("tools/call", {**text, "structuredContent": [1]}) == text
    assert envelope.legacy_result("tools/call", {**text, "structuredContent": None}) == text
    assert envelope.legacy_result("tools/call", {"structuredContent": {"a": 1}}) == {"structuredContent": {"a": 1}}


def test_a_legacy_client_gets_output_schemas_of_objects_only() -> None:
    schema = {"$schema": "x", "type": "object", "$defs": {}, "if": {}}
    tools = [{"name": "a", "outputSchema": schema}, {"name": "b", "outputSchema": {"type": "array"}}, {"name": "c"}, 7]
    result = envelope.legacy_result("tools/list", {"tools": tools})

    assert result["tools"] == [{"name": "a", "outputSchema": schema}, {"name": "b"}, {"name": "c"}, 7]


@given(VENDOR, st.sampled_from(["tools/call", "tools/list", "resources/read", "prompts/list", "vendor/x"]))
def test_a_modern_result_is_complete_and_says_who_answered(result: Json, method: str) -> None:
    stamped = envelope.modern_result(method, result, HELLO)

    assert stamped["resultType"] == "complete"
    assert stamped["_meta"][SERVER_INFO_KEY] == HELLO["serverInfo"]
    assert ("ttlMs" in stamped) == (method in ("tools/list", "resources/read", "prompts/list"))
    assert envelope.legacy_result("vendor/x", stamped) == result


def test_caching_hints_are_made_private_and_short_but_never_overwritten() -> None:
    assert envelope.modern_result("tools/list", {}, {}) == {
        "ttlMs": 0,
        "cacheScope": "private",
        "resultType": "complete",
    }
    assert envelope.modern_result("tools/list", {"ttlMs": 5}, {})["ttlMs"] == 5


def test_an_unknown_resource_has_a_code_in_each_era() -> None:
    gone = {"code": -32602, "message": "gone", "data": {"uri": "f:x", "more": 1}}

    assert envelope.legacy_error("resources/read", gone) == {**gone, "code": -32002}
    assert envelope.modern_error("resources/read", {**gone, "code": -32002}) == gone
    assert envelope.legacy_error("tools/call", gone) == gone
    assert envelope.legacy_error("resources/read", {"code": -32602, "message": "bad"})["code"] == -32602


@given(st.dictionaries(st.sampled_from(["code", "message", "data"]), JSON))
def test_vendor_errors_pass_as_they_are(error: Json) -> None:
    if error.get("code") not in (-32002, -32602, -32020):
        assert envelope.legacy_error("resources/read", error) == error
        assert envelope.modern_error("resources/read", error) == error
        assert envelope.own_fault(error) == error


def test_a_header_mismatch_with_the_upstream_is_not_shown_as_the_clients() -> None:
    assert envelope.own_fault({"code": -32020, "message": "m"}) == {"code": -32603, "message": "m"}


def test_a_modern_upstream_greets_a_legacy_client_in_its_version() -> None:
    discovered: Json = {
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}, "extensions": {"x": {}}, "tasks": {}},
        "instructions": "Be kind.",
        "_meta": {SERVER_INFO_KEY: {"name": "new", "version": "2"}},
    }
    hello = envelope.legacy_hello(discovered, "2025-06-18")

    assert hello == {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "new", "version": "2"},
        "instructions": "Be kind.",
    }


@pytest.mark.parametrize("discovered", [{}, {"_meta": 7, "capabilities": None}, {"_meta": {SERVER_INFO_KEY: 7}}])
def test_a_modern_upstream_that_says_little_still_greets(discovered: Json) -> None:
    hello = envelope.legacy_hello(discovered, "unheard of")

    assert (hello["protocolVersion"], hello["capabilities"]) == ("2025-11-25", {})
    assert set(hello["serverInfo"]) == {"name", "version"}


def test_a_legacy_upstream_is_discovered_without_its_legacy_tasks() -> None:
    found = envelope.modern_hello({**HELLO, "capabilities": {"tools": {}, "tasks": {}}, "instructions": "Hi"})

    assert found["capabilities"] == {"tools": {}}
    assert found["supportedVersions"] == ["2026-07-28"]
    assert found["instructions"] == "Hi"
    assert (found["resultType"], found["ttlMs"], found["cacheScope"]) == ("complete", 0, "private")
    assert PROTOCOL_KEY not in found["_meta"]


def test_a_result_keeps_its_text_across_eras_where_only_whole_members_come_or_go() -> None:
    modern = Raw(loads(text := b'{"resultType":"complete","content":[{"type":"text","text":"1.50"}]}'), text)
    legacy = legacy_result("tools/call", modern)

    assert isinstance(legacy, Raw)
    assert legacy.text == b'{"content":[{"type":"text","text":"1.50"}]}'
    again = modern_result("tools/call", legacy, {"serverInfo": {"name": "s"}})
    assert isinstance(again, Raw)
    assert loads(again.text) == again == {**modern, "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s"}}}


@pytest.mark.parametrize("kind", [dict, lambda members: Raw(members)])
def test_the_text_and_the_members_of_a_bridged_result_say_the_same(kind: Any) -> None:
    info = {"io.modelcontextprotocol/serverInfo": {"name": "s"}}
    for members in (
        {"resultType": "complete", "content": [], "_meta": {**info, "x": 1}},
        {"content": [], "structuredContent": [1], "resultType": "complete"},
        {"ttlMs": 5, "contents": [], "cacheScope": "public"},
    ):
        legacy = legacy_result("tools/call", kind(members))
        assert legacy == legacy_result("tools/call", dict(members))
        modern = modern_result("tools/call", kind(members), {"serverInfo": {"name": "t"}})
        assert modern == modern_result("tools/call", dict(members), {"serverInfo": {"name": "t"}})
        for made in (legacy, modern):
            if isinstance(made, Raw):
                assert loads(made.text) == made
