"""Challenges of servers, as they write them and as nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.vault.challenges import MOST_SCOPES, parameters, scopes_in, wants_scopes


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        ("", {}),
        ("Bearer", {}),
        ('Bearer realm="x", error="invalid_token"', {"realm": "x", "error": "invalid_token"}),
        ("bearer scope=read", {"scope": "read"}),
        ('Basic realm="a", Bearer scope="read write"', {"scope": "read write"}),
        ('DPoP error="use_dpop_nonce"', {"error": "use_dpop_nonce"}),
        (r'Bearer realm="a \"quoted\" one"', {"realm": 'a "quoted" one'}),
        ('Bearer scope="a", scope="b"', {"scope": "a"}),
        ('Negotiate bearer="x"', {}),
        ('Bearer SCOPE="a"', {"scope": "a"}),
    ],
)
def test_parameters_of_bearer_challenges_are_read(challenge: str, expected: dict[str, str]) -> None:
    assert parameters(challenge) == expected


@given(st.text(max_size=300))
def test_nothing_that_a_server_writes_breaks_the_reading(text: str) -> None:
    parameters(text)
    parameters(f"Bearer {text}")


def test_a26_scopes_are_wanted_by_403_insufficient_scope_only() -> None:
    challenge = 'Bearer error="insufficient_scope", scope="read write read"'
    assert wants_scopes(403, challenge) == ("read", "write")
    assert wants_scopes(401, challenge) == ()
    assert wants_scopes(403, 'Bearer error="invalid_token", scope="read"') == ()
    assert wants_scopes(403, 'Bearer error="insufficient_scope"') == ()


def test_what_can_be_no_scope_is_left_out_and_there_is_an_end_to_them() -> None:
    assert scopes_in('read wr"ite é mcp:x') == ("read", "mcp:x")
    assert len(scopes_in(" ".join(f"s{number}" for number in range(500)))) == MOST_SCOPES
