"""What belongs to one hop: ids, progress tokens, the modern envelope."""

import pytest

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.upstream.messages import (
    bare,
    ended_subscription,
    number,
    result_of,
    same_id,
    subscription_of,
    with_envelope,
)


@pytest.mark.parametrize("token", ["a", 5, 2**70, None, 1.0])
def test_a_progress_token_is_replaced_by_the_id_and_restored_with_its_type(token: object) -> None:
    params = {"_meta": {"progressToken": token, "x": None}, "name": "t"}

    call = number(9, "tools/call", params)
    progress = {"method": "notifications/progress", "params": {"progressToken": 9, "progress": 1, "extra": None}}

    assert call.message["params"] == {"_meta": {"progressToken": 9, "x": None}, "name": "t"}
    assert params["_meta"]["progressToken"] == token  # type: ignore[index]
    assert repr(call.restore(progress)["params"]) == repr({"progressToken": token, "progress": 1, "extra": None})


def test_a_request_without_a_token_gets_none_and_restores_nothing() -> None:
    call = number(9, "tools/call", {"_meta": {}})
    progress = {"method": "notifications/progress", "params": {"progressToken": 9}}

    assert call.message["params"] == {"_meta": {}}
    assert call.restore(progress) is progress


def test_params_that_are_absent_stay_absent() -> None:
    assert number(1, "ping", None).message == {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def test_another_requests_progress_is_left_alone() -> None:
    call = number(9, "tools/call", {"_meta": {"progressToken": "mine"}})
    other = {"method": "notifications/progress", "params": {"progressToken": 8}}

    assert call.restore(other) is other


def test_the_envelope_gets_this_hops_version_and_capabilities_only_where_there_are_none() -> None:
    stamped = with_envelope(None, "v")
    kept = with_envelope({"_meta": {"io.modelcontextprotocol/clientCapabilities": {"x": 1}, "other": None}}, "v")

    assert stamped["_meta"] == {
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/protocolVersion": "v",
    }
    assert kept["_meta"]["io.modelcontextprotocol/clientCapabilities"] == {"x": 1}
    assert kept["_meta"]["other"] is None
    assert with_envelope(kept, "v") is kept
    assert with_envelope(kept, "w")["_meta"]["io.modelcontextprotocol/protocolVersion"] == "w"


def test_an_answer_is_recognised_by_its_id_however_it_is_written() -> None:
    call = number(9, "x", None)

    assert call.is_answered_by({"id": 9, "result": {}})
    assert call.is_answered_by({"id": "9", "result": {}})
    assert call.is_answered_by({"id": None, "error": {}})
    assert not call.is_answered_by({"id": 8, "result": {}})
    assert not same_id(None, 9)


def test_a_result_is_returned_raw_and_an_error_raised_raw() -> None:
    error = {"code": -32000, "message": "m", "data": None, "vendor": 1}

    assert result_of({"result": {"x": None}}, "up") == {"x": None}
    with pytest.raises(UpstreamError) as raised:
        result_of({"error": error}, "up")
    assert raised.value.error == error


@pytest.mark.parametrize("message", [{}, {"result": None}, {"error": "text"}])
def test_an_answer_that_is_neither_is_said_to_be_no_answer(message: dict[str, object]) -> None:
    with pytest.raises(UpstreamDown, match="neither a result nor an error"):
        result_of(message, "up")


def test_the_corridor_gets_messages_without_what_is_this_hops() -> None:
    assert bare({"jsonrpc": "2.0", "id": 1, "method": "m", "params": None, "x": 1}) == {
        "method": "m",
        "params": None,
        "x": 1,
    }


def test_a_subscription_id_is_found_where_the_protocol_puts_it() -> None:
    key = "io.modelcontextprotocol/subscriptionId"

    assert subscription_of({"params": {"_meta": {key: 5}}}) == 5
    assert subscription_of({"params": [1]}) is None
    assert ended_subscription(5)["result"] == {"resultType": "complete", "_meta": {key: 5}}
