"""What people enter for headers: what is asked for, and what could be no header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.proof import OwnHeadersAuth
from portkey_mcp.vault.entering import LONGEST, NotEntered, asked_for, entered

AUTH = OwnHeadersAuth(
    {"X-Key": "${person:KEY}", "X-Both": "${person:ORG}:${person:KEY}", "X-Plain": "plain $${person:NOT}"},
    {"KEY": "Your API key"},
)


def test_each_thing_is_asked_for_once_in_order_by_what_the_admin_calls_it() -> None:
    assert list(asked_for(AUTH).items()) == [("KEY", "Your API key"), ("ORG", "ORG")]


def test_what_is_not_asked_for_is_not_kept() -> None:
    given = {"KEY": " pk-1 2 \n", "ORG": "acme", "NOT": "x", "OTHER": "y"}
    assert entered(AUTH, given) == {"KEY": "pk-1 2", "ORG": "acme"}


@pytest.mark.parametrize("value", ["", "  ", "a\r\nX-Evil: 1", "a\x00b", "schlüssel", "a\tb", "x" * (LONGEST + 1)])
def test_a_value_that_could_be_no_header_is_refused_by_name_and_not_repeated(value: str) -> None:
    with pytest.raises(NotEntered) as refused:
        entered(AUTH, {"KEY": value, "ORG": "acme"})

    assert list(refused.value.problems) == ["KEY"]
    assert not value.strip() or value not in str(refused.value)


@given(st.text(max_size=50))
def test_whatever_is_taken_is_one_line_of_printable_ascii(value: str) -> None:
    try:
        taken = entered(AUTH, {"KEY": value, "ORG": "acme"})["KEY"]
    except NotEntered:
        return
    assert taken == value.strip()
    assert taken.isascii()
    assert taken.isprintable()
