"""How a client proves itself (oauth.md A27)."""

import base64
import warnings
from typing import Any
from urllib.parse import unquote_plus

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from portkey_mcp.errors import Mistake
from portkey_mcp.proof import OAuthClient
from portkey_mcp.vault.client_auth import ASSERTION, Told, method_of, proven
from portkey_mcp.vault.connection import Client, Endpoint

AT = Endpoint("https://as.example", "https://as.example/token")
RSA = RSAKey.generate_key(2048)


def key(algorithm: str) -> Key:
    if algorithm.startswith("ES"):
        return ECKey.generate_key({"256": "P-256", "384": "P-384", "512": "P-521"}[algorithm[2:]])
    return OKPKey.generate_key("Ed25519") if algorithm.startswith("Ed") else RSA


def pem(key: Any) -> str:
    return key.as_pem(private=True).decode()


def test_a27_basic_encodes_id_and_secret_as_in_a_form_first() -> None:
    told = proven(Client("a:b", "client_secret_basic", "p/ss %ü"), AT)
    kind, _, pair = told.headers["Authorization"].partition(" ")
    first, _, second = base64.b64decode(pair).decode("ascii").partition(":")

    assert (kind, unquote_plus(first), unquote_plus(second)) == ("Basic", "a:b", "p/ss %ü")
    assert told.form == {}


def test_a27_post_and_none_say_it_in_the_form() -> None:
    assert proven(Client("us", "client_secret_post", "hush"), AT) == Told({"client_id": "us", "client_secret": "hush"})
    assert proven(Client("us", "none", "hush"), AT) == Told({"client_id": "us"})
    assert proven(Client(""), AT) == Told()


@pytest.mark.parametrize(
    "algorithm", ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA", "Ed25519"]
)
def test_a27_an_assertion_is_for_the_issuer_alone_and_soon_over(algorithm: str) -> None:
    own = key(algorithm)
    client = Client("us", "private_key_jwt", private_key=pem(own), algorithm=algorithm)
    told = proven(client, AT, now=lambda: 1_700_000_000)
    assert (told.form["client_assertion_type"], told.form["client_id"], told.headers) == (ASSERTION, "us", {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = jwt.decode(told.form["client_assertion"], own, algorithms=[algorithm])

    assert found.header["alg"] == algorithm
    assert len(found.claims.pop("jti")) >= 20
    times = {"iat": 1_700_000_000, "exp": 1_700_000_120}
    assert proven(client, AT) != proven(client, AT)  # never the same twice
    assert found.claims == {"iss": "us", "sub": "us", "aud": "https://as.example", **times}


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (Client("us", "private_key_jwt", private_key="-----hush-----", algorithm="ES256"), "no PEM key"),
        (Client("us", "private_key_jwt", private_key=pem(RSA), algorithm="ES256"), "no PEM key"),
        (Client("us", "private_key_jwt", private_key=pem(key("ES384")), algorithm="ES256"), "no PEM key"),
        (Client("us", "private_key_jwt", private_key=RSA.as_pem(private=False).decode(), algorithm="RS256"), "no PEM"),
        (Client("us", "private_key_jwt", private_key="hush", algorithm="HS256"), "none that is known"),
        (Client("us", "client_secret_basic"), "no client_secret"),
        (Client("us", "client_secret_post"), "no client_secret"),
        (Client("us", "tls_client_auth", "hush"), "tls_client_auth"),
    ],
)
def test_a27_what_a_client_lacks_is_told_and_nothing_secret(client: Client, said: str) -> None:
    with pytest.raises(Mistake, match=said) as raised:
        proven(client, AT)
    assert "hush" not in str(raised.value)
    assert "PRIVATE" not in str(raised.value)


@pytest.mark.parametrize(
    ("client", "supported", "method"),
    [
        (OAuthClient("us"), ["client_secret_basic"], "none"),
        (OAuthClient("us", "s"), [], "client_secret_basic"),
        (OAuthClient("us", "s"), ["client_secret_post"], "client_secret_post"),
        (OAuthClient("us", "s"), ["client_secret_post", "client_secret_basic"], "client_secret_basic"),
        (OAuthClient("us", "s"), ["none"], "client_secret_basic"),
        (OAuthClient("us", private_key="k"), ["none"], "private_key_jwt"),
        (OAuthClient("us", "s", method="client_secret_post"), ["client_secret_basic"], "client_secret_post"),
    ],
)
def test_a27_the_way_is_what_was_written_or_what_both_know(client: OAuthClient, supported: Any, method: str) -> None:
    assert method_of(client, supported) == method


def test_nothing_secret_is_in_what_is_shown() -> None:
    assert "hush" not in repr(proven(Client("us", "client_secret_post", "hush"), AT))
