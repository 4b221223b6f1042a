"""Whatever way something leaves the gateway, it is looked at on the same terms."""

from typing import Any

import pytest

from portkey_mcp.errors import Refused, UpstreamError
from portkey_mcp.gateway.guarding import answered, failed, finished, greeted, searched, told
from portkey_mcp.policy.document import parse
from portkey_mcp.policy.terms import FREE, Terms, fold
from portkey_mcp.wire import Json

KEY = "AKIA" + "IOSFODNN7EXAMPLE"
BAD = f"{KEY}\u200b"


def terms(**rule: Any) -> Terms:
    return fold(enumerate(parse({"rules": [{"match": "*", **rule}]}).rules))


MASKING = terms(redact=[{"find": "secrets", "in": "both"}], hidden_text="remove")
BLOCKING = terms(redact=[{"find": "secrets", "in": "both", "do": "block"}])


def test_a_result_an_error_and_what_comes_before_them_are_cleaned_and_searched() -> None:
    message: Json = {"method": "notifications/message", "params": {"data": BAD}}
    for made in (
        finished(MASKING, {"content": [{"type": "text", "text": BAD}], "structuredContent": {"a": BAD}}),
        finished(MASKING, {"taskId": "1", "result": {"content": [{"type": "text", "text": BAD}]}}),
        failed(MASKING, UpstreamError({"code": -32000, "message": BAD, "data": [BAD]})).error,
        told(MASKING, message),
        greeted(MASKING, {"instructions": BAD}),
        searched(MASKING, {"arguments": {"a": BAD}, "inputResponses": {"x": BAD}, "vendor": BAD, "_meta": {"v": BAD}}),
        answered(MASKING, {"result": {"content": {"a": BAD}}}),
    ):
        assert made is not None
        assert KEY not in str(made)


def test_what_may_not_pass_is_refused_or_left_out() -> None:
    with pytest.raises(Refused):
        finished(BLOCKING, {"content": [{"type": "text", "text": KEY}]})
    with pytest.raises(Refused):
        failed(BLOCKING, UpstreamError({"code": -32000, "message": KEY}))
    with pytest.raises(Refused):
        searched(BLOCKING, {"arguments": {"a": KEY}})
    assert told(BLOCKING, {"method": "x", "params": {"a": KEY}}) is None
    assert greeted(BLOCKING, {"instructions": KEY, "serverInfo": {}}) == {"serverInfo": {}}
    assert "error" in answered(BLOCKING, {"result": {"a": KEY}})


def test_the_code_of_an_error_and_what_belongs_to_the_protocol_stay() -> None:
    error = UpstreamError({"code": -32042, "message": BAD}, 400, {"a": "b"})
    passed = failed(MASKING, error)
    assert (passed.code, passed.status, passed.headers) == (-32042, 400, {"a": "b"})
    params = {"name": KEY, "requestState": KEY, "_meta": {"progressToken": KEY, "io.modelcontextprotocol/x": KEY}}
    assert searched(MASKING, params) is params


def test_the_servers_own_state_is_never_changed() -> None:
    result = {"resultType": "input_required", "requestState": BAD, "inputRequests": {"a": BAD}}
    made = finished(MASKING, result)
    assert made["requestState"] == BAD
    assert KEY not in str(made["inputRequests"])
    assert finished(MASKING, {"requestState": BAD, "content": []})["requestState"] != BAD


def test_what_needs_no_change_is_the_same_object() -> None:
    every = terms(redact=["email"], hidden_text="remove", max_result="10KB")
    result: Json = {"content": [{"type": "text", "text": "nothing"}]}
    error = UpstreamError({"code": 1, "message": "nothing"})
    message: Json = {"method": "x", "params": {"a": 1}}
    for held in (every, FREE):
        assert finished(held, result) is result
        assert failed(held, error) is error
        assert told(held, message) is message
        assert greeted(held, {**result}) == result
        assert searched(held, result) is result


def test_a_result_that_is_too_large_is_cut_before_it_is_searched() -> None:
    cutting = terms(redact=["email"], max_result="2KB")
    made = finished(cutting, {"content": [{"type": "text", "text": "x" * 5000 + "ada@example.com"}]})
    assert len(str(made)) < 2500
    assert "@" not in str(made)
