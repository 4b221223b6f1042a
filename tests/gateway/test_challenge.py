"""What a client that may not enter is told: enough to sign in, in a header that every client can read."""

import re

import pytest

from portkey_mcp.errors import Forbidden, NotFound, Refusal, ScopeNeeded, Unauthenticated
from portkey_mcp.gateway.challenge import challenge, is_challenged

METADATA = "https://gw.example/.well-known/oauth-protected-resource/demo/files/mcp"
PARAMETER = re.compile(r'([a-z_]+)="([^"\\]*)"')


def read(header: str) -> dict[str, str]:
    """The parameters of a challenge, which must be well-formed to the last character."""
    scheme, _, rest = header.partition(" ")
    found = PARAMETER.findall(rest)
    assert scheme == "Bearer"
    assert ", ".join(f'{name}="{value}"' for name, value in found) == rest
    return dict(found)


def test_a2_k1_without_a_credential_there_is_a_pointer_and_a_scope_and_no_error() -> None:
    told = challenge(Unauthenticated("Who are you?", offered=False), METADATA)

    assert read(told) == {"scope": "mcp:read mcp:call", "resource_metadata": METADATA}


def test_a_credential_that_is_not_good_is_called_an_invalid_token() -> None:
    told = read(challenge(Unauthenticated("It has expired."), METADATA))

    assert (told["error"], told["error_description"]) == ("invalid_token", "It has expired.")


def test_a3_a_missing_scope_is_named_with_all_that_are_needed() -> None:
    told = read(challenge(ScopeNeeded("tools/call takes more.", ["mcp:read", "mcp:call"]), METADATA))

    assert (told["error"], told["scope"]) == ("insufficient_scope", "mcp:read mcp:call")
    assert told["resource_metadata"] == METADATA


@pytest.mark.parametrize("refusal", [Unauthenticated("x"), ScopeNeeded("x", ["mcp:call"]), Forbidden("x")])
def test_a5_offline_access_is_never_asked_for(refusal: Refusal) -> None:
    assert "offline_access" not in challenge(refusal, METADATA)


def test_where_nothing_speaks_of_oauth_a_credential_is_asked_for_and_no_more() -> None:
    assert challenge(Unauthenticated("Who are you?", offered=False), "") == "Bearer"
    assert challenge(ScopeNeeded("x", ["mcp:call"]), "") == ""


@pytest.mark.parametrize("words", ['say "please"', "back\\slash", "line\r\nX-Evil: 1", "naïve", "\x00"])
def test_no_words_break_the_header(words: str) -> None:
    told = challenge(Unauthenticated(words), METADATA)

    assert told.isascii()
    assert told.isprintable()
    assert read(told)["error"] == "invalid_token"


def test_only_refusals_of_who_asks_are_challenged() -> None:
    assert [is_challenged(one) for one in (Unauthenticated("x"), Forbidden("x"), NotFound("x"))] == [True, True, False]
