"""Refusals by the letter."""

import re

from portkey_mcp.errors import Refusal
from portkey_mcp.oauth.refusal import OAuthRefusal, invalid_client


def test_a_refusal_has_a_code_for_programs_and_words_for_people() -> None:
    refusal = OAuthRefusal("invalid_grant", "the code has expired")

    assert isinstance(refusal, Refusal)
    assert (refusal.error, str(refusal), refusal.status, refusal.retry_after) == (
        "invalid_grant",
        "the code has expired",
        400,
        None,
    )


def test_a16_an_unknown_client_is_a_401_upon_which_claude_registers_anew() -> None:
    refusal = invalid_client("this client is not known here")

    assert (refusal.error, refusal.status) == ("invalid_client", 401)
    assert re.fullmatch(r"[ !#-\[\]-~]+", str(refusal))
