"""The authorization endpoint as a browser meets it (A12 to A14, B1, K6, K7)."""

from urllib.parse import parse_qs, urlsplit

import pytest

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.authorizing import ELSEWHERE, asked, astray, question, unproven
from portkey_mcp.doctor.registering import CALLBACK
from tests.doctor.documents import ISSUER, METADATA


def to(location: str) -> Answer:
    return Answer("u", 302, {"location": location})


PAGE = Answer("u", 200, {"content-security-policy": "default-src 'self'; frame-ancestors 'none'"})


def test_k6_the_question_always_carries_pkce_and_the_resource() -> None:
    url = question(f"{ISSUER}/authorize?tenant=1", "c", scope="x y", resource=f"{ISSUER}/mcp")
    said = {name: value for name, [value] in parse_qs(urlsplit(url).query).items()}

    assert said["tenant"] == "1"
    assert (said["client_id"], said["redirect_uri"], said["response_type"]) == ("c", CALLBACK, "code")
    assert (said["scope"], said["resource"]) == ("x y", f"{ISSUER}/mcp")
    assert (said["code_challenge_method"], len(said["code_challenge"])) == ("S256", 43)
    assert "code_challenge" not in question(ISSUER, "c", scope="", resource="r", pkce=False)


@pytest.mark.parametrize(
    ("answer", "verdict", "what"),
    [
        (PAGE, "good", "shows a page"),
        (PAGE, "good", "forbids framing"),
        (Answer("u", 200, {"x-frame-options": "DENY"}), "good", "forbids framing"),
        (Answer("u", 200, {"x-frame-options": "ALLOWALL"}), "doubtful", "framed by any site"),
        (to(f"{ISSUER}/sign-in?next=1"), "good", f"leads on to {ISSUER}/sign-in"),
        (to(f"{ISSUER}/sign-in"), "skipped", "come after a redirect"),
        (to(f"{CALLBACK}?code=x&state=y"), "bad", "has not signed in"),
        (to(f"{CALLBACK}?error=invalid_scope&error_description=no+x"), "bad", "invalid_scope: no x"),
        (to(CALLBACK), "bad", "sends Claude back"),
        (Answer("u", 400), "bad", "400 Bad Request"),
        (Answer("u", 500), "bad", "500"),
        (Answer("u", failure="no answer"), "bad", "no answer"),
    ],
)
def test_claude_s_question_leads_to_a_page(answer: Answer, verdict: str, what: str) -> None:
    findings = list(asked(answer))

    assert any(f.verdict == verdict and what in f.what for f in findings), findings


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer("u", 400), "good"),
        (to(f"{ISSUER}/sign-in?redirect_uri={ELSEWHERE}"), "good"),
        (to(f"{ELSEWHERE}?error=access_denied"), "bad"),
        (to("https://doctor.invalid?code=1"), "bad"),
        (Answer("u", 500), "doubtful"),
    ],
)
def test_a14_nothing_goes_to_an_address_that_is_not_registered(answer: Answer, verdict: str) -> None:
    assert astray(answer).verdict == verdict


@pytest.mark.parametrize(
    ("answer", "verdicts"),
    [
        (to(f"{CALLBACK}?error=invalid_request&iss={ISSUER}"), ["good"]),
        (to(f"{CALLBACK}?error=invalid_request"), ["good", "bad"]),
        (to(f"{CALLBACK}?error=invalid_request&iss={ISSUER}/"), ["good", "bad"]),
        (Answer("u", 400), ["good"]),
        (to(f"{CALLBACK}?code=x"), ["bad"]),
        (PAGE, ["doubtful"]),
        (to(f"{ISSUER}/sign-in"), ["doubtful"]),
    ],
)
def test_a12_a13_without_pkce_it_is_refused_and_the_refusal_names_the_issuer(
    answer: Answer, verdicts: list[str]
) -> None:
    assert [finding.verdict for finding in unproven(answer, METADATA)] == verdicts
