"""What an MCP URL answers to somebody without a credential (K1, A2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.door import challenge, door, redirected, shut
from portkey_mcp.doctor.target import target

TARGET = target("https://mcp.example.com/team/mcp")
POINTER = "https://mcp.example.com/.well-known/oauth-protected-resource/team/mcp"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer("u", 401), "asks"),
        (Answer("u", 200, {}, b'{"result": {}}'), "open"),
        (Answer("u", 200, {}, b'{"result": {"isError": true}}'), "shut"),
        (Answer("u", 200, {}, b'{"error": {"code": -32601}}'), "shut"),
        (Answer("u", 403), "shut"),
        (Answer("u", failure="no answer"), "shut"),
    ],
)
def test_only_a_401_asks_and_only_a_result_lets_in(answer: Answer, kind: str) -> None:
    assert door(answer) == kind


def bearer(said: str) -> list[tuple[str, str]]:
    _, findings = challenge(Answer("u", 401, {"www-authenticate": said}), TARGET)
    return [(finding.verdict, finding.what) for finding in findings]


@pytest.mark.parametrize(
    ("said", "verdict", "what"),
    [
        (f'Bearer resource_metadata="{POINTER}", scope="x"', "good", "Claude will start a sign-in"),
        ("", "bad", "without WWW-Authenticate"),
        ('Bearer resource_metadata="x', "bad", "not well-formed"),
        ('Basic realm="x"', "bad", "asks for basic, not Bearer"),
        ('Bearer scope="x"', "bad", "no resource_metadata"),
        ('Bearer resource_metadata="/.well-known/x", scope="x"', "bad", "no absolute URL"),
        ('Bearer resource_metadata="http://mcp.example.com/x", scope="x"', "bad", "not https"),
        ('Bearer resource_metadata="https://other.example/x", scope="x"', "doubtful", "at another host"),
        (
            'Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource", scope="x"',
            "doubtful",
            "points to the root document",
        ),
        (f'Bearer resource_metadata="{POINTER}"', "doubtful", "names no scope"),
        (f'Bearer resource_metadata="{POINTER}", scope="x offline_access"', "doubtful", "asks for offline_access"),
        (f'Bearer resource_metadata="{POINTER}", scope="x", error="invalid_token"', "doubtful", "error=invalid_token"),
    ],
)
def test_a2_the_challenge_leads_on_and_says_no_more_than_it_has_to(said: str, verdict: str, what: str) -> None:
    [finding] = bearer(said)

    assert finding[0] == verdict
    assert what in finding[1]


def test_a_redirect_says_that_the_token_is_lost() -> None:
    finding = redirected(Answer("u", 308, {"location": "https://elsewhere.example/mcp"}), TARGET)

    assert finding.verdict == "bad"
    assert "https://elsewhere.example/mcp" in finding.what
    assert "in place" in finding.mend


@given(
    st.integers(100, 599).filter(lambda status: status != 401),
    st.binary(max_size=50),
    st.sampled_from(["text/html", "application/json", ""]),
)
def test_whatever_shuts_the_door_is_bad_and_can_be_mended(status: int, body: bytes, media: str) -> None:
    finding = shut(Answer("u", status, {"content-type": media, "location": "x"}, body), TARGET)

    assert (finding.verdict, bool(finding.what), bool(finding.mend)) == ("bad", True, True)
