"""The messages that are sent, and how their answers are read."""

import json

import pytest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.messages import LEGACY, MODERN, complaint, initialize, legacy, modern, outcome, result


def test_the_versions_are_the_newest_of_each_era() -> None:
    assert MODERN == LATEST_MODERN_VERSION
    assert HANDSHAKE_PROTOCOL_VERSIONS[-1] == LEGACY


def test_a_modern_request_carries_its_introduction_and_its_headers() -> None:
    message = modern("tools/list", {"cursor": "c"})

    assert message.headers["mcp-method"] == "tools/list"
    assert (
        message.headers["mcp-protocol-version"]
        == message.body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"]
    )
    assert message.body["params"]["cursor"] == "c"


def test_a_legacy_notification_has_no_id_and_a_session_is_named_in_a_header() -> None:
    assert "id" not in legacy("notifications/initialized").body
    assert legacy("tools/list", session="s").headers["mcp-session-id"] == "s"
    assert "mcp-session-id" not in legacy("tools/list").headers
    assert initialize().body["params"]["protocolVersion"] == LEGACY


STREAM = b"""\
: hello\r
\r
event: message\r
data: {"method": "x"}\r
\r
data: {"id": 1,\r
data: "result": {"a": 1}}\r
\r
"""


@pytest.mark.parametrize(
    ("answer", "found", "words"),
    [
        (Answer("u", 200, {}, b'{"result": {"a": 1}}'), {"a": 1}, ""),
        (Answer("u", 200, {"content-type": "text/event-stream"}, STREAM), {"a": 1}, ""),
        (Answer("u", 200, {"content-type": "text/event-stream"}, b"data: {\n\ndata: 1\n\n"), None, ""),
        (Answer("u", 200, {}, b'{"error": {"code": -1, "message": "no"}}'), None, "no"),
        (Answer("u", 200, {}, b'{"error": {}}'), None, "an error"),
        (Answer("u", 200, {}, b'{"result": {"isError": true, "content": [{"text": "sign in"}]}}'), None, "sign in"),
        (Answer("u", 200, {}, b'{"result": {"isError": true, "content": 3}}'), None, "isError"),
        (Answer("u", 500, {}, b'{"result": {}}'), None, ""),
        (Answer("u", 200, {}, b'{"result": 3}'), None, ""),
        (Answer("u", 200, {}, b'{"hello": 3}'), None, ""),
        (Answer("u", 200, {}, b"<html>"), None, ""),
    ],
)
def test_a_result_is_one_that_a_client_can_use(answer: Answer, found: object, words: str) -> None:
    assert result(answer) == found
    assert complaint(answer) == words


def test_an_outcome_is_an_error_too() -> None:
    error = {"error": {"code": -32601, "message": "unknown"}}

    assert outcome(Answer("u", 404, {}, json.dumps(error).encode())) == error
