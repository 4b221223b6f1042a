"""A registration as claude.ai sends it, and what has to come back (A16, K5)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.registering import CALLBACK, registered, request
from tests.doctor.documents import JUNK, METADATA, answered, changed

SENT = request(METADATA, "x")
GOOD = {"client_id": "c", **SENT}


def test_k7_it_asks_for_claude_s_own_callback_and_for_what_the_server_offers() -> None:
    assert SENT["redirect_uris"] == [CALLBACK] == ["https://claude.ai/api/mcp/auth_callback"]
    assert SENT["token_endpoint_auth_method"] == "none"
    assert request({}, "")["token_endpoint_auth_method"] == "client_secret_post"
    assert "scope" not in request({}, "")


@pytest.mark.parametrize(
    ("answer", "verdict", "what", "mend"),
    [
        (answered(GOOD, status=201), "good", "left behind: client c", ""),
        (answered(GOOD), "doubtful", "answers 200", "201"),
        (answered(changed(GOOD, client_id=None), status=201), "bad", "no client_id", "RFC 7591"),
        (answered(changed(GOOD, redirect_uris=[]), status=201), "bad", "does not repeat", "all that was registered"),
        (answered({**GOOD, "client_secret": "s"}, status=201), "bad", "integer client_secret_expires_at", "0"),
        (
            answered({**GOOD, "client_secret": "s", "client_secret_expires_at": True}, status=201),
            "bad",
            "integer client_secret_expires_at",
            "0",
        ),
        (
            answered({**GOOD, "client_secret": "s", "client_secret_expires_at": 0}, status=201),
            "doubtful",
            "got a secret all the same",
            "send none",
        ),
        (
            answered({"error": "invalid_redirect_uri", "error_description": "not ours"}, status=400),
            "bad",
            "not ours",
            CALLBACK,
        ),
        (answered({}, status=401), "bad", "wants a credential", "anybody"),
        (answered({}, status=404), "bad", "nothing is there", "registration_endpoint"),
        (answered({}, status=429), "bad", "few addresses", "do not limit"),
        (answered({}, status=418), "bad", "no client came back", "log"),
        (Answer("u", 201, {}, b"<html>"), "bad", "no JSON object", "JSON"),
        (Answer("u", failure="no answer"), "bad", "no answer", "log"),
    ],
)
def test_the_answer_is_judged(answer: Answer, verdict: str, what: str, mend: str) -> None:
    findings = list(registered(answer, SENT))

    assert any(f.verdict == verdict and what in f.what and mend in f.mend for f in findings), findings


@given(st.sampled_from([200, 201, 400]), st.dictionaries(st.sampled_from([*GOOD, "client_secret", "error"]), JUNK))
def test_whatever_comes_back_it_is_judged(status: int, document: dict[str, Any]) -> None:
    assert list(registered(answered(document, status=status), SENT))
