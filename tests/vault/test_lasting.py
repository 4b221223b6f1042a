"""When a credential is valid, and when it is to be renewed."""

from datetime import UTC, datetime, timedelta

import pytest

from portkey_mcp.vault.connection import Connection, Credential, Place, Tokens
from portkey_mcp.vault.lasting import is_good, is_renewable, is_soon, is_valid

NOON = datetime(2026, 7, 28, 12, tzinfo=UTC)


def connection(life: float | None, *, created: datetime = NOON, refreshed: datetime | None = None) -> Connection:
    begins = refreshed or created
    tokens = Tokens("a", expires=None if life is None else begins + timedelta(seconds=life), refresh="r")
    return Connection(Place("demo", "files", "ada"), Credential("x", tokens), "good", 1, "ada", created, refreshed)


@pytest.mark.parametrize(
    ("life", "ahead"), [(3600, 60), (300, 60), (100, 20), (10, 2)], ids=["hour", "five minutes", "short", "very short"]
)
def test_it_is_renewed_a_minute_ahead_or_in_the_last_fifth_of_its_life(life: int, ahead: int) -> None:
    found = connection(life)
    soon = NOON + timedelta(seconds=life - ahead)
    assert is_soon(found, soon)
    assert not is_soon(found, soon - timedelta(milliseconds=1))
    assert is_valid(found, soon)
    assert not is_valid(found, NOON + timedelta(seconds=life))


def test_its_life_begins_when_it_was_renewed() -> None:
    found = connection(100, created=NOON - timedelta(days=30), refreshed=NOON)
    assert not is_soon(found, NOON + timedelta(seconds=79))
    assert is_soon(found, NOON + timedelta(seconds=80))


def test_one_that_came_expired_is_not_valid_for_a_moment() -> None:
    assert is_soon(connection(-5), NOON)
    assert not is_valid(connection(-5), NOON)
    assert not is_valid(connection(0), NOON)


def test_one_without_an_end_is_used_until_it_is_refused() -> None:
    assert not is_soon(connection(None), NOON + timedelta(days=1000))
    assert is_valid(connection(None), NOON + timedelta(days=1000))


def test_what_was_entered_lasts_and_cannot_be_renewed() -> None:
    found = Connection(Place("demo", "files", "ada"), Credential("x", entered={"k": "v"}), "good", 1, "ada", NOON)
    assert is_good(found)
    assert is_valid(found, NOON + timedelta(days=1000))
    assert not is_renewable(found)
    assert is_renewable(connection(5))
    assert not is_good(None)
