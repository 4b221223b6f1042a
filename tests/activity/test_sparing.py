"""The first of many alike is kept; nobody can fill the disk, and nobody known goes unrecorded."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from portkey_mcp.activity import sparing as module
from portkey_mcp.activity.acts import Act
from portkey_mcp.activity.sparing import ALL_REFUSALS, REFUSALS, Sparing, network_of
from portkey_mcp.model import Principal

NOW = datetime(2026, 11, 24, 23, 59, 0, tzinfo=UTC)
ADA = Principal("person:1", "Ada", "person", credential="key:1")
USE = Act("key_used", ADA, address="10.0.0.1")
REFUSED = Act("sign_in", actor="ada@example.com", address="10.0.0.1", outcome="refused")


def test_a_key_is_news_once_for_each_principal_credential_address_and_day() -> None:
    sparing = Sparing()
    assert [sparing.keeps(USE, NOW) for _ in range(3)] == [True, False, False]
    for other in (
        replace(USE, address="10.0.0.2"),
        replace(USE, who=replace(ADA, credential="key:2")),
        replace(USE, who=replace(ADA, client="claude")),
        replace(USE, who=replace(ADA, id="person:2")),
    ):
        assert [sparing.keeps(other, NOW), sparing.keeps(other, NOW)] == [True, False]
    assert sparing.keeps(USE, NOW + timedelta(minutes=1)), "another day"


def test_what_is_remembered_of_uses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_USES", 10)
    sparing = Sparing()
    for number in range(100):
        assert sparing.keeps(replace(USE, address=f"10.0.1.{number}"), NOW)
        assert len(sparing._uses) <= 10


def test_refusals_of_strangers_are_few_for_each_network_and_minute() -> None:
    sparing = Sparing()
    assert [sparing.keeps(REFUSED, NOW) for _ in range(REFUSALS + 5)] == [True] * REFUSALS + [False] * 5
    assert sparing.left_out == 5
    assert sparing.keeps(replace(REFUSED, address="10.0.0.2"), NOW)
    assert sparing.keeps(replace(REFUSED, act="token"), NOW)
    assert sparing.keeps(REFUSED, NOW + timedelta(minutes=1))


def test_a_refused_key_is_told_once_a_minute() -> None:
    sparing, refused = Sparing(), Act("key_used", address="2001:db8::1", outcome="refused")
    assert [sparing.keeps(refused, NOW) for _ in range(2)] == [True, False]
    assert not sparing.keeps(replace(refused, address="2001:db8::2"), NOW), "of the same subscriber"
    assert sparing.keeps(replace(refused, workspace="demo"), NOW)


def test_a_flood_from_everywhere_is_bounded_too_and_hides_nothing_that_was_done() -> None:
    sparing = Sparing()
    flood = [replace(REFUSED, address=f"10.{a}.{b}.1") for a in range(10) for b in range(100)]
    assert sum(sparing.keeps(one, NOW) for one in flood) == ALL_REFUSALS
    assert len(sparing._refused) <= ALL_REFUSALS + 1
    assert sparing.keeps(Act("sign_in", ADA, address="10.0.0.1"), NOW)
    assert sparing.keeps(Act("grant", ADA, outcome="refused"), NOW), "of somebody who is known"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", ""),
        ("nowhere", ""),
    ],
)
def test_of_ipv6_a_subscriber_counts_as_one(address: str, network: str) -> None:
    assert network_of(address) == network
