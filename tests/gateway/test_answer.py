import logging
from typing import Any

import pytest

from portkey_mcp.errors import (
    ConnectNeeded,
    Forbidden,
    InvalidRequest,
    Mistake,
    NotFound,
    Unauthenticated,
    UpstreamDown,
    UpstreamError,
    UpstreamTimeout,
)
from portkey_mcp.gateway.answer import ERROR_META, http_status, outcome_of, rpc_error, status_of
from portkey_mcp.gateway.inbound import BadMessage
from portkey_mcp.gateway.wanting import Told

DOWN = UpstreamDown("files", "it is down", retry_after=2.34)


def test_an_upstreams_own_error_passes_as_it_is() -> None:
    error = {"code": -31999, "message": "vendor", "data": [None, 2**70], "more": 1}

    assert outcome_of(UpstreamError(error), "tools/call", "modern") == {"error": error}


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_what_takes_an_account_says_where_to_connect_it(era: Any) -> None:
    needed = ConnectNeeded("up", "It wants an account", "https://gw/connect/team/up")
    called, asked = outcome_of(needed, "tools/call", era)["result"], outcome_of(needed, "prompts/get", era)["error"]

    assert called["isError"] is True
    assert called["content"][0]["text"] == asked["message"]
    assert asked["message"].startswith("It wants an account. ")
    assert needed.url in asked["message"]
    assert (asked["code"], asked["data"]["url"]) == (1001, needed.url)
    assert called["_meta"][ERROR_META] == asked["data"]
    assert "url" not in outcome_of(ConnectNeeded("up", "Ask an admin."), "x", era)["error"]["data"]


def test_a_legacy_client_that_opens_urls_is_sent_there_by_the_error_of_its_era() -> None:
    told = Told("up", "It wants an account", "https://gw/connect/team/up", "e1")
    asked = {"mode": "url", "elicitationId": "e1", "url": told.url, "message": told.text}

    error = {"code": -32042, "message": told.text, "data": {"elicitations": [asked]}}
    assert outcome_of(told, "tools/call", "legacy") == {"error": error}


def test_a_wrong_request_is_an_error_with_its_code_in_every_method() -> None:
    assert outcome_of(InvalidRequest(-32602, "no"), "tools/call", "legacy") == {"error": rpc_error(-32602, "no")}
    assert rpc_error(1, "m", 0) == {"code": 1, "message": "m", "data": 0}


def test_a_tool_of_a_server_that_is_down_answers_what_a_model_can_read() -> None:
    result = outcome_of(DOWN, "tools/call", "legacy")["result"]

    assert result["isError"] is True
    assert "files" in result["content"][0]["text"]
    assert "Try again in 2 s" in result["content"][0]["text"]
    assert result["_meta"] == {ERROR_META: {"server": "files", "reason": "it is down", "retryAfterSeconds": 2.3}}
    assert "resultType" not in result
    assert outcome_of(DOWN, "tools/call", "modern")["result"]["resultType"] == "complete"


def test_a_call_that_may_have_run_says_so() -> None:
    text = outcome_of(UpstreamTimeout("files", "silence", sent=True), "tools/call", "modern")["result"]["content"][0]

    assert "may have run" in text["text"]


@pytest.mark.parametrize("method", ["prompts/get", "resources/read", "tools/list", "vendor/x"])
def test_any_other_request_to_a_server_that_is_down_is_an_error(method: str) -> None:
    error = outcome_of(DOWN, method, "modern")["error"]

    assert error["code"] == -32603
    assert error["data"]["server"] == "files"


def test_a_registration_that_is_not_usable_is_like_a_server_that_is_down() -> None:
    assert "TOKEN is not set" in str(outcome_of(Mistake("TOKEN is not set"), "tools/call", "modern")["result"])


def test_an_unexpected_failure_tells_the_log_everything_and_the_client_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        outcome = outcome_of(KeyError("secret"), "tools/call", "modern")

    assert outcome["error"]["code"] == -32603
    assert "secret" not in str(outcome)
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("code", "status"),
    [(-32700, 400), (-32600, 400), (-32602, 400), (-32020, 400), (-32021, 400), (-32022, 400), (-32601, 404)],
)
def test_a_modern_error_has_the_http_status_of_its_code(code: int, status: int) -> None:
    assert status_of({"error": {"code": code}}, "modern") == status
    assert status_of({"error": {"code": code}}, "legacy") == 200


@pytest.mark.parametrize("code", [-32603, 7, None, [], {}, "x", 1.5])
def test_any_other_code_is_answered_with_200(code: Any) -> None:
    assert status_of({"error": {"code": code}}, "modern") == 200
    assert status_of({"result": {}}, "modern") == 200


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (BadMessage(-32700, "no"), 400),
        (BadMessage(-32601, "no"), 404),
        (BadMessage(-1, "no"), 400),
        (NotFound("no"), 404),
        (Unauthenticated("no"), 401),
        (Forbidden("no"), 403),
        (ValueError("no"), 500),
    ],
)
def test_a_refusal_before_any_call_has_its_http_status(refusal: Exception, status: int) -> None:
    assert http_status(refusal) == status
