"""Metadata of authorization servers, read (oauth.md A20, B6)."""

from typing import Any

import pytest

from portkey_mcp.errors import NotFetched
from portkey_mcp.vault.authorization_server import metadata_urls, read_metadata, same_issuer, texts
from portkey_mcp.vault.connection import Endpoint

ISSUER = "https://as.example"


def document(**other: Any) -> dict[str, Any]:
    return {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/a", "token_endpoint": f"{ISSUER}/t", **other}


def test_a20_where_metadata_is_looked_for() -> None:
    assert metadata_urls("https://as.example/") == (
        "https://as.example/.well-known/oauth-authorization-server",
        "https://as.example/.well-known/openid-configuration",
    )
    assert metadata_urls("https://as.example:8443/one/two/") == (
        "https://as.example:8443/.well-known/oauth-authorization-server/one/two",
        "https://as.example:8443/.well-known/openid-configuration/one/two",
        "https://as.example:8443/one/two/.well-known/openid-configuration",
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ISSUER, ISSUER, True),
        (ISSUER, f"{ISSUER}/", True),
        (f"{ISSUER}/", ISSUER, True),
        (f"{ISSUER}/t", f"{ISSUER}/t/", False),
        (ISSUER, "https://AS.example", False),
        (ISSUER, f"{ISSUER}:443", False),
        (ISSUER, f"{ISSUER}.evil.example", False),
    ],
)
def test_a20_issuers_are_compared_to_the_last_character(one: str, other: str, same: bool) -> None:
    assert same_issuer(one, other) is same


def test_everything_that_is_used_is_read() -> None:
    found = read_metadata(
        document(
            registration_endpoint=f"{ISSUER}/r",
            revocation_endpoint=f"{ISSUER}/v",
            token_endpoint_auth_methods_supported=["none", "private_key_jwt", "none", 7],
            token_endpoint_auth_signing_alg_values_supported=["ES256"],
            scopes_supported=["a"],
            code_challenge_methods_supported=["plain", "S256"],
            client_id_metadata_document_supported=True,
            authorization_response_iss_parameter_supported=True,
            dpop_signing_alg_values_supported=["ES256"],
            grant_types_supported=["client_credentials"],
        ),
        ISSUER,
    )
    assert (found.methods, found.signing_algorithms, found.scopes) == (("none", "private_key_jwt"), ("ES256",), ("a",))
    assert (found.pkce, found.documents, found.says_issuer, found.named) == (True, True, True, True)
    assert found.grants == ("client_credentials",)
    assert found.registration == f"{ISSUER}/r"
    assert found.endpoint() == Endpoint(ISSUER, f"{ISSUER}/t", f"{ISSUER}/v", ("none", "private_key_jwt"), ("ES256",))


def test_what_is_not_said_has_the_defaults_of_rfc_8414() -> None:
    found = read_metadata(document(client_id_metadata_document_supported="true"), ISSUER)

    assert found.methods == ("client_secret_basic",)
    assert (found.pkce, found.documents, found.says_issuer) == (False, False, False)
    assert (found.registration, found.revocation, found.dpop) == ("", "", ())


@pytest.mark.parametrize("evil", ["javascript:alert(1)", "data:,x", "file:///x", "https://u@h/", "https://h/#x", "/t"])
def test_b6_a_url_that_is_none_is_refused_where_it_is_needed_and_left_out_elsewhere(evil: str) -> None:
    for name in ("authorization_endpoint", "token_endpoint"):
        with pytest.raises(NotFetched, match=name):
            read_metadata(document(**{name: evil}), ISSUER)
    found = read_metadata(document(registration_endpoint=evil, revocation_endpoint=evil), ISSUER)
    assert (found.registration, found.revocation) == ("", "")


@pytest.mark.parametrize("said", [[], "x", None, {"issuer": f"{ISSUER}.evil"}, {"issuer": 1}, {}])
def test_a20_what_is_not_the_issuers_is_refused(said: Any) -> None:
    with pytest.raises(NotFetched):
        read_metadata(said, ISSUER)


def test_a_list_is_read_up_to_a_length() -> None:
    assert len(texts({"a": [str(number) for number in range(5_000)]}, "a") or ()) == 1_000
    assert texts({"a": "b"}, "a") is None
