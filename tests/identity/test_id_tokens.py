"""An ID token that is good, and the ways to be none that need no provider. Lies are told in `test_oidc.py`."""

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey

from portkey_mcp.errors import Unauthenticated
from portkey_mcp.identity.id_tokens import LEEWAY, LONGEST, Expected, key_id, verified
from tests.identity.small_provider import another_key, own_key, segment, unsigned

NOW = 1_800_000_000
EXPECTED = Expected("https://idp.example", "gateway", "n" * 43, "at")
CLAIMS = {"iss": EXPECTED.issuer, "aud": "gateway", "sub": "1", "nonce": "n" * 43, "iat": NOW, "exp": NOW + 300}


def signed(key: Any, alg: str, **more: Any) -> str:
    return jwt.encode({"alg": alg}, {**CLAIMS, **more}, key, algorithms=[alg])


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        *((own_key("k1"), alg) for alg in ("RS256", "RS512", "PS256")),
        (ECKey.generate_key("P-256"), "ES256"),
        (ECKey.generate_key("P-384"), "ES384"),
        (OKPKey.generate_key("Ed25519"), "Ed25519"),
    ],
)
def test_a_good_token_is_taken_with_whichever_of_the_keys_fits(key: Any, alg: str) -> None:
    token = signed(key, alg)
    assert key_id(token) is None
    assert verified(token, [another_key(), key], EXPECTED, NOW)["sub"] == "1"


def test_clocks_may_differ_by_a_minute() -> None:
    token = signed(own_key("k1"), "RS256")
    for now in (NOW - LEEWAY, NOW + 300 + LEEWAY - 1):
        assert verified(token, [own_key("k1")], EXPECTED, now)
    for now in (NOW - LEEWAY - 1, NOW + 300 + LEEWAY):
        with pytest.raises(Unauthenticated):
            verified(token, [own_key("k1")], EXPECTED, now)


def test_a_token_for_several_is_taken_when_it_was_made_for_this_gateway() -> None:
    token = signed(own_key("k1"), "RS256", aud=["gateway", "api"], azp="gateway")
    assert verified(token, [own_key("k1")], EXPECTED, NOW)


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "a.b.c", "ß.ß.ß", "x" * (LONGEST + 1)),
        unsigned(CLAIMS),
        *(f"{segment({'alg': alg})}.{segment(CLAIMS)}.AAAA" for alg in ("HS256", "None", "EdDSA", "RS1", 7, None)),
        f"{segment({'alg': 'RS256', 'crit': ['b64'], 'b64': False})}.{segment(CLAIMS)}.AAAA",
    ],
)
def test_what_is_not_signed_in_a_way_that_is_taken_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        verified(token, [own_key("k1")], EXPECTED, NOW)


def test_without_keys_nothing_is_good() -> None:
    with pytest.raises(Unauthenticated, match="signature"):
        verified(signed(own_key("k1"), "RS256"), [], EXPECTED, NOW)
