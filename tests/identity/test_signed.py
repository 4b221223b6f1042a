"""Tokens are read strictly, and only public-key signatures by the named algorithms count."""

import base64
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey

from portkey_mcp.identity.signed import ALGORITHMS, LEEWAY, LONGEST, is_signed, read, texts_of, time_problem
from tests.identity.issuer import RSA, key, signed


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def forged(header: Any, claims: Any, signature: str = "c2ln") -> str:
    return f"{segment(header)}.{segment(claims)}.{signature}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_allowed_algorithm_verifies_and_another_key_does_not(algorithm: str) -> None:
    ours, other = key(algorithm), key(algorithm, "second")
    token = read(signed({"sub": "a"}, ours, alg=algorithm))
    assert token is not None
    assert token.claims == {"sub": "a"}
    assert is_signed(token, [ours])
    assert is_signed(token, [other, ours])
    assert not is_signed(token, [other])
    assert not is_signed(token, [])


def test_none_is_no_algorithm() -> None:
    for name in ("none", "None", "NONE", "", None, 1, ["RS256"]):
        token = read(forged({"alg": name}, {"sub": "a"}))
        assert token is not None
        assert not is_signed(token, [RSA["first"]])
    assert read(f"{segment({'alg': 'none'})}.{segment({})}.") is None


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    """RFC 8725, section 2.1."""
    for secret in (RSA["first"].as_pem(private=False), json.dumps(RSA["first"].as_dict(private=False)).encode()):
        text = f"{segment({'alg': algorithm, 'kid': 'first'})}.{segment({'sub': 'a'})}"
        signature = hmac.digest(secret, text.encode(), f"sha{algorithm[2:]}")
        token = read(f"{text}.{segment(signature)}")
        assert token is not None
        assert not is_signed(token, [RSA["first"]])


def test_an_algorithm_takes_keys_of_its_own_kind_and_curve_only() -> None:
    wrong = ECKey.generate_key("P-384", {"kid": "x"})
    for algorithm in ALGORITHMS:
        token = read(signed({"sub": "a"}, key(algorithm), alg=algorithm))
        assert token is not None
        assert not is_signed(token, [wrong])


def test_what_is_critical_and_unknown_is_refused_and_what_is_only_unknown_is_not() -> None:
    strange = read(signed({"sub": "a"}, nonce="x", x5t="y"))
    assert strange is not None
    assert is_signed(strange, [RSA["first"]])
    header, payload = segment({"alg": "RS256", "crit": ["exp2"], "exp2": 1}), segment({"sub": "a"})
    signature = jws.JWSRegistry.algorithms["RS256"].sign(f"{header}.{payload}".encode(), RSA["first"])
    critical = read(f"{header}.{payload}.{segment(signature)}")
    assert critical is not None
    assert not is_signed(critical, [RSA["first"]])


def test_a_changed_token_is_not_signed() -> None:
    head, body, signature = signed({"sub": "a"}).split(".")
    token = read(f"{head}.{segment({'sub': 'b'})}.{signature}")
    assert token is not None
    assert not is_signed(token, [RSA["first"]])
    assert read(f"{head}.{body}.{signature}=") is None
    assert read(f"{head}.{body}.{signature}\n") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "opaque",
        "a.b",
        "a.b.c.d.e",
        forged([1], {}),
        forged({"alg": "RS256"}, [1]),
        forged(b"\xff", {}),
        forged(b'{"alg":"RS256","alg":"none"}', {}),
        forged({"alg": "RS256"}, b'{"exp":Infinity}'),
        forged({"alg": "RS256"}, b'{"a":' * 2000 + b"1" + b"}" * 2000),
        forged({"alg": "RS256"}, {"pad": "x" * LONGEST}),
    ],
)
def test_what_is_no_token_is_not_read(text: str) -> None:
    assert read(text) is None


@given(st.text(alphabet="abcABC019-_.=\u00e9\ud800", max_size=60))
def test_nothing_that_is_sent_breaks_the_reading(text: str) -> None:
    token = read(text)
    assert token is None or not is_signed(token, [RSA["first"]])


def test_a_type_is_read_however_it_is_written() -> None:
    for typ, found in (("JWT", "jwt"), ("application/AT+jwt", "at+jwt"), (None, ""), (3, "")):
        token = read(forged({"alg": "RS256", "typ": typ}, {}))
        assert token is not None
        assert token.typ == found


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ({"exp": 1001}, ""),
        ({"exp": 1000.5, "nbf": 1000 + LEEWAY, "iat": 1000 + LEEWAY}, ""),
        ({}, "it never expires"),
        ({"exp": None}, "it never expires"),
        ({"exp": 1000}, "it has expired"),
        ({"exp": "2000"}, "its times are no numbers"),
        ({"exp": True}, "its times are no numbers"),
        ({"exp": 10**400}, "its times are no numbers"),
        ({"exp": 2000, "nbf": "soon"}, "its times are no numbers"),
        ({"exp": 2000, "nbf": 1061}, "it is not valid yet"),
        ({"exp": 2000, "iat": 1061}, "it is not valid yet"),
    ],
)
def test_times_are_numbers_and_now_is_between_them(claims: dict[str, Any], problem: str) -> None:
    assert time_problem(claims, 1000.0) == problem


def test_an_issuers_own_answer_need_not_say_when_a_token_ends() -> None:
    assert time_problem({}, 1000.0, expires=False) == ""
    assert time_problem({"exp": 1000}, 1000.0, expires=False) == "it has expired"


def test_one_or_several_texts_are_read_alike() -> None:
    assert [texts_of(value) for value in ("a", ["a", 1, None, "b"], {"a": 1}, None)] == [["a"], ["a", "b"], [], []]
