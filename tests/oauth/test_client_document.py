"""What a client says of itself, and what is believed of it (oauth.md A15, section 4)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import ClientRefused
from portkey_mcp.oauth.client_document import check_id, read
from portkey_mcp.oauth.redirects import redirect_problem

ID = "https://client.example/oauth/client.json"
GOOD = {"client_id": ID, "client_name": "A client", "redirect_uris": ["https://client.example/callback"]}

CHATGPT = {
    "client_id": "https://chatgpt.com/oauth/client.json",
    "client_uri": "https://chatgpt.com/",
    "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"],
    "token_endpoint_auth_method": "private_key_jwt",
    "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "client_name": "ChatGPT",
    "logo_uri": "https://persistent.oaistatic.com/sonic/misc/openai-logo.png",
    "token_endpoint_auth_signing_alg": "RS256",
    "jwks_uri": "https://chatgpt.com/oauth/jwks.json",
}
"""As it was served on 2026-09-08."""


@pytest.mark.parametrize(
    ("client_id", "host"),
    [
        (ID, "client.example"),
        ("https://claude.ai/oauth/mcp-oauth-client-metadata", "claude.ai"),
        ("https://h.example:8443/a//b/...", "h.example"),
        ("https://[2606:4700::1111]/a", "2606:4700::1111"),
    ],
)
def test_a15_a_client_id_is_an_https_url_with_a_path(client_id: str, host: str) -> None:
    assert check_id(client_id) == host


@pytest.mark.parametrize(
    "client_id",
    [
        *("", "claude", "http://h.example/a", "ftp://h.example/a", "https://h.example", "https://h.example/"),
        *("https://h.example/a#b", "https://h.example/a#", "https://h.example/a?b", "https://h.example/a?"),
        *("https://u@h.example/a", "https://u:p@h.example/a", "https://h.example/../a", "https://h.example/a/."),
        *("https://h.example/a/%2e%2E/b", "https://h.example/.%2e/b", "https://H.example/a", "HTTPS://h.example/a"),
        *("https://h.example:443/a", "https://h.example./a", "https://h.example/a b", "https://h.example\\a/b"),
        *("https://0x7f.1/a", "https://2130706433/a", "https://[::ffff:127.0.0.1]/a", f"https://h.example/{'a' * 512}"),
    ],
)
def test_a15_nothing_else_is(client_id: str) -> None:
    with pytest.raises(ClientRefused, match="client's id"):
        check_id(client_id)


def test_what_is_left_out_has_its_default() -> None:
    document = read(ID, GOOD)

    assert (document.client_id, document.name) == (ID, "A client")
    assert document.redirect_uris == ("https://client.example/callback",)
    assert (document.grant_types, document.auth_method) == (("authorization_code",), "none")
    assert (document.application_type, document.source) == ("web", "fetched")


def test_chatgpts_document_is_read_though_it_prefers_a_key() -> None:
    document = read(CHATGPT["client_id"], CHATGPT)  # type: ignore[arg-type]

    assert document.name == "ChatGPT"
    assert document.grant_types == ("authorization_code", "refresh_token")
    assert document.auth_method == "none"


@pytest.mark.parametrize(
    "members",
    [
        {"token_endpoint_auth_method": "none"},
        {"token_endpoint_auth_method": None},
        {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_methods": ["none"]},
        {"token_endpoint_auth_methods": ["private_key_jwt", "none", "attest_jwt_client_auth"]},
    ],
)
def test_a_client_that_may_come_without_authenticating_comes_in(members: dict[str, Any]) -> None:
    assert read(ID, GOOD | members).auth_method == "none"


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"client_id": ID + "/"}, "another client_id"),
        ({"client_id": ID.upper()}, "another client_id"),
        ({"client_id": None}, "another client_id"),
        *[
            ({"client_name": name}, "client_name")
            for name in (None, "", "  ", 5, "a" * 101, "a\nb", "Claude\u202e", "a\u200bb")
        ],
        *[({"redirect_uris": uris}, "redirect_uris") for uris in (None, "https://h/", [], [5], ["https://h/a"] * 51)],
        ({"redirect_uris": ["https://client.example/a", "http://client.example/a"]}, "redirect URI with http"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "redirect URI"),
        ({"grant_types": "authorization_code"}, "grant_types"),
        ({"grant_types": ["a b"]}, "grant type"),
        ({"client_secret": "x"}, "client_secret"),
        ({"client_secret": ""}, "client_secret"),
        ({"client_secret_expires_at": 0}, "client_secret"),
        *[
            ({"token_endpoint_auth_method": f"client_secret_{way}"}, "shared secret")
            for way in ("basic", "post", "jwt")
        ],
        ({"token_endpoint_auth_methods": ["none", "client_secret_basic"]}, "shared secret"),
        ({"token_endpoint_auth_methods_supported": ["none", "client_secret_basic"]}, "shared secret"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "always authenticates"),
        ({"token_endpoint_auth_method": 5}, "is none"),
        ({"token_endpoint_auth_methods": [["none"]]}, "is none"),
    ],
)
def test_a15_a_document_that_is_no_good_is_refused_in_words(members: dict[str, Any], why: str) -> None:
    with pytest.raises(ClientRefused, match=why):
        read(ID, GOOD | members)


@pytest.mark.parametrize("document", [None, [], "text", 5, [GOOD]])
def test_a_document_is_an_object(document: Any) -> None:
    with pytest.raises(ClientRefused, match="no JSON object"):
        read(ID, document)


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"application_type": "native"}, "native"),
        ({"application_type": "web", "redirect_uris": ["http://localhost/callback"]}, "web"),
        ({"redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"]}, "native"),
        ({"redirect_uris": ["http://localhost/callback", "https://client.example/a"]}, "web"),
        ({"application_type": "toaster"}, "web"),
    ],
)
def test_a_client_that_does_not_say_what_it_is_is_known_by_its_redirects(members: dict[str, Any], kind: str) -> None:
    assert read(ID, GOOD | members).application_type == kind


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "data:text/html,x", "http://h.example/", "cursor://a/b", "/a"])
def test_b6_a_redirect_that_may_not_be_registered_may_not_stand_in_a_document_either(uri: str) -> None:
    with pytest.raises(ClientRefused, match="redirect URI"):
        read(ID, GOOD | {"redirect_uris": ["https://client.example/a", uri]})


def test_a18_a_native_scheme_is_allowed_by_setting() -> None:
    assert read(ID, GOOD | {"redirect_uris": ["cursor://a/b"]}, ["cursor"]).application_type == "native"


@given(
    st.dictionaries(
        st.sampled_from([*CHATGPT, "client_secret"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=4
        ),
    )
)
def test_whatever_stands_in_a_document_it_is_read_or_refused(members: dict[str, Any]) -> None:
    try:
        document = read(ID, GOOD | members)
    except ClientRefused:
        return
    assert document.client_id == ID
    assert all(redirect_problem(uri) == "" for uri in document.redirect_uris)
