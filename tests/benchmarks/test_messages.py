"""Requests are valid messages of their era, and only the right reply passes."""

import json

import pytest

from benchmarks.messages import (
    ECHO,
    ERAS,
    LIST,
    LISTEN,
    OPERATIONS,
    RESULT,
    TOOLS,
    Era,
    Operation,
    acknowledgement,
    answer,
    delay,
    headers,
    right,
    slow,
    template,
)


def ask(operation: Operation, era: Era, ident: int) -> bytes:
    text = template(operation, era)
    message = json.loads(text % ((ident,) * text.count(b"%d")))
    assert (message["id"], message["method"]) == (ident, operation.method)
    assert ("_meta" in message["params"]) is (era == "modern")
    reply = answer(message, era, hub=operation.hub)
    assert reply is not None
    # A hub puts the server's name before the tool's.
    return reply.replace(b'"tool_', b'"server-00__tool_') if operation.hub else reply


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


def test_a_key_goes_along_where_there_is_one() -> None:
    assert headers(ECHO, "modern", key="pk_1")["authorization"] == "Bearer pk_1"
    assert "authorization" not in headers(ECHO, "modern")


def test_only_the_slow_tool_waits_and_as_long_as_it_is_asked_to() -> None:
    operation = slow(0.25)
    assert delay(json.loads(template(operation, "modern") % 1)) == 0.25
    assert delay(json.loads(template(ECHO, "legacy") % (1, 1))) == 0
    assert right(operation, 3, ask(operation, "modern", 3), True)


def test_a_listen_stream_is_acknowledged_under_the_requests_own_id() -> None:
    event = acknowledgement(json.loads(template(LISTEN, "modern") % 7))
    said = json.loads(event.partition(b"data: ")[2])
    assert said["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 7
    assert LISTEN.needle.encode() in event
