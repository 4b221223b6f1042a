"""Requests are valid messages of their era, and only the right reply passes."""

import json

import pytest

from benchmarks.messages import (
    ECHO,
    ERAS,
    LIST,
    OPERATIONS,
    RESULT,
    TOOLS,
    Era,
    Operation,
    answer,
    headers,
    right,
    template,
)


def ask(operation: Operation, era: Era, ident: int) -> bytes:
    text = template(operation, era)
    message = json.loads(text % ((ident,) * text.count(b"%d")))
    assert (message["id"], message["method"]) == (ident, operation.method)
    assert ("_meta" in message["params"]) is (era == "modern")
    reply = answer(message, era)
    assert reply is not None
    return reply


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_upstreams_reply_is_right_for_its_own_request_only(operation: Operation, era: Era) -> None:
    reply = ask(operation, era, 7)
    result = json.loads(reply)["result"]
    assert ("resultType" in result) is (era == "modern")
    assert right(operation, 7, reply, True)
    assert not right(operation, 8, reply, True)


def test_a_reply_cut_short_or_without_a_result_is_wrong() -> None:
    assert not right(RESULT, 1, ask(RESULT, "legacy", 1)[:50_000], False)
    assert not right(LIST, 1, b'{"jsonrpc":"2.0","id":1,"error":{}}', False)
    assert not right(ECHO, 1, b'{"id":1,"error":{"message":"hello 1"}}', True)
    assert len(json.loads(ask(LIST, "legacy", 1))["result"]["tools"]) == TOOLS


def test_an_unknown_method_is_an_error_and_a_notification_gets_nothing() -> None:
    assert b"-32601" in (answer({"id": 1, "method": "initialize"}, "modern") or b"")
    assert answer({"method": "notifications/initialized"}, "legacy") is None


def test_each_era_has_its_headers() -> None:
    assert headers(ECHO, "legacy", "s")["mcp-session-id"] == "s"
    modern = headers(ECHO, "modern", "s")
    assert (modern["mcp-method"], modern["mcp-name"]) == ("tools/call", "echo")
    assert "mcp-session-id" not in modern
