"""What is believed of an answer, and what a person is told of one that is no code."""

from dataclasses import replace

import pytest

from portkey_mcp.errors import TokenRefused
from portkey_mcp.vault.answering import LONGEST_QUOTE, host_of, is_answered_by, quoted, refused_words, token_words
from tests.vault.test_flows import FLOW

ISSUER = FLOW.endpoint.issuer


@pytest.mark.parametrize(
    ("promised", "issuer", "good"),
    [
        (True, ISSUER, True),
        (False, ISSUER, True),
        (False, None, True),
        (True, None, False),
        (True, "https://other.example", False),
        (False, "https://other.example", False),
        (False, "", False),
        (True, f"{ISSUER}/", False),
        (True, ISSUER.upper(), False),
        (True, f"{ISSUER}:443", False),
        (True, f" {ISSUER}", False),
    ],
)
def test_a24_b8_an_answer_is_believed_by_the_table_of_rfc_9207(promised: bool, issuer: str | None, good: bool) -> None:
    assert is_answered_by(replace(FLOW, says_issuer=promised), issuer) is good


def test_a_server_without_a_name_has_nothing_to_compare_with() -> None:
    assert is_answered_by(replace(FLOW, is_named=False, says_issuer=False), "https://whatever.example")


def test_words_of_a_stranger_are_quoted_short_and_on_one_line() -> None:
    assert quoted("a\nb\u202ec") == "“a b c”"
    assert len(quoted("x" * 1000)) == LONGEST_QUOTE + 3
    assert "“odd_error”, “because”" in refused_words("odd_error", "because")[0]


def test_an_error_is_told_in_words_that_help() -> None:
    assert "did not let" in refused_words("access_denied", "whatever")[0]
    assert "whatever" not in refused_words("access_denied", "whatever")[0]
    assert "scopes" in refused_words("invalid_scope")[1]
    assert "Try again soon" in refused_words("temporarily_unavailable")[0]


def test_a_client_that_is_not_known_is_registered_anew_or_looked_at_by_an_admin() -> None:
    unknown = TokenRefused("invalid_client")
    assert "try again" in token_words(unknown, registered=True)[0]
    assert "client_secret" in token_words(unknown, registered=False)[1]
    assert "Try again" in token_words(TokenRefused("invalid_grant", "x"), registered=True)[0]


def test_a_person_is_shown_the_host_and_nothing_that_only_looks_like_one() -> None:
    assert host_of("https://AS.example:8443/authorize?x=https://other.example") == "as.example:8443"
    assert host_of("https://good.example@evil.example/") == "evil.example"
