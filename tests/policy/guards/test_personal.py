"""Addresses and numbers of people are found; order numbers, hashes, versions and dates are not."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from portkey_mcp.policy.guards.personal import cards, emails, ibans, phones
from portkey_mcp.policy.guards.span import Span

Find = Callable[[str], Iterable[Span]]

FOUND = [
    (emails, ["ada@example.com", "a@b.de", "first.last+tag@mail.co.uk", "jörg@müller.de", "x_1%y-z@sub.domain.museum"]),
    (emails, ["ada@xn--mller-kva.de", "a@example.xn--p1ai"]),
    (cards, ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "5555555555554444", "2223003122003222"]),
    (cards, ["378282246310005", "3782 822463 10005", "6011111111111117", "30569309025904", "3056 930902 5904"]),
    (cards, ["3530111333300000", "6200000000000005", "4111\u00a01111\u00a01111\u00a01111", "6759649826438453"]),
    (
        ibans,
        ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "GB29 NWBK 6016 1331 9268 19", "NO9386011117947"],
    ),
    (ibans, ["MT84MALT011000012345MTLCAST001S", "FR14 2004 1010 0505 0001 3M02 606", "CH93-0076-2011-6238-5295-7"]),
    (phones, ["+49 30 1234567", "+4915112345678", "+1 (415) 555-2671", "+1-415-555-2671", "+44 20 7946 0958"]),
    (phones, ["+49 (0)30 1234567", "+33 1 23 45 67 89", "+86.138.0013.8000"]),
]

AROUND = ["{}", "x {} y", "is {}, or", "<{}>", '"{}"', "({})", "is {}.", "a\n{}\n", "漢字 {} 漢字"]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(("find", "texts"), FOUND)
def test_what_is_looked_for_is_found_whole(find: Find, texts: list[str], around: str) -> None:
    for one in texts:
        text = around.format(one)
        assert [text[span.start : span.end] for span in find(text)] == [one]


ORDINARY = [
    "commit 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12, 123e4567-e89b-12d3-a456-426614174000",
    "12345678-1234-4111-1111-111111111111 and 41111111-1111-1111-1234-123456789012",
    "order 1234567890123456, 4111111111111112, 0000000000000000, 4444444444444444",
    "at 1700000000000 ms, 1700000000000000 us, 1700000000000000000 ns, tweet 1234567890123456789",
    "4.111111111111111, 0.4111111111111111, 4111111111111111.5, -4111111111111111, 0x4111111111111111",
    "id4111111111111111, 4111111111111111ab, 41111111111111111111111",
    "EAN 4006381333931, ISBN 978-3-16-148410-0",
    "icon@2x.png, bundle@next.tgz, lodash@4.17.21, react@18.2.0-rc, @scope/name, @app.route, a@b, a @ b.de",
    "git clone git@github.com:org/repo.git; user@localhost; me@.de; @example.com",
    "2026-11-22T10:11:12+01:00, UTC+0200, +5, + 12345678901, 1+12345678901, a=+12345678901, C++12345678901",
    "+12345678 bytes, +0123456789012, +1234567890123456789012345678901234567890, +49",
    "DE89370400440532013001, DE8937040044053201300, XX89370400440532013000, de89370400440532013000",
    "ABDE89370400440532013000, DE89370400440532013000X, DE 89, GB29 and so on",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "\ud800@\udfff.de \ud83d+49\ud83d",
]


@pytest.mark.parametrize("text", ORDINARY)
@pytest.mark.parametrize("find", [emails, cards, ibans, phones])
def test_ordinary_text_has_none(find: Any, text: str) -> None:
    assert list(find(text)) == []


@pytest.mark.parametrize(
    ("find", "text", "one"),
    [
        (cards, "4111 1111 1111 1111 12/29 123", "4111 1111 1111 1111"),
        (cards, "no. 2 4111 1111 1111 1111", "4111 1111 1111 1111"),
        (ibans, "DE89 3704 0044 0532 0130 00 BIC COBADEFF", "DE89 3704 0044 0532 0130 00"),
        (phones, "+1 415 555 2671 20261122", "+1 415 555 2671"),
        (phones, "+49 30 1234567, 22 people", "+49 30 1234567"),
        (emails, "mailto:ada@example.com?subject=x", "ada@example.com"),
        (emails, "https://ada@example.com/", "ada@example.com"),
        (emails, "Write to ada@example.com.", "ada@example.com"),
        (emails, "email=ada@example.com&x", "ada@example.com"),
    ],
)
def test_what_follows_or_precedes_is_no_part_of_it(find: Find, text: str, one: str) -> None:
    assert [text[span.start : span.end] for span in find(text)] == [one]


def test_a_local_part_that_is_longer_than_any_is_no_address() -> None:
    assert list(emails("a" * 64 + "@example.com"))
    assert not list(emails("a" * 65 + "@example.com"))
