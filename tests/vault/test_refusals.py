"""What a refused token request means, as the table in the module says."""

import re

import pytest

from portkey_mcp.errors import TokenRefused
from portkey_mcp.vault import refusals
from portkey_mcp.vault.refusals import FINAL, KEPT, is_final, words

ROWS = [line.strip("| ").split(" | ") for line in (refusals.__doc__ or "").splitlines() if line.startswith("| ")][2:]
TABLE = {error: row[-1] for row in ROWS for error in row[0].split(", ")}


@pytest.mark.parametrize("error", [error for error in TABLE if re.fullmatch("[a-z_]+", error)])
def test_the_table_holds(error: str) -> None:
    assert is_final(TokenRefused(error)) == (TABLE[error] == "ended")


def test_every_error_that_has_words_is_in_the_table() -> None:
    assert {*FINAL, *KEPT} <= set(TABLE)


def test_a_withdrawn_grant_is_told_as_such() -> None:
    assert words(TokenRefused("invalid_grant", "planted"), "https://as.example") == (
        "the account's access was withdrawn or has expired at https://as.example; connect it again"
    )


def test_an_unknown_error_is_kept_and_told_without_what_may_steer_a_terminal() -> None:
    refused = TokenRefused("odd\x1b[31m{issuer}" + "x" * 500, "planted")
    assert not is_final(refused)
    text = words(refused, "")
    assert text.startswith("the authorization server gives no credential just now (odd[31m{issuer}xxx")
    assert "planted" not in text
    assert len(text) < 150
