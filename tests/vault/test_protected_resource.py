"""Challenges and metadata of servers, read (oauth.md A20, A26)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portkey_mcp.errors import NotFetched
from portkey_mcp.vault.protected_resource import (
    Challenge,
    is_above,
    read_challenge,
    read_resource,
    resource_urls,
    scopes_of,
)

URL = "https://h.example/team/mcp"
ROOT = "https://h.example/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", Challenge()),
        ("Bearer", Challenge()),
        ('Bearer resource_metadata="https://h/x", scope="a b"', Challenge("https://h/x", ("a", "b"))),
        ("DPoP Scope=a,error=use_dpop_nonce", Challenge("", ("a",), "use_dpop_nonce", bound=True)),
        ('Bearer error_description="say \\"scope=evil\\", or scope=evil", scope="a"', Challenge("", ("a",))),
        ('Basic realm="x", Bearer scope="a", DPoP scope="b"', Challenge("", ("a",), bound=True)),
        ("Negotiate abc==, Bearer scope = a", Challenge("", ("a",))),
        ('Bearer scope="a', Challenge()),
    ],
)
def test_a26_a_challenge_is_read(value: str, found: Challenge) -> None:
    assert read_challenge(value) == found


@given(st.text(max_size=200))
def test_any_text_is_a_challenge_that_says_something_or_nothing(value: str) -> None:
    assert isinstance(read_challenge(value), Challenge)


def test_scopes_are_parted_by_spaces_and_as_github_writes_them() -> None:
    assert scopes_of("repo,gist  read:org repo") == ("repo", "gist", "read:org")
    assert scopes_of(["a", 1, "b c", 'q"']) == ("a",)
    assert scopes_of(None) == ()


def test_a20_metadata_is_looked_for_where_the_challenge_says_then_below_the_path_then_at_the_root() -> None:
    assert resource_urls(URL, Challenge("https://h/x")) == ("https://h/x", f"{ROOT}/team/mcp", ROOT)
    assert resource_urls(f"{URL}/", Challenge()) == (f"{ROOT}/team/mcp/", f"{ROOT}/team/mcp", ROOT)
    assert resource_urls("https://h.example/", Challenge()) == (ROOT,)
    assert resource_urls(URL, Challenge(ROOT)) == (ROOT, f"{ROOT}/team/mcp")


@pytest.mark.parametrize(
    ("resource", "above"),
    [
        *[(URL, True), (f"{URL}/", True), ("https://H.example:443/team", True), ("https://h.example", True)],
        *[("https://h.example/", True), ("HTTPS://h.example/team/", True)],
        *[("https://h.example/te", False), ("https://h.example/team/mcp/x", False), ("http://h.example", False)],
        *[("https://h.example:8443", False), ("https://h.example.evil", False), ("https://u@h.example", False)],
        *[("https://h.example/#x", False), ("https://[", False), ("", False), ("https://h.example/TEAM", False)],
    ],
)
def test_a20_a_resource_is_the_server_or_above_it(resource: str, above: bool) -> None:
    assert is_above(resource, URL) is above


def test_a20_metadata_is_read_to_the_letter() -> None:
    found = read_resource(
        {"resource": "https://h.example", "authorization_servers": ["https://a", 1], "scopes_supported": ["s", ""]}, URL
    )
    assert (found.resource, found.issuers, found.scopes) == ("https://h.example", ("https://a",), ("s",))


@pytest.mark.parametrize("said", [[], None, {}, {"resource": "https://evil.example/mcp"}, {"resource": [URL]}])
def test_a20_metadata_of_another_resource_is_refused(said: Any) -> None:
    with pytest.raises(NotFetched):
        read_resource(said, URL)
