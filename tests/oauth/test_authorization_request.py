"""Authorization requests, read and checked."""

from collections.abc import Mapping
from urllib.parse import urlencode

import pytest

from portkey_mcp.addresses import Addresses
from portkey_mcp.oauth.authorization_request import (
    LONGEST_STATE,
    MOST_PARAMETERS,
    AuthorizationRequest,
    Untrusted,
    allows,
    asked_of,
    needed,
    one,
    parameters,
    place_asked,
    redirect_of,
    scopes_of,
)
from portkey_mcp.oauth.client import Client
from portkey_mcp.oauth.refusal import OAuthRefusal

BASE = "https://gw.example"
ALIASES = {"files.example": "demo/files"}
REDIRECT = "https://app.example/cb"
CLIENT = Client("app", "registered", "App", (REDIRECT,))
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
GOOD = {
    "response_type": "code",
    "client_id": "app",
    "redirect_uri": REDIRECT,
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "state": "xyz",
    "resource": f"{BASE}/demo/files/mcp",
    "scope": "mcp:read",
}


def read(changed: Mapping[str, str] | None = None, *, twice: str = "", left_out: str = "") -> AuthorizationRequest:
    """What a request asks, where it differs from a good one in one point."""
    pairs = [(name, value) for name, value in {**GOOD, **(changed or {})}.items() if name != left_out]
    given = parameters(urlencode(pairs + [(name, value) for name, value in pairs if name == twice]))
    return asked_of(CLIENT, REDIRECT, given, Addresses(BASE), ALIASES)


def error(changed: Mapping[str, str] | None = None, *, twice: str = "", left_out: str = "") -> str:
    with pytest.raises(OAuthRefusal) as refused:
        read(changed, twice=twice, left_out=left_out)
    return refused.value.error


def test_a_good_request_is_read_whole() -> None:
    asking = read({"prompt": "login consent"})

    assert (asking.client, asking.redirect_uri, asking.state) == (CLIENT, REDIRECT, "xyz")
    assert (asking.challenge, asking.scopes, asking.prompt) == (CHALLENGE, ("mcp:read",), {"login", "consent"})
    assert (asking.place, asking.resource) == (("demo", "files"), f"{BASE}/demo/files/mcp")


@pytest.mark.parametrize("name", sorted(set(GOOD) - {"resource"}))
def test_a_parameter_that_comes_twice_is_refused(name: str) -> None:
    assert error(twice=name) == "invalid_request"


@pytest.mark.parametrize("name", ["prompt", "nonce", "login_hint", "via", "anything"])
def test_so_is_one_that_nobody_asked_for(name: str) -> None:
    assert error({name: "a"}, twice=name) == "invalid_request"
    assert read({name: "a"}).state == "xyz"


def test_a12_pkce_is_required() -> None:
    assert error(left_out="code_challenge") == "invalid_request"
    assert error({"code_challenge": ""}) == "invalid_request"


@pytest.mark.parametrize("method", ["plain", "", "s256", "S512"])
def test_a12_the_only_method_is_s256(method: str) -> None:
    assert error({"code_challenge_method": method}) == "invalid_request"


@pytest.mark.parametrize("wrong", ["a" * 42, "a" * 44, "a" * 43 + "=", "a" * 42 + "+", "a" * 42 + "/", "ä" * 43])
def test_a12_a_challenge_that_is_none_is_refused(wrong: str) -> None:
    assert error({"code_challenge": wrong}) == "invalid_request"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://app.example/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": ""}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"state": "a" * (LONGEST_STATE + 1)}, "invalid_request"),
    ],
)
def test_what_is_not_supported_has_its_own_code(changed: Mapping[str, str], expected: str) -> None:
    assert error(changed) == expected


def test_the_one_response_mode_may_be_named() -> None:
    assert read({"response_mode": "query", "state": ""}).state is None


def test_k9_without_a_scope_all_are_meant() -> None:
    assert read({"scope": ""}).scopes == ("mcp:read", "mcp:call")
    assert scopes_of("  ") == scopes_of(None) == ("mcp:read", "mcp:call")


def test_k9_offline_access_is_granted_as_it_was_asked_for() -> None:
    assert scopes_of("mcp:read offline_access") == ("mcp:read", "offline_access")
    assert scopes_of("offline_access") == ("mcp:read", "mcp:call", "offline_access")


def test_b9_unknown_scopes_are_left_out_and_none_known_is_invalid_scope() -> None:
    assert scopes_of("openid mcp:call mcp:call profile") == ("mcp:call",)
    for wrong in ("openid", "*", "mcp:*", "MCP:READ", "mcp:read,mcp:call"):
        assert error({"scope": wrong}) == "invalid_scope"


def test_b9_calling_includes_reading_and_nothing_else_includes_anything() -> None:
    assert allows(["mcp:call"], "mcp:read")
    assert allows(["mcp:read"], "mcp:read")
    assert not allows(["mcp:read"], "mcp:call")
    assert not allows(["mcp:call"], "offline_access")


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        (f"{BASE}/demo/files/mcp", ("demo", "files")),
        (f"{BASE}/demo/files/mcp/", ("demo", "files")),
        ("HTTPS://GW.Example:443/Demo/Files/MCP", ("demo", "files")),
        (f"{BASE}/demo/mcp", ("demo",)),
        (f"{BASE}/mcp", ()),
        (BASE, ()),
        (f"{BASE}/", ()),
        ("https://files.example/mcp", ("demo", "files")),
        ("https://files.example", ("demo", "files")),
    ],
)
def test_k8_a_resource_is_compared_canonically(resource: str, place: tuple[str, ...]) -> None:
    asking = read({"resource": resource})

    assert (asking.place, asking.resource) == (place, resource)


def test_k8_no_resource_is_left_to_the_person() -> None:
    asking = read(left_out="resource")

    assert (asking.place, asking.resource) == (None, "")


@pytest.mark.parametrize(
    "resource",
    [
        "https://other.example/demo/files/mcp",
        "http://gw.example/demo/files/mcp",
        "https://gw.example:444/demo/files/mcp",
        "https://gw.example.evil.example/demo/files/mcp",
        "https://ada@gw.example/demo/files/mcp",
        f"{BASE}/demo/files",
        f"{BASE}/a/b/c/mcp",
        f"{BASE}/demo/files/mcp?x=1",
        f"{BASE}/demo/files/mcp#x",
        f"{BASE}/_key/demo/files/mcp",
        "https://gw.example:port/mcp",
        "demo/files",
        "urn:mcp",
    ],
)
def test_a17_a_wrong_resource_is_invalid_target(resource: str) -> None:
    assert error({"resource": resource}) == "invalid_target"


def test_one_token_is_for_one_resource() -> None:
    def asked(*resources: str) -> tuple[str, ...] | None:
        given = parameters(urlencode([("resource", resource) for resource in resources]))
        return place_asked(given, Addresses(BASE), ALIASES)[0]

    assert asked(f"{BASE}/demo/mcp", f"{BASE}/demo/mcp/") == ("demo",)
    with pytest.raises(OAuthRefusal) as refused:
        asked(f"{BASE}/demo/mcp", f"{BASE}/other/mcp")
    assert refused.value.error == "invalid_target"
    with pytest.raises(OAuthRefusal):
        asked(f"{BASE}/demo/mcp", "https://other.example/mcp")


@pytest.mark.parametrize("query", ["a=%ff", "&".join(f"a{n}=1" for n in range(MOST_PARAMETERS + 1))])
def test_parameters_that_cannot_be_read_are_refused(query: str) -> None:
    with pytest.raises(OAuthRefusal):
        parameters(query)


def test_an_empty_parameter_is_none() -> None:
    given = parameters("a=&b=1&b=2&c=3")

    assert (one(given, "a"), one(given, "c"), needed(given, "c")) == (None, "3", "3")
    for wrong in ("a", "b"):
        with pytest.raises(OAuthRefusal):
            needed(given, wrong)


def test_a14_a_redirect_that_was_not_registered_is_trusted_by_nobody() -> None:
    def redirect(query: str, *registered: str) -> str:
        return redirect_of(Client("app", "registered", "App", registered), parameters(query))

    assert redirect("redirect_uri=https://a.example/cb", "https://a.example/cb", "https://b.example") == (
        "https://a.example/cb"
    )
    assert redirect("", "https://a.example/cb") == "https://a.example/cb"
    for query in (
        "",
        "redirect_uri=https://c.example",
        "redirect_uri=https://a.example&redirect_uri=https://b.example",
    ):
        with pytest.raises(Untrusted):
            redirect(query, "https://a.example", "https://b.example")
    with pytest.raises(Untrusted):
        redirect("redirect_uri=https://a.example/CB", "https://a.example/cb")
