"""The same request in other ways, and what must not be there."""

import pytest

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.beside import SLOW_GET, absent, agents, cased, got, slashed
from portkey_mcp.doctor.target import target

TARGET = target("https://mcp.example.com/mcp")
ASKED = Answer("u", 401)
GONE = Answer("u", 404)


def test_every_user_agent_gets_the_same() -> None:
    assert agents("asks", {"Claude-User": ASKED, "curl": ASKED}).verdict == "good"
    blocked = agents("asks", {"Claude-User": Answer("u", 403), "curl": ASKED})
    assert (blocked.verdict, "Claude-User gets 403" in blocked.what, "firewall" in blocked.mend) == ("bad", True, True)


def test_the_slash_is_worse_missed_where_claude_takes_it_away() -> None:
    assert slashed("asks", TARGET, ASKED).verdict == "good"
    assert slashed("asks", TARGET, GONE).verdict == "doubtful"
    assert slashed("asks", target("https://mcp.example.com/mcp/"), GONE).verdict == "bad"


def test_the_case_of_the_path_matters_not() -> None:
    assert cased("open", Answer("u", 200, {}, b'{"result": {}}')).verdict == "good"
    assert cased("open", GONE).verdict == "doubtful"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer("u", 405), "good"),
        (Answer("u", 401), "good"),
        (Answer("u", 200, {"content-type": "text/event-stream"}), "good"),
        (Answer("u", 200, {"content-type": "text/html"}), "doubtful"),
        (Answer("u", 405, seconds=2 * SLOW_GET), "doubtful"),
        (Answer("u", 500), "doubtful"),
        (Answer("u", 302, {"location": "/login"}), "bad"),
        (Answer("u", failure="no answer within 10 seconds"), "bad"),
    ],
)
def test_a_get_is_answered_at_once(answer: Answer, verdict: str) -> None:
    assert got(answer, TARGET).verdict == verdict


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer("u", 404, {}, b'{"error": "x"}'), None),
        (Answer("u", 404, {"content-type": "text/html"}), "doubtful"),
        (Answer("u", 200, {}, b'{"issuer": "x"}'), "bad"),
        (Answer("u", 200, {"content-type": "text/html"}, b"<html>"), "bad"),
        (Answer("u", 401), "bad"),
        (Answer("u", 302, {"location": "/login"}), "bad"),
    ],
)
def test_a_server_without_sign_in_has_no_metadata(answer: Answer, verdict: str | None) -> None:
    finding = absent(answer)

    assert (finding and finding.verdict) == verdict
