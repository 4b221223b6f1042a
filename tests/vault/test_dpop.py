"""Proofs of possession, read as an authorization server reads them (oauth.md A33; RFC 9449)."""

import base64
import hashlib

import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from portkey_mcp.vault import dpop
from portkey_mcp.wire import Json, loads


def read(proof: str) -> tuple[Json, Json]:
    """Header and claims, whose signature is good by the key in the header."""
    header = loads(base64.urlsafe_b64decode(proof.partition(".")[0] + "=="))
    registry = jws.JWSRegistry(algorithms=["ES256"])
    registry.max_header_length = 2_000
    found = jws.deserialize_compact(proof, ECKey.import_key(header["jwk"]), registry=registry)
    return header, loads(found.payload)


def test_a33_a_proof_names_request_and_moment_and_holds_the_public_key_alone() -> None:
    key = dpop.new_key()
    header, claims = read(dpop.proof(key, "POST", "https://h:8443/token?a=b#c", now=lambda: 1_700_000_000.9))

    assert (header["typ"], header["alg"]) == ("dpop+jwt", "ES256")
    assert sorted(header["jwk"]) == ["crv", "kty", "x", "y"]
    assert {name: claims[name] for name in ("htm", "htu", "iat")} == {
        "htm": "POST",
        "htu": "https://h:8443/token",
        "iat": 1_700_000_000,
    }
    assert "ath" not in claims
    assert "nonce" not in claims
    assert ECKey.import_key(header["jwk"]).thumbprint() == dpop.thumbprint(key)


def test_a33_a_proof_is_bound_to_token_and_nonce_where_there_are_any() -> None:
    _, claims = read(dpop.proof(dpop.new_key(), "GET", "https://h/", "token", "n-1"))
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"token").digest()).rstrip(b"=").decode()

    assert (claims["ath"], claims["nonce"]) == (digest, "n-1")


def test_a33_no_two_proofs_and_no_two_keys_are_the_same() -> None:
    key = dpop.new_key()
    assert read(dpop.proof(key, "GET", "https://h/"))[1]["jti"] != read(dpop.proof(key, "GET", "https://h/"))[1]["jti"]
    assert dpop.thumbprint(key) != dpop.thumbprint(dpop.new_key())


def test_what_is_no_key_makes_no_proof() -> None:
    with pytest.raises(ValueError, match="key"):
        dpop.proof("hush", "GET", "https://h/")
