"""Authorization server metadata (A11, A20, K4, K5, K6, K9)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.doctor.answer import Answer
from portkey_mcp.doctor.issuer import judged, lists, missing, places, registration
from portkey_mcp.doctor.target import target
from tests.doctor.documents import ISSUER, JUNK, METADATA, answered, changed

TARGET = target(f"{ISSUER}/mcp")


@pytest.mark.parametrize(
    ("issuer", "found"),
    [
        (
            "https://h",
            ["https://h/.well-known/oauth-authorization-server", "https://h/.well-known/openid-configuration"],
        ),
        (
            "https://h/",
            ["https://h/.well-known/oauth-authorization-server", "https://h/.well-known/openid-configuration"],
        ),
        (
            "https://h/a/b",
            [
                "https://h/.well-known/oauth-authorization-server/a/b",
                "https://h/.well-known/openid-configuration/a/b",
                "https://h/a/b/.well-known/openid-configuration",
            ],
        ),
        ("nonsense", []),
    ],
)
def test_k4_the_places_are_those_of_rfc_8414_then_those_of_openid_connect(issuer: str, found: list[str]) -> None:
    assert places(issuer) == found


def test_good_metadata_gives_nothing_to_mend() -> None:
    assert {finding.verdict for finding in judged(answered(METADATA), ISSUER, TARGET)} == {"good"}


@pytest.mark.parametrize(
    ("members", "verdict", "what", "mend"),
    [
        ({"issuer": None}, "bad", "no `issuer`", ISSUER),
        ({"issuer": f"{ISSUER}/"}, "bad", "differ only by a slash at the end", "same text"),
        ({"issuer": "https://other.example"}, "bad", "clients refuse that", "same text"),
        ({"token_endpoint": None}, "bad", "no token_endpoint", "https URL"),
        ({"authorization_endpoint": "http://mcp.example.com/a"}, "bad", "authorization_endpoint is not https", "https"),
        ({"registration_endpoint": "https://x.example/r"}, "doubtful", "at another host", "/register"),
        ({"code_challenge_methods_supported": None}, "bad", "does not list S256", "S256"),
        ({"code_challenge_methods_supported": ["plain"]}, "bad", "does not list S256", "S256"),
        ({"response_types_supported": ["token"]}, "bad", "`code`", "code"),
        ({"grant_types_supported": ["client_credentials"]}, "bad", "authorization_code", "list it"),
        ({"grant_types_supported": ["authorization_code"]}, "doubtful", "refresh_token", "list it"),
        ({"authorization_response_iss_parameter_supported": "true"}, "doubtful", "carry `iss`", "RFC 9207"),
        ({"scopes_supported": ["x"]}, "doubtful", "offline_access", "refresh tokens"),
    ],
)
def test_a11_a_member_that_is_wrong_is_named(members: dict[str, Any], verdict: str, what: str, mend: str) -> None:
    findings = list(judged(answered(changed(METADATA, **members)), ISSUER, TARGET))

    assert any(f.verdict == verdict and what in f.what and mend in f.mend for f in findings), findings


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({}, "document"),
        ({"token_endpoint_auth_methods_supported": None}, "dynamic"),
        ({"client_id_metadata_document_supported": False}, "dynamic"),
        ({"client_id_metadata_document_supported": None, "registration_endpoint": None}, "typed"),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"], "registration_endpoint": None}, "typed"),
    ],
)
def test_k5_registration_is_by_document_only_with_both_the_flag_and_none(members: dict[str, Any], kind: str) -> None:
    assert registration(changed(METADATA, **members)).kind == kind


@pytest.mark.parametrize(
    ("answer", "last", "verdict"),
    [
        (answered(METADATA), False, None),
        (answered({}, status=404), False, None),
        (answered({}, status=404), True, "bad"),
        (Answer("u", 404, {"content-type": "text/html"}), False, "doubtful"),
        (Answer("u", 200, {"content-type": "text/html"}), False, "bad"),
        (Answer("u", 403), False, "bad"),
        (Answer("u", 301, {"location": "/x"}), False, "bad"),
        (Answer("u", 500), False, "bad"),
        (Answer("u", failure="no answer"), False, "bad"),
    ],
)
def test_a_place_without_metadata_is_bad_where_clients_stop_there(
    answer: Answer, last: bool, verdict: str | None
) -> None:
    finding = missing(answer, last=last)

    assert (finding and finding.verdict) == verdict


@given(st.dictionaries(st.sampled_from([*METADATA]), JUNK), JUNK)
def test_whatever_metadata_says_it_is_judged(document: dict[str, Any], issuer: object) -> None:
    assert list(judged(answered(document), str(issuer), TARGET))
    places(str(issuer))
    assert lists(document, "scopes_supported", "never") is False
