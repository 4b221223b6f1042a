"""What is found under each name, and that no text makes it slow or makes it fail."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.policy.guards.recognise import LABELS, find
from portkey_mcp.policy.parts import Recogniser

NAMES: list[Recogniser] = list(get_args(Recogniser))
GITHUB = "gh" + "p_" + "a1B2" * 9
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"
PEM = "-----BEGIN PRIVATE" + " KEY-----\n" + "MIIE" * 16 + "\n-----END PRIVATE" + " KEY-----"
EVERYTHING = f"{GITHUB} {JWT} {PEM} ada@example.com 4111 1111 1111 1111 DE89370400440532013000 +49 30 1234567"

PIECES = ["eyJ", ".", "a@", "b.de", PEM[:27], PEM[-25:], "4111 ", "4111111111111111", "+1", "DE89", "://", ":p@", "sk-"]
PIECES += [
    GITHUB,
    JWT,
    "authorization: bearer ",
    "ecret_access_key=",
    "\ud800",
    "😀",
    " ",
    "\n",
    "A" * 70,
    "1" * 30,
    "://a:",
]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("secrets", ["GitHub token", "JWT", "private key"]),
        ("jwt", ["JWT"]),
        ("pem", ["private key"]),
        ("email", ["email"]),
        ("card", ["card"]),
        ("iban", ["iban"]),
        ("phone", ["phone"]),
    ],
)
def test_each_name_finds_its_own(name: Recogniser, labels: list[str]) -> None:
    assert [span.label for span in find(name, EVERYTHING)] == labels


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.sampled_from(NAMES))
def test_finds_are_in_order_within_the_text_and_apart(text: str, name: Recogniser) -> None:
    done = 0
    for span in find(name, text):
        assert done <= span.start < span.end <= len(text)
        assert span.label in LABELS
        done = span.end


@given(st.text(), st.sampled_from(NAMES))
def test_no_text_makes_a_search_fail(text: str, name: Recogniser) -> None:
    find(name, text)


@pytest.mark.parametrize("piece", PIECES)
def test_text_made_to_be_slow_is_searched_to_its_end(piece: str) -> None:
    # One that took time quadratic in these 100,000 characters would not end while anybody waits.
    text = (piece * (100_000 // len(piece) + 1))[:100_000]
    for name in NAMES:
        find(name, text)
        find(name, piece + "a" * 100_000)
