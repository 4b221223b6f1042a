"""Protected resource metadata (A1, A5, K2, K3)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.resource import judged, missing, root, servers
from portkey_mcp.doctor.target import target
from tests.doctor.documents import JUNK, PRM, answered, changed

TARGET = target("https://mcp.example.com/mcp")


def test_a_good_document_gives_nothing_to_mend() -> None:
    assert {finding.verdict for finding in judged(answered(PRM), TARGET)} == {"good"}


@pytest.mark.parametrize(
    ("members", "verdict", "what", "mend"),
    [
        ({"resource": None}, "bad", "no `resource`", "https://mcp.example.com/mcp"),
        ({"resource": 3}, "bad", "no `resource`", "https://mcp.example.com/mcp"),
        ({"resource": "https://mcp.example.com/mcp/"}, "doubtful", "not the same bytes", "exactly that URL"),
        ({"resource": "https://MCP.example.com/mcp"}, "doubtful", "not the same bytes", "exactly that URL"),
        ({"resource": "https://mcp.example.com"}, "bad", "not the URL that Claude was given", "public URL"),
        ({"resource": "http://mcp.example.com/mcp"}, "bad", "not the URL that Claude was given", "public URL"),
        ({"authorization_servers": []}, "bad", "no authorization server", "issuer"),
        ({"authorization_servers": "https://x"}, "bad", "no authorization server", "issuer"),
        ({"authorization_servers": ["http://x.example"]}, "bad", "not https", "https"),
        ({"authorization_servers": ["https://a.example", "https://b.example"]}, "doubtful", "the first", "put first"),
        ({"bearer_methods_supported": ["query"]}, "bad", "does not name `header`", '["header"]'),
        ({"scopes_supported": ["x", "offline_access"]}, "doubtful", "offline_access", "take it out"),
        ({"scopes_supported": [str(n) for n in range(99)]}, "doubtful", "99 scopes", "smallest set"),
    ],
)
def test_k3_a_member_that_is_wrong_is_named(members: dict[str, Any], verdict: str, what: str, mend: str) -> None:
    findings = list(judged(answered(changed(PRM, **members)), TARGET))

    assert any(f.verdict == verdict and what in f.what and mend in f.mend for f in findings), findings


def test_another_type_than_json_is_doubtful() -> None:
    answer = answered(PRM, content_type="text/plain")

    assert [f.what for f in judged(answer, TARGET) if f.verdict == "doubtful"] == ["its type is text/plain"]


@pytest.mark.parametrize(
    ("answer", "pointed", "verdict"),
    [
        (answered(PRM), True, None),
        (answered({}, status=404), True, "bad"),
        (answered({}, status=404), False, "doubtful"),
        (answered([]), False, "bad"),
        (Answer("u", 404, {"content-type": "text/html"}), False, "bad"),
        (Answer("u", 302, {"location": "/login"}), False, "bad"),
        (Answer("u", 503), False, "bad"),
        (Answer("u", failure="no answer"), False, "bad"),
    ],
)
def test_k2_a_place_without_a_document_is_judged_by_who_looks_there(
    answer: Answer, pointed: bool, verdict: str | None
) -> None:
    finding = missing(answer, pointed=pointed)

    assert (finding and finding.verdict) == verdict


def test_the_root_document_is_for_this_url_or_for_the_origin() -> None:
    assert root(answered(PRM), TARGET) is None
    assert root(answered({"resource": "https://mcp.example.com/"}), TARGET) is None
    other = root(answered({"resource": "https://mcp.example.com/other"}), TARGET)
    assert other
    assert other.verdict == "doubtful"


@given(st.dictionaries(st.sampled_from([*PRM, "bearer_methods_supported"]), JUNK))
def test_whatever_a_document_says_it_is_judged(document: dict[str, Any]) -> None:
    assert list(judged(answered(document), TARGET))
    root(answered(document), TARGET)
    assert all(isinstance(one, str) for one in servers(document))
