"""The token endpoint, tried with what must not work (A16, A17)."""

import pytest

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.redeeming import form, redeemed, unknown
from tests.doctor.documents import answered


def error(name: str, status: int = 400) -> Answer:
    return answered({"error": name}, status=status, cache_control="no-store")


def test_k8_the_resource_is_sent_with_the_code() -> None:
    sent = form("c", "https://h/mcp")

    assert (sent["client_id"], sent["resource"], sent["grant_type"]) == ("c", "https://h/mcp", "authorization_code")
    assert len(sent["code_verifier"]) >= 43


@pytest.mark.parametrize(
    ("answer", "verdict", "what"),
    [
        (error("invalid_grant"), "good", "invalid_grant"),
        (error("invalid_client", 401), "bad", "does not know the client"),
        (error("invalid_request"), "doubtful", "invalid_request"),
        (error("invalid_grant", 401), "doubtful", "401"),
        (answered({"error": "invalid_grant"}, status=400), "doubtful", "Cache-Control: none"),
        (answered({"detail": []}, status=422), "bad", "does not take a form"),
        (answered({}, status=415), "bad", "does not take a form"),
        (answered({"access_token": "x"}), "bad", "a code that was never given"),
        (Answer("u", 404, {"content-type": "text/html"}), "bad", "without a JSON error"),
        (Answer("u", 503), "bad", "503"),
        (Answer("u", failure="no answer"), "bad", "no answer"),
    ],
)
def test_a17_a_made_up_code_is_refused_as_rfc_6749_has_it(answer: Answer, verdict: str, what: str) -> None:
    findings = list(redeemed(answer))

    assert any(f.verdict == verdict and what in f.what for f in findings), findings
    assert "access_token" not in str(findings)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (error("invalid_client", 401), "good"),
        (error("invalid_client", 400), "doubtful"),
        (error("invalid_grant"), "doubtful"),
        (answered({}, status=422), "bad"),
        (answered({"access_token": "x"}), "bad"),
        (Answer("u", 404), "bad"),
    ],
)
def test_a16_an_unknown_client_gets_the_error_on_which_claude_registers_anew(answer: Answer, verdict: str) -> None:
    [finding] = unknown(answer)

    assert finding.verdict == verdict
